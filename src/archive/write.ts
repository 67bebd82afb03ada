import { open, truncate, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'
import { durableFolder, keepPrivate, OpenSegment, type OpenFile, type SegmentEnd } from './open-segment.ts'
import { endOfRecord, segmentPath, type ArchiveRecord, type Segment } from './layout.ts'
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
  /** How files are opened; for tests of failing disks. */
  readonly openFile?: OpenFile
}

/** Opens the archive in `dir`. Touches nothing before the first record is appended. */
export function openArchive(dir: string, options: ArchiveOptions = {}): ArchiveWriter {
  return new SegmentWriter(dir, options.maxSegmentBytes ?? 64 * 1024 * 1024, options.openFile ?? open)
}

/** Day of a record that does not say when it was recorded. */
const noDay = '0000-00-00'

class SegmentWriter implements ArchiveWriter {
  readonly #dir: string
  readonly #maxBytes: number
  readonly #openFile: OpenFile
  /** What is durable of each trail that this writer has touched. */
  readonly #tails = new Map<string, Tail>()
  #current: OpenSegment | undefined
  #isPrivate = false

  constructor(dir: string, maxBytes: number, openFile: OpenFile) {
    this.#dir = dir
    this.#maxBytes = maxBytes
    this.#openFile = openFile
  }

  async append(records: readonly ArchiveRecord[]): Promise<void> {
    try {
      if (!this.#isPrivate) await keepPrivate(this.#dir)
      this.#isPrivate = true
      for (const run of runsOfOneTrail(records)) await this.#appendRun(run)
      await this.#commit()
    } catch (fault) {
      await this.#abandon()
      if (fault instanceof CountersignError && fault.code === 'ARCHIVE_UNWRITABLE') throw fault
      const message = `the archive ${this.#dir} cannot be written: ${messageOf(fault)}`
      throw new CountersignError('ARCHIVE_UNWRITABLE', message, { cause: fault, retryable: true })
    }
  }

  async close(): Promise<void> {
    await this.#current?.close()
    this.#current = undefined
  }

  async #appendRun(run: readonly ArchiveRecord[]): Promise<void> {
    const trail = (run[0] as ArchiveRecord).trail
    const tail = this.#current?.segment.trail === trail ? this.#current.written : await this.#tailOf(trail)
    const again = run.filter((record) => record.sequence <= tail.last)
    const kept = again.length === 0 ? new Set() : await findKept(this.#dir, again)
    for (const record of run) {
      if (kept.has(record)) continue
      const segment = await this.#segmentFor(record)
      await segment.add(record.sequence, record.line)
    }
  }

  async #tailOf(trail: string): Promise<Tail> {
    const tail = this.#tails.get(trail) ?? (await repairTail(this.#dir, trail))
    this.#tails.set(trail, tail)
    return tail
  }

  async #segmentFor(record: ArchiveRecord): Promise<OpenSegment> {
    const { trail, sequence, line } = record
    const day = endOfRecord(line)?.day ?? noDay
    const room = this.#maxBytes - Buffer.byteLength(line) - 1
    if (this.#current?.segment.trail === trail && fits(this.#current.written, day, sequence, room)) return this.#current
    await this.#commit()
    await this.close()
    const tail = await this.#tailOf(trail)
    this.#current = fits(tail, day, sequence, room)
      ? await this.#reopen(tail)
      : await this.#create({ day, trail, first: sequence, copy: 0 }, tail)
    return this.#current
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
    this.#tails.set(this.#current.segment.trail, tail)
  }

  /** Gives up the segment after a fault: what is not known to be durable is cut off, and nothing is added to it again. */
  async #abandon(): Promise<void> {
    const failed = this.#current
    this.#current = undefined
    if (failed === undefined) return
    await failed.close().catch(() => undefined)
    const path = join(this.#dir, segmentPath(failed.segment))
    const { last, bytes } = failed.durable
    this.#tails.set(failed.segment.trail, { last })
    // Where even this fails, readers know a line that is cut short and stands again, whole, in the next segment.
    await (bytes === 0 ? unlink(path) : truncate(path, bytes)).catch(() => undefined)
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
