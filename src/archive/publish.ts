import { join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'
import { realDisk, type Disk } from './disk.ts'
import { HashCache } from './hash-cache.ts'
import { arrange, follows, type IncomingRecord, type Run } from './incoming.ts'
import { durableFolder } from './open-segment.ts'
import { TrailDay, type Known } from './trail-day.ts'

/** A segment that was published. */
export interface PublishedSegment {
  readonly records: number
  /** Those of its records that are kept beside another record in the same place. */
  readonly forks: readonly IncomingRecord[]
  /** Compressed. */
  readonly bytes: number
}

export interface Publisher {
  /**
   * Adds records to the archive, each exactly once by (trail, sequence, hash), also beside other processes that publish the
   * same. Resolves only when all of them are durable, with how many were not kept before. Another record in the same place is
   * kept beside the first. Rejects with ARCHIVE_UNWRITABLE or ARCHIVE_UNREADABLE when that is not certain: give the same
   * records again.
   */
  publish(records: readonly IncomingRecord[]): Promise<number>
}

export interface PublisherOptions {
  /** Told of each segment once it is durable, and not again. */
  readonly onSegment?: (segment: PublishedSegment) => void
  readonly disk?: Disk
}

/** Trails whose last days are remembered. What is forgotten is read again. */
const maxDays = 512

/** Opens the archive in `dir` for records that come from outside. MUST NOT be an archive that a server writes to. */
export function openPublisher(dir: string, options: PublisherOptions = {}): Publisher {
  return new SegmentPublisher(dir, options)
}

class SegmentPublisher implements Publisher {
  readonly #dir: string
  readonly #disk: Disk
  readonly #onSegment: (segment: PublishedSegment) => void
  readonly #hashes: HashCache
  readonly #days = new Map<string, Promise<TrailDay>>()
  /** Ends when nobody publishes of the trail and day any more. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(dir: string, { onSegment = () => undefined, disk = realDisk }: PublisherOptions) {
    this.#dir = dir
    this.#disk = disk
    this.#onSegment = onSegment
    this.#hashes = new HashCache(dir)
  }

  async publish(records: readonly IncomingRecord[]): Promise<number> {
    try {
      let published = 0
      for (const run of arrange(records)) published += await this.#inTurn(run, () => this.#publishRun(run))
      return published
    } catch (fault) {
      if (fault instanceof CountersignError && fault.code === 'ARCHIVE_UNREADABLE') throw fault
      const message = `the archive ${this.#dir} cannot be written: ${messageOf(fault)}`
      throw new CountersignError('ARCHIVE_UNWRITABLE', message, { cause: fault, retryable: true })
    }
  }

  /** Within this process, one publication of a trail and day comes after the other. */
  async #inTurn(run: Run, work: () => Promise<number>): Promise<number> {
    const key = keyOf(run.trail, run.day)
    const before = this.#turns.get(key) ?? Promise.resolve()
    const mine = before.catch(() => undefined).then(work)
    this.#turns.set(key, mine)
    try {
      return await mine
    } catch (fault) {
      // What was published of it is not known: it is read again.
      this.#days.delete(key)
      throw fault
    } finally {
      if (this.#turns.get(key) === mine) this.#turns.delete(key)
    }
  }

  async #publishRun(run: Run): Promise<number> {
    const day = await this.#dayOf(run)
    let published = 0
    for (let left = run.records; ;) {
      const judged = await this.#judge(day, run.trail, left)
      const piece = firstPiece(judged)
      if (piece.length === 0) return published
      const bytes = await day.publish(piece.map(({ record }) => record))
      if (bytes !== undefined) {
        this.#tell(piece, bytes)
        published += piece.length
      }
      left = judged.slice(bytes === undefined ? 0 : piece.length).map(({ record }) => record)
    }
  }

  #tell(piece: readonly Judged[], bytes: number): void {
    const forks = piece.filter(({ known }) => known === 'fork').map(({ record }) => record)
    this.#onSegment({ records: piece.length, forks, bytes })
  }

  /** What is not kept yet. */
  async #judge(day: TrailDay, trail: string, records: readonly IncomingRecord[]): Promise<readonly Judged[]> {
    const others = await this.#otherDays(trail, day)
    const judged: Judged[] = []
    for (const record of records) {
      let known = await day.know(record)
      if (known === 'kept') continue
      for (const other of others) if ((await other.know(record)) === 'fork') known = 'fork'
      judged.push({ record, known })
    }
    return judged
  }

  /** A fork may say that it was recorded on another day. Only days that are remembered are looked at; `verify` finds the rest. */
  async #otherDays(trail: string, day: TrailDay): Promise<readonly TrailDay[]> {
    const days = await Promise.all([...this.#days].filter(([key]) => key.startsWith(`${trail}/`)).map(([, one]) => one))
    return days.filter((one) => one !== day)
  }

  async #dayOf({ trail, day }: Run): Promise<TrailDay> {
    const key = keyOf(trail, day)
    const known = this.#days.get(key)
    this.#days.delete(key)
    const opened = known ?? this.#open(trail, day)
    this.#days.set(key, opened)
    for (const oldest of this.#days.keys()) {
      if (this.#days.size <= maxDays) break
      this.#days.delete(oldest)
    }
    if (known !== undefined) return known
    await opened.catch(() => this.#days.delete(key))
    return opened
  }

  async #open(trail: string, day: string): Promise<TrailDay> {
    await durableFolder(join(this.#dir, day))
    return TrailDay.open(this.#dir, trail, day, this.#hashes, this.#disk)
  }
}

interface Judged {
  readonly record: IncomingRecord
  readonly known: Known
}

/** The first records that can stand in one segment. */
function firstPiece(judged: readonly Judged[]): readonly Judged[] {
  const end = judged.findIndex(({ record }, index) => index > 0 && !follows(judged[index - 1]?.record, record))
  return end === -1 ? judged : judged.slice(0, end)
}

function keyOf(trail: string, day: string): string {
  return `${trail}/${day}`
}
