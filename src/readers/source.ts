import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { type Segment } from '../archive/layout.ts'
import { listSegments } from '../archive/read.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { openSpoolReader } from '../spool/reader.ts'
import type { SpooledRecord } from '../spool/spooled-record.ts'
import { mergeSorted, type Sorted } from './merge.ts'
import { segmentLines, spoolFile, spoolLines, type TrailLine } from './trail-line.ts'

/** Days of `recordedat`, both included; an end that is left out is open. */
export interface DayRange {
  readonly from?: string
  readonly to?: string
}

/** The lines of one trail, wherever they are kept. */
export interface TrailSource {
  readonly trail: string
  /** No record of it was recorded before; a day or an empty text. */
  readonly from: string
  /**
   * Its lines in order of sequence, what the archive and the spool both have given twice. Segments of other days are
   * not opened. Records that move from the spool to the archive meanwhile are not missed. Throws ARCHIVE_UNREADABLE and
   * what the spool throws.
   */
  lines(days?: DayRange): AsyncGenerator<TrailLine>
}

/** Everything that a data folder keeps, as it stood when it was opened. */
export interface DataFolder {
  /** In order of replica, then of age. */
  readonly trails: readonly TrailSource[]
  readonly segments: number
  /** Names in the archive that are not those of segments. */
  readonly unknown: readonly string[]
  close(): void
}

/** Reads a spool, given by its folder, beside its writer. */
export interface SpoolSource {
  after(position: number, limit: number): readonly SpooledRecord[]
  /** How far a sink has got; `mark` is its own note on that, null where it makes none. */
  cursor?(sink: string): { readonly position: number; readonly mark: string | null }
  close(): void
}

export type OpenSpool = (dir: string) => SpoolSource | undefined

/** Opens the data folder of a server, running or not. Throws ARCHIVE_UNREADABLE where there is none, and what the spool throws. */
export async function openDataFolder(dir: string, openSpool: OpenSpool = openSpoolReader): Promise<DataFolder> {
  await checkDataFolder(dir)
  const spool = openSpool(join(dir, 'spool'))
  try {
    // The spool first: what leaves it from now on is found in the archive.
    const spooled = spool === undefined ? new Map<string, SpooledPart>() : indexSpool(spool)
    const { segments, unknown } = await listSegments(join(dir, 'archive'))
    const names = new Set([...segments.map(({ trail }) => trail), ...spooled.keys()])
    const trails = [...names].sort(byAge).map((trail) => {
      const own = segments.filter((segment) => segment.trail === trail)
      return new KeptTrail(trail, join(dir, 'archive'), own, spooled.get(trail))
    })
    return { trails, segments: segments.length, unknown, close: () => spool?.close() }
  } catch (fault) {
    spool?.close()
    throw fault
  }
}

/** Throws ARCHIVE_UNREADABLE where a folder is not the data folder of a server. */
export async function checkDataFolder(dir: string): Promise<void> {
  await access(dir).catch((thrown: unknown) => {
    const absent = (thrown as NodeJS.ErrnoException).code === 'ENOENT'
    throw noDataFolder(`the data folder ${dir} ${absent ? 'does not exist' : `cannot be read: ${messageOf(thrown)}`}`)
  })
  await Promise.any(['archive', 'spool'].map((part) => access(join(dir, part)))).catch(() => {
    throw noDataFolder(`${dir} holds neither archive/ nor spool/`)
  })
}

function noDataFolder(problem: string): CountersignError {
  const advice = 'Give --data the folder that "countersign serve --data" writes to'
  return new CountersignError('ARCHIVE_UNREADABLE', `${problem}. ${advice}.`)
}

/** A trail id ends with a UUIDv7, which grows with time. */
function byAge(a: string, b: string): number {
  const keys = [a, b].map((trail) => `${trail.slice(0, -36)}\n${trail.slice(-36)}`)
  return (keys[0] as string) < (keys[1] as string) ? -1 : 1
}

/** The records of one trail in the spool: between these positions, both included. */
interface SpooledPart {
  readonly spool: SpoolSource
  readonly from: SpooledRecord
  to: SpooledRecord
}

const page = 256

function* readSpool(spool: SpoolSource, after: number, upTo: number): Generator<SpooledRecord> {
  for (let position = after; position < upTo;) {
    const records = spool.after(position, page)
    if (records.length === 0) return
    for (const record of records) {
      if (record.position > upTo) return
      yield record
      position = record.position
    }
  }
}

function indexSpool(spool: SpoolSource): Map<string, SpooledPart> {
  const parts = new Map<string, SpooledPart>()
  for (const record of readSpool(spool, 0, Infinity)) {
    const part = parts.get(record.trail)
    // Only the places are kept: the lines of a long spool do not fit in memory.
    const place = { ...record, line: '' }
    if (part === undefined) parts.set(record.trail, { spool, from: place, to: place })
    else part.to = place
  }
  return parts
}

class KeptTrail implements TrailSource {
  readonly trail: string
  readonly from: string
  readonly #archiveDir: string
  readonly #segments: readonly Segment[]
  readonly #spooled: SpooledPart | undefined

  constructor(trail: string, archiveDir: string, segments: readonly Segment[], spooled: SpooledPart | undefined) {
    this.trail = trail
    this.from = segments.map(({ day }) => day).sort()[0] ?? ''
    this.#archiveDir = archiveDir
    this.#segments = segments
    this.#spooled = spooled
  }

  async *lines(days: DayRange = {}): AsyncGenerator<TrailLine> {
    let last = 0
    const parts: Sorted<TrailLine, number>[] = this.#segments
      .filter((segment) => within(segment, days))
      .map((segment) => ({ from: segment.first, open: () => segmentLines(this.#archiveDir, segment) }))
    if (this.#spooled !== undefined) {
      const spooled = this.#spooled
      parts.push({ from: spooled.from.sequence, open: () => this.#spooledLines(spooled) })
    }
    for await (const line of mergeSorted(parts, ({ sequence }) => sequence)) {
      if (line.where.file === spoolFile && line.sequence > last + 1) {
        yield* this.#movedMeanwhile(last, line.sequence, days)
      }
      yield line
      if (line.torn === undefined) last = line.sequence
    }
    const end = this.#spooled?.to.sequence ?? 0
    if (last < end) yield* this.#movedMeanwhile(last, end + 1, days)
  }

  async *#spooledLines({ spool, from, to }: SpooledPart): AsyncGenerator<TrailLine> {
    for (const record of readSpool(spool, from.position - 1, to.position)) {
      if (record.trail === this.trail) yield* spoolLines([record])
    }
  }

  /** What the spool had when the folder was opened and has delivered since. */
  async *#movedMeanwhile(after: number, before: number, days: DayRange): AsyncGenerator<TrailLine> {
    const segments = (await listSegments(this.#archiveDir)).segments.filter(({ trail }) => trail === this.trail)
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1]?.first ?? Infinity
      if (!within(segment, days) || segment.first >= before || next <= after + 1) continue
      for await (const line of segmentLines(this.#archiveDir, segment)) {
        if (line.torn === undefined && line.sequence > after && line.sequence < before) yield line
      }
    }
  }
}

function within({ day }: Segment, { from, to }: DayRange): boolean {
  return (from === undefined || day >= from) && (to === undefined || day <= to)
}
