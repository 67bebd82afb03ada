import type { Kafka } from 'kafkajs'
import { CountersignError, messageOf } from '../../errors.ts'
import { withAdmin } from './admin.ts'
import { openKafka, type KafkaConnectionSettings } from './client.ts'
import { KafkaConnections } from './connections.ts'

/** A partition as it stood when the topic was opened. */
export interface ReadPartition {
  readonly partition: number
  /** Offset of the first message that the topic still has, and of the one behind the last. */
  readonly first: number
  readonly end: number
  /** The messages between the two, in order. Rejects with KAFKA_UNAVAILABLE. */
  messages(): AsyncGenerator<readonly ReadMessage[]>
}

export interface ReadMessage {
  readonly offset: number
  readonly value: Buffer | null
}

export interface OpenTopic {
  readonly partitions: readonly ReadPartition[]
  close(): void
}

const clientId = 'countersign-read'
const fetchBytes = 8 * 1024 * 1024
const fetchWaitMs = 500
/** How often a partition may give nothing, or refuse, before it is given up. */
const patience = 20
const retryMs = 250

/**
 * Opens a topic to read all that it has now, beside its consumers: no group, nothing is committed. Rejects with KAFKA_UNAVAILABLE,
 * or TLS_INVALID.
 */
export async function openTopic(settings: KafkaConnectionSettings, topic: string): Promise<OpenTopic> {
  const log = (): void => undefined
  const ends = await withAdmin(settings, { clientId, log }, (admin) => admin.fetchTopicOffsets(topic)).catch(
    (thrown: unknown) => {
      throw unavailable(settings, topic, thrown)
    },
  )
  const connections = new KafkaConnections()
  const reader = new TopicReader(settings, topic, openKafka(settings, { clientId, connections, log }))
  const partitions = ends
    .map(({ partition, low, high }) => ({ partition, first: Number(low), end: Number(high) }))
    .sort((a, b) => a.partition - b.partition)
  return {
    partitions: partitions.map((place) => ({ ...place, messages: () => reader.read(place) })),
    close: () => {
      connections.close()
      reader.close()
    },
  }
}

interface PartitionPlace {
  readonly partition: number
  readonly first: number
  readonly end: number
}

class TopicReader {
  readonly #settings: KafkaConnectionSettings
  readonly #topic: string
  readonly #cluster: Cluster
  #connected: Promise<void> | undefined

  constructor(settings: KafkaConnectionSettings, topic: string, kafka: Kafka) {
    this.#settings = settings
    this.#topic = topic
    this.#cluster = clusterOf(kafka)
  }

  async *read({ partition, first, end }: PartitionPlace): AsyncGenerator<readonly ReadMessage[]> {
    let misses = 0
    for (let next = first; next < end;) {
      const fetched = await this.#fetch(partition, next).catch((thrown: unknown) => {
        if (++misses >= patience) throw unavailable(this.#settings, this.#topic, thrown)
        return undefined
      })
      if (fetched === undefined || fetched.length === 0) {
        if (fetched !== undefined && ++misses >= patience) {
          throw unavailable(
            this.#settings,
            this.#topic,
            `partition ${String(partition)} gives nothing at offset ${String(next)}`,
          )
        }
        await new Promise((resolve) => setTimeout(resolve, retryMs))
        await this.#cluster.refreshMetadata().catch(() => undefined)
        continue
      }
      misses = 0
      const from = next
      next = Number(fetched.at(-1)?.offset) + 1
      const wanted = fetched
        .map(({ offset, value, isControlRecord }) => ({ offset: Number(offset), value, isControlRecord }))
        .filter(({ offset, isControlRecord }) => offset >= from && offset < end && isControlRecord !== true)
      yield wanted
    }
  }

  close(): void {
    this.#cluster.disconnect().catch(() => undefined)
  }

  async #fetch(partition: number, offset: number): Promise<readonly FetchedMessage[]> {
    this.#connected ??= this.#connect()
    await this.#connected.catch((thrown: unknown) => {
      this.#connected = undefined
      throw thrown
    })
    const found = this.#cluster
      .findTopicPartitionMetadata(this.#topic)
      .find(({ partitionId }) => partitionId === partition)
    if (found === undefined) throw new Error(`the brokers name no leader of partition ${String(partition)}`)
    const broker = await this.#cluster.findBroker({ nodeId: String(found.leader) })
    const place = { partition, fetchOffset: String(offset), maxBytes: fetchBytes }
    const topics = [{ topic: this.#topic, partitions: [place] }]
    const { responses } = await broker.fetch({ maxWaitTime: fetchWaitMs, minBytes: 1, maxBytes: fetchBytes, topics })
    return responses[0]?.partitions[0]?.messages ?? []
  }

  async #connect(): Promise<void> {
    await this.#cluster.connect()
    await this.#cluster.addTargetTopic(this.#topic)
  }
}

/** What kafkajs 2.2.4 reads topics with, beneath its consumers of groups. */
interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  refreshMetadata(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[]
  findBroker(wanted: { readonly nodeId: string }): Promise<{ fetch(request: object): Promise<FetchResponse> }>
}

interface FetchResponse {
  readonly responses: readonly { readonly partitions: readonly { readonly messages: readonly FetchedMessage[] }[] }[]
}

interface FetchedMessage {
  readonly offset: string
  readonly value: Buffer | null
  readonly isControlRecord?: boolean
}

function clusterOf(kafka: Kafka): Cluster {
  const maker = Object.getOwnPropertySymbols(kafka).find(
    (symbol) => symbol.description === 'private:Kafka:createCluster',
  )
  const make = maker && (Reflect.get(kafka, maker) as ((options: object) => Cluster) | undefined)
  if (make === undefined) throw new Error('this kafkajs is another one than 2.2.4: its cluster is not found')
  return make({ metadataMaxAge: 300_000, allowAutoTopicCreation: false })
}

function unavailable({ brokers }: KafkaConnectionSettings, topic: string, thrown: unknown): CountersignError {
  if (thrown instanceof CountersignError) return thrown
  const message = `the topic ${topic} cannot be read: ${messageOf(thrown)} (brokers ${brokers.join(', ')})`
  return new CountersignError('KAFKA_UNAVAILABLE', message, { cause: thrown, retryable: true })
}
