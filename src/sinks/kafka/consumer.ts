import { setTimeout as sleep } from 'node:timers/promises'
import type { Batch, Consumer } from 'kafkajs'
import type { IncomingBatch } from '../../archive/intake.ts'
import { CountersignError, messageOf } from '../../errors.ts'
import { backoffMs } from '../backoff.ts'
import { type KafkaConnectionSettings, type Log, openKafka } from './client.ts'
import { knowZstd } from './compression.ts'
import { KafkaConnections } from './connections.ts'

export interface TopicConsumerSettings extends KafkaConnectionSettings {
  readonly topic: string
  readonly group: string
  /** After how long without a sign of life the group takes a member's partitions away. */
  readonly sessionTimeoutMs: number
}

export interface TopicConsumerContext {
  /** How brokers see this client. */
  readonly clientId: string
  /**
   * Takes a batch. `beat` keeps the partitions while it takes its time, and rejects when they are taken away: let that out. What
   * was taken comes again after a restart or a rebalance, unless `commit` was called for it.
   */
  readonly take: (batch: IncomingBatch & { readonly end: bigint }, beat: () => Promise<void>) => Promise<void>
  /** Called with the partitions of this member whenever the group has shared them out. */
  readonly onAssigned: (partitions: ReadonlySet<number>) => void
  /** Called when this client cannot consume; it goes on trying. */
  readonly onTrouble: (fault: CountersignError) => void
  readonly log: Log
}

/** A member of a consumer group that reads a topic from its beginning, or from where the group is. */
export interface TopicConsumer {
  /** Commits that everything of a partition before this offset is done. Rejects where the member has lost its place in the group. */
  commit(partition: number, next: bigint): Promise<void>
  /** Takes no more batches; partitions and offsets stay for a last `commit`. */
  pause(): void
  /** Leaves the group. MUST resolve in bounded time. */
  stop(): Promise<void>
}

const leaveMs = 3000

/** Starts a member, which connects by itself and again whenever it has to. */
export function startTopicConsumer(settings: TopicConsumerSettings, context: TopicConsumerContext): TopicConsumer {
  knowZstd()
  return new GroupMember(settings, context)
}

class GroupMember implements TopicConsumer {
  readonly #settings: TopicConsumerSettings
  readonly #context: TopicConsumerContext
  readonly #stop = new AbortController()
  readonly #work: Promise<void>
  #consumer: Consumer | undefined
  #paused = false
  #failures = 0

  constructor(settings: TopicConsumerSettings, context: TopicConsumerContext) {
    this.#settings = settings
    this.#context = context
    this.#work = this.#run()
  }

  async commit(partition: number, next: bigint): Promise<void> {
    const { topic } = this.#settings
    if (this.#consumer === undefined) throw new Error('this client is not connected to the group')
    await this.#consumer.commitOffsets([{ topic, partition, offset: String(next) }])
  }

  pause(): void {
    this.#paused = true
    try {
      this.#consumer?.pause([{ topic: this.#settings.topic }])
    } catch {
      // It is not consuming.
    }
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#work
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#consume()
      } catch (thrown) {
        this.#failures += 1
        this.#context.onAssigned(new Set())
        this.#context.onTrouble(explain(thrown, this.#settings))
        const { signal } = this.#stop
        await sleep(backoffMs(this.#failures), undefined, { signal }).catch(() => undefined)
      }
    }
  }

  /** Resolves when it was stopped; rejects when the client gives up. */
  async #consume(): Promise<void> {
    const { topic, group, sessionTimeoutMs } = this.#settings
    const connections = new KafkaConnections()
    const { clientId, log } = this.#context
    const consumer = openKafka(this.#settings, { clientId, connections, log }).consumer({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: Math.max(60_000, sessionTimeoutMs),
      heartbeatInterval: Math.ceil(sessionTimeoutMs / 10),
      maxWaitTimeInMs: 500,
      maxBytesPerPartition: 2 * 1024 * 1024,
      maxBytes: 8 * 1024 * 1024,
      allowAutoTopicCreation: false,
      metadataMaxAge: 60_000,
      // A member that cannot go on is replaced by a new one, here.
      retry: { retries: 8, restartOnFailure: () => Promise.resolve(false) },
    })
    const ended = Promise.withResolvers<undefined>()
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      ended.reject(payload.error)
    })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.#failures = 0
      this.#context.onAssigned(new Set(payload.memberAssignment[topic] ?? []))
    })
    this.#stop.signal.addEventListener('abort', () => {
      ended.resolve(undefined)
    })
    ended.promise.catch(() => undefined)
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      this.#consumer = consumer
      await this.#read(consumer)
      if (this.#stop.signal.aborted) return
      await ended.promise
    } finally {
      this.#consumer = undefined
      await Promise.race([consumer.disconnect().catch(() => undefined), sleep(leaveMs, undefined, { ref: false })])
      connections.close()
    }
  }

  async #read(consumer: Consumer): Promise<void> {
    await consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: 4,
      eachBatch: async (payload) => {
        if (this.#paused) return
        await this.#context.take(incoming(payload.batch), () => payload.heartbeat())
      },
    })
  }
}

function incoming(batch: Batch): IncomingBatch & { readonly end: bigint } {
  const { topic, partition, messages, highWatermark } = batch
  return { topic, partition, messages, next: BigInt(batch.lastOffset()) + 1n, end: BigInt(highWatermark) }
}

const refusals: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: 'there is no such topic yet: "countersign topic create" makes one',
  TOPIC_AUTHORIZATION_FAILED: 'this client may not read it: allow DESCRIBE and READ on the topic',
  GROUP_AUTHORIZATION_FAILED: 'this client may not use the group: allow READ on the group',
}

function explain(thrown: unknown, { topic, group, brokers }: TopicConsumerSettings): CountersignError {
  if (thrown instanceof CountersignError) return thrown
  const type = String((thrown as { readonly type?: unknown } | null)?.type)
  const why = refusals[type] ?? `${messageOf(thrown)} (brokers ${brokers.join(', ')})`
  const message = `the topic ${topic} cannot be read by the group ${group}: ${why}`
  return new CountersignError('KAFKA_UNAVAILABLE', message, { cause: thrown, retryable: true })
}
