import { setTimeout as sleep } from 'node:timers/promises'
import { Intake, type IncomingBatch, type IntakeLimits, type PublishedPart } from '../archive/intake.ts'
import { openPublisher, type PublishedSegment } from '../archive/publish.ts'
import { openRejectedStore } from '../archive/rejected.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { backoffMs } from './backoff.ts'
import type { Log } from './kafka/client.ts'
import { startTopicConsumer, type TopicConsumer, type TopicConsumerSettings } from './kafka/consumer.ts'

export interface ArchiveTopicSettings extends TopicConsumerSettings, IntakeLimits {
  readonly archiveDir: string
  readonly rejectedDir: string
  /** Bytes of records that may wait in memory; when they are reached, nothing more is read. */
  readonly bufferBytes: number
}

export interface ArchiveTopicContext {
  readonly clientId: string
  readonly log: Log
  /** Told of each part of a partition once it is durable, before its offset is committed. */
  readonly onPublished: (partition: number, part: PublishedPart) => void
  readonly onSegment: (segment: PublishedSegment) => void
  readonly onTrouble: (fault: CountersignError) => void
}

/** How far the partitions of this instance are read and archived, and what is wrong at the moment. */
export interface ArchiveTopicStatus {
  /** By partition: records that the topic holds and this instance has not archived yet. */
  readonly lag: ReadonlyMap<number, number>
  readonly bufferedBytes: number
  readonly isMember: boolean
  readonly kafkaProblem: string | null
  readonly archiveProblem: string | null
}

export interface ArchivedTopic {
  status(): ArchiveTopicStatus
  /** Archives what was read, commits it and leaves the group, within so many milliseconds. False where something was left: it is read again. */
  stop(withinMs: number): Promise<boolean>
}

const tickMs = 250
const beatMs = 500
/** Each holds its records a second time, compressed and not. */
const publishingAtOnce = 2

/**
 * Writes a topic into an archive, as one of any number of instances that share its partitions. Each record is archived exactly
 * once by (trail, sequence, hash); what is no record is kept aside. An offset is committed only when everything before it is
 * durable.
 */
export function archiveTopic(settings: ArchiveTopicSettings, context: ArchiveTopicContext): ArchivedTopic {
  return new TopicArchive(settings, context)
}

class TopicArchive implements ArchivedTopic {
  readonly #settings: ArchiveTopicSettings
  readonly #context: ArchiveTopicContext
  readonly #intake: Intake
  readonly #consumer: TopicConsumer
  readonly #publishing = new Set<Promise<void>>()
  readonly #ends = new Map<number, bigint>()
  readonly #archived = new Map<number, bigint>()
  readonly #ticker: NodeJS.Timeout
  #assigned: ReadonlySet<number> = new Set()
  #failures = 0
  #notBeforeMs = 0
  #kafkaProblem: string | null = null
  #archiveProblem: string | null = null
  #stopping = false
  #commitsFailed = false

  constructor(settings: ArchiveTopicSettings, context: ArchiveTopicContext) {
    this.#settings = settings
    this.#context = context
    const publisher = openPublisher(settings.archiveDir, { onSegment: context.onSegment })
    this.#intake = new Intake(publisher, openRejectedStore(settings.rejectedDir), settings)
    this.#consumer = startTopicConsumer(settings, {
      clientId: context.clientId,
      log: context.log,
      take: (batch, beat) => this.#take(batch, beat),
      onAssigned: (partitions) => {
        this.#assign(partitions)
      },
      onTrouble: (fault) => {
        this.#kafkaProblem = fault.message
        context.onTrouble(fault)
      },
    })
    this.#ticker = setInterval(() => {
      this.#publishDue()
    }, tickMs)
  }

  status(): ArchiveTopicStatus {
    const lag = new Map<number, number>()
    for (const partition of this.#assigned) {
      const [end, archived] = [this.#ends.get(partition), this.#archived.get(partition)]
      if (end !== undefined) lag.set(partition, Math.max(0, Number(end - (archived ?? 0n))))
    }
    return {
      lag,
      bufferedBytes: this.#intake.bytes,
      isMember: this.#assigned.size > 0,
      kafkaProblem: this.#kafkaProblem,
      archiveProblem: this.#archiveProblem,
    }
  }

  async stop(withinMs: number): Promise<boolean> {
    this.#stopping = true
    clearInterval(this.#ticker)
    this.#consumer.pause()
    const untilMs = performance.now() + withinMs
    this.#commitsFailed = false
    while (this.#intake.bytes > 0 && performance.now() < untilMs) {
      this.#publishDue(true)
      await Promise.race([this.#settled(), sleep(tickMs)])
    }
    // The last commits come after the last records are durable.
    await Promise.race([Promise.all(this.#publishing), sleep(Math.max(0, untilMs - performance.now()))])
    const isDone = this.#intake.bytes === 0 && this.#publishing.size === 0 && !this.#commitsFailed
    await this.#consumer.stop()
    return isDone
  }

  #assign(partitions: ReadonlySet<number>): void {
    this.#assigned = partitions
    if (partitions.size > 0) this.#kafkaProblem = null
    for (const partition of this.#ends.keys()) if (!partitions.has(partition)) this.#ends.delete(partition)
    const shown = [...partitions].sort((a, b) => a - b)
    this.#context.log('info', 'the group has shared out the partitions', { partitions: shown })
  }

  async #take(batch: IncomingBatch & { readonly end: bigint }, beat: () => Promise<void>): Promise<void> {
    if (this.#stopping) return
    const { partition, messages, end } = batch
    if (!this.#archived.has(partition)) this.#archived.set(partition, BigInt(messages[0]?.offset ?? 0))
    this.#ends.set(partition, end)
    this.#intake.take(batch, performance.now())
    this.#publishDue()
    await beat()
    while (this.#intake.bytes >= this.#settings.bufferBytes && !this.#isStopping()) {
      if (this.#publishing.size === 0) this.#publishLargest()
      await Promise.race([this.#settled(), sleep(beatMs)])
      await beat()
    }
  }

  #isStopping(): boolean {
    return this.#stopping
  }

  /** Resolves when one publication has ended, or after a while. */
  #settled(): Promise<void> {
    return Promise.race([...this.#publishing, sleep(beatMs)])
  }

  #publishDue(all = false): void {
    const now = performance.now()
    if (now < this.#notBeforeMs && !all) return
    for (const partition of this.#intake.due(now, all)) {
      if (this.#publishing.size >= publishingAtOnce) return
      this.#start(partition)
    }
  }

  #publishLargest(): void {
    const partition = this.#intake.largest()
    if (partition !== undefined && performance.now() >= this.#notBeforeMs) this.#start(partition)
  }

  #start(partition: number): void {
    const work = this.#publish(partition).finally(() => this.#publishing.delete(work))
    this.#publishing.add(work)
  }

  /** Never rejects: what could not be published is tried again. */
  async #publish(partition: number): Promise<void> {
    try {
      const part = await this.#intake.publish(partition, performance.now())
      if (part === undefined) return
      this.#failures = 0
      this.#archiveProblem = null
      this.#context.onPublished(partition, part)
      await this.#commit(partition, part.next)
    } catch (thrown) {
      const fault =
        thrown instanceof CountersignError
          ? thrown
          : new CountersignError('ARCHIVE_UNWRITABLE', messageOf(thrown), { cause: thrown, retryable: true })
      this.#failures += 1
      this.#notBeforeMs = performance.now() + backoffMs(this.#failures)
      this.#archiveProblem = fault.message
      this.#context.onTrouble(fault)
    }
  }

  /** A commit that fails costs a second reading, no record: whoever reads it again finds what is kept. */
  async #commit(partition: number, next: bigint): Promise<void> {
    if (!this.#assigned.has(partition)) return
    try {
      await this.#consumer.commit(partition, next)
      this.#archived.set(partition, next)
    } catch (thrown) {
      this.#commitsFailed = true
      const problem = messageOf(thrown)
      this.#context.log('warn', 'an offset could not be committed; its records are read again', { partition, problem })
    }
  }
}
