import { Partitioners, type Admin } from 'kafkajs'
import type { Sink } from '../sink.ts'
import { defaultRequestTimeoutMs, type KafkaConnectionSettings, type Log, openKafka } from './client.ts'
import { KafkaConnections } from './connections.ts'
import { explainKafkaFault } from './fault.ts'
import { KafkaLane, type LanePlace, type LaneProducer } from './lane.ts'
import { loginName } from './login.ts'

export interface KafkaSinkSettings extends KafkaConnectionSettings {
  readonly topic: string
}

export interface KafkaSinkContext {
  /** The key of every message, and so the choice of the partition. */
  readonly replica: string
  readonly log: Log
}

/**
 * A sink that delivers to one partition of a Kafka topic under the lane rule (lane.ts). Connects at the first
 * `deliver`. A `deliver` rejects with KAFKA_UNAVAILABLE, KAFKA_REPLY_UNTRUSTED or TLS_INVALID, all retryable, when a
 * connect or one produce took longer than `requestTimeoutMs`, or failed sooner; it never waits for a broker to come back.
 */
export function createKafkaSink(settings: KafkaSinkSettings, context: KafkaSinkContext): Sink {
  const { brokers, topic, sasl, requestTimeoutMs = defaultRequestTimeoutMs } = settings
  return new KafkaLane({
    topic,
    replica: context.replica,
    requestTimeoutMs,
    newProducer: () => newProducer(settings, context, requestTimeoutMs),
    explain: (thrown) => explainKafkaFault(thrown, { brokers, topic, login: loginName(sasl) }),
    log: context.log,
  })
}

function newProducer(settings: KafkaSinkSettings, context: KafkaSinkContext, requestTimeoutMs: number): LaneProducer {
  const connections = new KafkaConnections()
  const clientId = `countersign-${context.replica}`
  const kafka = openKafka(settings, { clientId, connections, log: context.log })
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
  const end = ends.find((place) => place.partition === partition)?.high
  if (end === undefined)
    throw new Error(`the brokers do not tell where partition ${String(partition)} of ${topic} ends`)
  return { partition, end: BigInt(end) }
}
