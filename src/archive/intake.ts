import { readIncoming, type IncomingRecord } from './incoming.ts'
import type { Publisher } from './publish.ts'
import type { Rejected, RejectedStore } from './rejected.ts'

/** Messages of one partition, in the order of their offsets. */
export interface IncomingBatch {
  readonly topic: string
  readonly partition: number
  readonly messages: readonly { readonly offset: string; readonly key: Buffer | null; readonly value: Buffer | null }[]
  /** Offset after the last of them. */
  readonly next: bigint
}

export interface IntakeLimits {
  /** Bytes of records from which a partition is published. */
  readonly segmentBytes: number
  /** Age of the oldest record from which a partition is published, in milliseconds. */
  readonly segmentMs: number
}

/** What became of the records of one partition. */
export interface PublishedPart {
  /** Everything of the partition before this offset that was taken is durable. */
  readonly next: bigint
  readonly records: number
  readonly duplicates: number
  /** Those that were not kept aside before. */
  readonly rejected: readonly Rejected[]
}

interface Part {
  records: IncomingRecord[]
  rejected: Rejected[]
  bytes: number
  sinceMs: number
  next: bigint
  publishing: boolean
}

/** What an entry costs beside its bytes. */
const overheadBytes = 400

/**
 * Collects what partitions bring until it is worth a segment. What was taken is never let go before it is durable, whoever
 * owns the partition meanwhile: to publish it once more is harmless, and to commit an offset beyond it would lose it.
 */
export class Intake {
  readonly #publisher: Publisher
  readonly #rejected: RejectedStore
  readonly #limits: IntakeLimits
  readonly #parts = new Map<number, Part>()
  #bytes = 0

  constructor(publisher: Publisher, rejected: RejectedStore, limits: IntakeLimits) {
    this.#publisher = publisher
    this.#rejected = rejected
    this.#limits = limits
  }

  /** Bytes that wait to be published, of all partitions. */
  get bytes(): number {
    return this.#bytes
  }

  take({ topic, partition, messages, next }: IncomingBatch, nowMs: number): void {
    const part = this.#parts.get(partition) ?? emptyPart()
    this.#parts.set(partition, part)
    if (isEmpty(part)) part.sinceMs = nowMs
    let bytes = 0
    for (const { offset, key, value } of messages) {
      const read = readIncoming(value)
      if (read.ok) part.records.push(read.record)
      else part.rejected.push({ topic, partition, offset, problem: read.problem, key, value })
      bytes += (value?.length ?? 0) + overheadBytes
    }
    part.bytes += bytes
    this.#bytes += bytes
    part.next = next
  }

  /** Partitions that are worth a segment, or old enough; all that hold anything where `all` is set. */
  due(nowMs: number, all = false): readonly number[] {
    const { segmentBytes, segmentMs } = this.#limits
    return [...this.#parts]
      .filter(([, part]) => !isEmpty(part) && !part.publishing)
      .filter(([, part]) => all || part.bytes >= segmentBytes || nowMs - part.sinceMs >= segmentMs)
      .map(([partition]) => partition)
  }

  /** The partition that holds most, of those that are not being published. */
  largest(): number | undefined {
    const waiting = [...this.#parts].filter(([, part]) => !isEmpty(part) && !part.publishing)
    return waiting.sort(([, a], [, b]) => b.bytes - a.bytes)[0]?.[0]
  }

  /**
   * Publishes what is there of a partition; what comes meanwhile waits. MUST NOT be called for a partition that is being
   * published. Rejects with ARCHIVE_UNWRITABLE or ARCHIVE_UNREADABLE: then everything is still there.
   */
  async publish(partition: number, nowMs: number): Promise<PublishedPart | undefined> {
    const part = this.#parts.get(partition)
    if (part === undefined || isEmpty(part)) return undefined
    const { records, rejected, bytes, next, sinceMs } = part
    Object.assign(part, { records: [], rejected: [], bytes: 0, sinceMs: nowMs, publishing: true })
    try {
      const published = await this.#publisher.publish(records)
      const aside = await this.#rejected.keep(rejected)
      this.#bytes -= bytes
      return { next, records: published, duplicates: records.length - published, rejected: aside }
    } catch (fault) {
      part.records = [...records, ...part.records]
      part.rejected = [...rejected, ...part.rejected]
      part.bytes += bytes
      part.sinceMs = sinceMs
      throw fault
    } finally {
      part.publishing = false
    }
  }
}

function emptyPart(): Part {
  return { records: [], rejected: [], bytes: 0, sinceMs: 0, next: 0n, publishing: false }
}

function isEmpty({ records, rejected }: Part): boolean {
  return records.length === 0 && rejected.length === 0
}
