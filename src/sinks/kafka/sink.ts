import { Partitioners, type Admin } from 'kafkajs'
import type { Sink } from '../sink.ts'
import { withAdmin } from './admin.ts'
import { CheckedTopic, type TopicCheck } from './checked-topic.ts'
import { defaultRequestTimeoutMs, type KafkaConnectionSettings, type Log, openKafka } from './client.ts'
import { type Compression, compressionType } from './compression.ts'
import { KafkaConnections } from './connections.ts'
import { explainKafkaFault } from './fault.ts'
import { KafkaLane, type LanePlace, type LaneProducer } from './lane.ts'
import { loginName } from './login.ts'
import { describeTopic } from './topic.ts'
import { type TopicDifference, topicDifferences } from './topic-rules.ts'

export interface KafkaSinkSettings extends KafkaConnectionSettings {
  readonly topic: string
  readonly compression: Compression
  readonly topicCheck: TopicCheck
}

export interface KafkaSinkContext {
  /** The key of every message, and so the choice of the partition. */
  readonly replica: string
  /** What the sink gave as its mark in an earlier life; null where there is none. */
  readonly mark: string | null
  /** Told of what is not as it should be with the topic, whenever it was looked at. */
  readonly topicProblems: (problems: readonly string[]) => void
  readonly log: Log
}

/**
 * A sink that delivers to one partition of a Kafka topic under the lane rule (lane.ts), where the topic is as it should be
 * (checked-topic.ts). Connects at the first `deliver`. A `deliver` rejects with KAFKA_UNAVAILABLE, KAFKA_REPLY_UNTRUSTED,
 * KAFKA_TOPIC_WRONG or TLS_INVALID, all retryable, when a connect or one produce took longer than `requestTimeoutMs`, or failed
 * sooner; it never waits for a broker to come back.
 */
export function createKafkaSink(settings: KafkaSinkSettings, context: KafkaSinkContext): Sink {
  const { brokers, topic, sasl, topicCheck, requestTimeoutMs = defaultRequestTimeoutMs } = settings
  const { replica, mark, log, topicProblems } = context
  const explain = (thrown: unknown) => explainKafkaFault(thrown, { brokers, topic, login: loginName(sasl) })
  const newLaneProducer = () => newProducer(settings, context, requestTimeoutMs)
  const lane = new KafkaLane({ topic, replica, mark, requestTimeoutMs, newProducer: newLaneProducer, explain, log })
  const absent = () => explain({ type: 'UNKNOWN_TOPIC_OR_PARTITION' })
  const inspect = (signal: AbortSignal) =>
    inspectTopic(settings, context, signal).catch((thrown: unknown) => {
      throw explain(thrown)
    })
  return new CheckedTopic(lane, {
    topic,
    topicCheck,
    inspect,
    absent,
    topicProblems,
    log,
    nowMs: () => performance.now(),
  })
}

async function inspectTopic(
  settings: KafkaSinkSettings,
  { replica, log }: KafkaSinkContext,
  signal: AbortSignal,
): Promise<readonly TopicDifference[] | undefined> {
  const { topic } = settings
  const clientId = clientIdOf(replica)
  const found = await withAdmin(settings, { clientId, log, signal }, (admin) => describeTopic(admin, topic))
  return found && topicDifferences(found, settings)
}

function clientIdOf(replica: string): string {
  return `countersign-${replica}`
}

function newProducer(settings: KafkaSinkSettings, context: KafkaSinkContext, requestTimeoutMs: number): LaneProducer {
  const connections = new KafkaConnections()
  const kafka = openKafka(settings, { clientId: clientIdOf(context.replica), connections, log: context.log })
  const admin = kafka.admin()
  const producer = kafka.producer({
    idempotent: true,
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  return {
    connect: async () => {
      const place = await findPlace(admin, settings.topic, context.replica)
      await producer.connect()
      return place
    },
    produce: (partition, messages) =>
      producer.send({
        topic: settings.topic,
        acks: -1,
        timeout: requestTimeoutMs,
        compression: compressionType(settings.compression),
        messages: messages.map(({ key, value, headers }) => ({ key, value, headers: { ...headers }, partition })),
      }),
    discard: () => {
      connections.close()
      // Only stops the client's timers: its sockets are gone.
      for (const client of [admin, producer]) client.disconnect().catch(() => undefined)
    },
  }
}

/** The partition is that of Kafka's own default partitioner (murmur2 over the key), so that any client finds the same. */
async function findPlace(admin: Admin, topic: string, replica: string): Promise<LanePlace> {
  await admin.connect()
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
  const ends = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  const partitionMetadata = metadata.topics.find(({ name }) => name === topic)?.partitions ?? []
  if (partitionMetadata.length === 0) throw new Error(`the brokers name no partition of ${topic}`)
  const message = { key: replica, value: null }
  const partition = Partitioners.DefaultPartitioner()({ topic, partitionMetadata, message })
  return { partition, ends: new Map(ends.map((place) => [place.partition, BigInt(place.high)])) }
}
