import { open, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'
import { durableFolder, keepPrivate, OpenSegment, type OpenFile, type SegmentEnd } from './open-segment.ts'
import { endOfRecord, segmentPath, type ArchiveRecord, type Segment } from './layout.ts'
import { Sealer, type SealingOptions } from './sealer.ts'
import { findKept, repairTail, type Tail } from './tail.ts'

export interface ArchiveWriter {
  /**
   * Appends records in the order given. Resolves only when all of them are durable. MUST NOT leave out or change one, nor
   * leave a torn line before a whole one. A record that the archive has already is not written again; another record in
   * the same place is kept beside it. Rejects with ARCHIVE_UNWRITABLE when durability is not certain: give the same
   * records again. MUST NOT be called twice at a time.
   */
  append(records: readonly ArchiveRecord[]): Promise<void>
  close(): Promise<void>
}

export interface ArchiveOptions {
  /** Size from which a segment is not gone on with, in bytes. Default 64 MiB. */
  readonly maxSegmentBytes?: number
  /** Seals segments in the background once nothing more is added to them; left out, they stay open. */
  readonly sealing?: SealingOptions
  /** How files are opened; for tests of failing disks. */
  readonly openFile?: OpenFile
}

/** Opens the archive in `dir`. Touches nothing before the first record is appended. */
export function openArchive(dir: string, options: ArchiveOptions = {}): ArchiveWriter {
  return new SegmentWriter(dir, options)
}

const defaultSegmentBytes = 64 * 1024 * 1024
const defaultSealAfterMs = 3_600_000

/** Day of a record that does not say when it was recorded. */
const noDay = '0000-00-00'

class SegmentWriter implements ArchiveWriter {
  readonly #dir: string
  readonly #maxBytes: number
  readonly #openFile: OpenFile
  readonly #sealer: Sealer | undefined
  readonly #sealAfterMs: number
  /** What is durable of each trail that this writer has touched. */
  readonly #tails = new Map<string, Promise<Tail>>()
  #current: OpenSegment | undefined
  #currentSince = 0
  #isBegun = false
  #sweeping: Promise<void> | undefined

  constructor(dir: string, options: ArchiveOptions) {
    const { maxSegmentBytes = defaultSegmentBytes, openFile = open, sealing } = options
    this.#dir = dir
    this.#maxBytes = maxSegmentBytes
    this.#openFile = openFile
    this.#sealer = sealing === undefined ? undefined : new Sealer(dir, sealing)
    this.#sealAfterMs = sealing === undefined ? Infinity : (sealing.afterMs ?? defaultSealAfterMs)
  }

  async append(records: readonly ArchiveRecord[]): Promise<void> {
    try {
      if (!this.#isBegun) await keepPrivate(this.#dir)
      for (const run of runsOfOneTrail(records)) await this.#appendRun(run)
      await this.#commit()
      if (!this.#isBegun) this.#sweeping = this.#sealer?.sweep((trail) => this.#release(trail))
      this.#isBegun = true
    } catch (fault) {
      await this.#abandon()
      if (fault instanceof CountersignError && fault.code === 'ARCHIVE_UNWRITABLE') throw fault
      const message = `the archive ${this.#dir} cannot be written: ${messageOf(fault)}`
      throw new CountersignError('ARCHIVE_UNWRITABLE', message, { cause: fault, retryable: true })
    }
  }

  async close(): Promise<void> {
    await this.#closeCurrent()
    await this.#sealer?.stop()
    await this.#sweeping
  }

  async #closeCurrent(): Promise<void> {
    await this.#current?.close()
    this.#current = undefined
  }

  async #appendRun(run: readonly ArchiveRecord[]): Promise<void> {
    const { trail, sequence } = run[0] as ArchiveRecord
    const tail = this.#current?.segment.trail === trail ? this.#current.written : await this.#tailOf(trail, sequence)
    const again = run.filter((record) => record.sequence <= tail.last)
    const kept = again.length === 0 ? new Set() : await findKept(this.#dir, again)
    for (const record of run) {
      if (kept.has(record)) continue
      const segment = await this.#segmentFor(record)
      await segment.add(record.sequence, record.line)
    }
  }

  /** `given`: records from here on are given, again where the archive has them. */
  #tailOf(trail: string, given: number): Promise<Tail> {
    const known = this.#tails.get(trail)
    if (known !== undefined) return known
    const tail = repairTail(this.#dir, trail, given)
    this.#tails.set(trail, tail)
    // Not known after all: the next append looks again.
    tail.catch(() => this.#tails.delete(trail))
    return tail
  }

  async #segmentFor(record: ArchiveRecord): Promise<OpenSegment> {
    const { trail, sequence, line } = record
    const day = endOfRecord(line)?.day ?? noDay
    const room = this.#maxBytes - Buffer.byteLength(line) - 1
    if (this.#current?.segment.trail === trail && this.#canGoOn(this.#current, day, sequence, room))
      return this.#current
    await this.#finish(trail)
    const tail = await this.#tailOf(trail, sequence)
    const { segment: left, last } = tail
    if (fits(tail, day, sequence, room)) {
      this.#current = await this.#reopen(tail)
    } else {
      if (left !== undefined) this.#seal(left, last)
      this.#current = await this.#create({ day, trail, first: sequence, copy: 0 }, tail)
    }
    this.#currentSince = performance.now()
    return this.#current
  }

  #canGoOn(current: OpenSegment, day: string, sequence: number, room: number): boolean {
    const isYoung = performance.now() - this.#currentSince < this.#sealAfterMs
    return isYoung && fits(current.written, day, sequence, room)
  }

  /** Ends the segment that is written; with another trail to come, the trail is ended with it. */
  async #finish(next: string): Promise<void> {
    const current = this.#current
    if (current === undefined) return
    await this.#commit()
    await this.#closeCurrent()
    const { segment, last } = current.durable
    this.#seal(segment, last)
    // Segments of it that stood open before this writer came.
    if (segment.trail !== next) void this.#sealer?.addTrail(segment.trail).catch(() => undefined)
  }

  /** From here on nothing is added to the segment. */
  #seal(segment: Segment, last: number): void {
    if (this.#sealer === undefined) return
    this.#tails.set(segment.trail, Promise.resolve({ last }))
    this.#sealer.add(segment)
  }

  /** Whether the trail, which an earlier process left, is not written here: then its open segments are repaired and let go. */
  async #release(trail: string): Promise<boolean> {
    if (this.#tails.has(trail)) return false
    const tail = repairTail(this.#dir, trail).then(({ last }) => ({ last }))
    this.#tails.set(trail, tail)
    tail.catch(() => this.#tails.delete(trail))
    await tail
    return true
  }

  async #reopen(tail: SegmentEnd): Promise<OpenSegment> {
    const file = await this.#openFile(join(this.#dir, segmentPath(tail.segment)), 'a', 0o600)
    return new OpenSegment(file, tail)
  }

  async #create(wanted: Segment, tail: Tail): Promise<OpenSegment> {
    await durableFolder(join(this.#dir, wanted.day))
    for (let segment = wanted; ; segment = { ...segment, copy: segment.copy + 1 }) {
      try {
        const file = await this.#openFile(join(this.#dir, segmentPath(segment)), 'ax', 0o600)
        return new OpenSegment(file, { last: tail.last, segment, bytes: 0 }, join(this.#dir, segment.day))
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown
      }
    }
  }

  /** Makes what was added durable, and only then takes it for kept. */
  async #commit(): Promise<void> {
    if (this.#current === undefined) return
    const tail = await this.#current.sync()
    this.#tails.set(this.#current.segment.trail, Promise.resolve(tail))
  }

  /** Gives up the segment after a fault: what is not known to be durable is cut off, and nothing is added to it again. */
  async #abandon(): Promise<void> {
    const failed = this.#current
    this.#current = undefined
    if (failed === undefined) return
    await failed.close().catch(() => undefined)
    const path = join(this.#dir, segmentPath(failed.segment))
    const { last, bytes } = failed.durable
    this.#tails.set(failed.segment.trail, Promise.resolve({ last }))
    // Where even this fails, readers know a line that is cut short and stands again, whole, in the next segment.
    await (bytes === 0 ? unlink(path) : truncate(path, bytes)).catch(() => undefined)
    if (bytes > 0) this.#sealer?.add(failed.segment)
  }
}

function fits(tail: Tail, day: string, sequence: number, room: number): tail is SegmentEnd {
  return 'bytes' in tail && tail.segment.day === day && sequence === tail.last + 1 && tail.bytes <= room
}

function* runsOfOneTrail(records: readonly ArchiveRecord[]): Generator<readonly ArchiveRecord[]> {
  let start = 0
  for (let at = 1; at <= records.length; at += 1) {
    if (at < records.length && records[at]?.trail === records[start]?.trail) continue
    yield records.slice(start, at)
    start = at
  }
}
