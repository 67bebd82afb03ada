import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { isSealed, segmentPath, type Segment } from '../archive/layout.ts'
import { listSegments, readManifest, segmentChunks } from '../archive/read.ts'
import type { ParsedRecord } from '../audit/chain.ts'
import { openSpoolReader } from '../spool/reader.ts'
import { LineReader, readLine, type LineTaker } from './replay-lines.ts'
import { openDataFolder, type DayRange, type OpenSpool, type SpoolSource } from './source.ts'
import { spoolFile } from './trail-line.ts'

/** Who is told what a data folder holds. */
export interface DecisionTaker {
  /** A decision's record, each once. */
  decision(record: ParsedRecord): void
  /** A line that cannot be read; `line` is 1-based, in the spool the record's position. */
  unreadable(file: string, line: number, problem: string): void
  /** A file that ends in the middle of a line: its record was never acknowledged, or stands whole elsewhere. */
  torn(): void
  /** How far reading has come. */
  progress(bytes: number, ofBytes: number): void
}

/**
 * Gives every decision that a data folder keeps to `taker`, from the segments of these days and from the spool, each once
 * (by trail, sequence and hash). In order within a segment, not beyond. Throws ARCHIVE_UNREADABLE and what the spool throws.
 */
export async function takeDecisions(
  dir: string,
  days: DayRange,
  taker: DecisionTaker,
  openSpool: OpenSpool = openSpoolReader,
): Promise<void> {
  const folder = await openDataFolder(dir, () => undefined) // refuses what is no data folder
  folder.close()
  // The spool first: what leaves it meanwhile is found in the archive, which is listed after it.
  const spooled = takeSpool(join(dir, 'spool'), taker, openSpool)
  const { segments } = await listSegments(join(dir, 'archive'))
  const wanted = segments.filter(({ day }) => day >= (days.from ?? '') && day <= (days.to ?? day))
  await new ArchiveReading(dir, spooled, taker).take(wanted)
}

/** Records that were met, by sequence, with the first bits of their hash. */
type Places = Map<number, number>
type PlacesOfTrails = ReadonlyMap<string, Places>

function digestOf(hash: string): number {
  return parseInt(hash.slice(0, 13), 16)
}

const page = 256

function takeSpool(dir: string, taker: DecisionTaker, openSpool: OpenSpool): PlacesOfTrails {
  const met = new Map<string, Places>()
  const spool = openSpool(dir)
  if (spool === undefined) return met
  try {
    for (const { position, trail, line } of recordsOf(spool)) {
      const read = readLine(line, trail)
      if (read.kind === 'unreadable') taker.unreadable(spoolFile, position, read.problem)
      if (read.kind !== 'decision') continue
      const places = met.get(trail) ?? new Map<number, number>()
      met.set(trail, places.set(read.sequence, digestOf(read.hash)))
      taker.decision(read.record)
    }
  } finally {
    spool.close()
  }
  return met
}

function* recordsOf(spool: SpoolSource) {
  for (let position = 0; ;) {
    const records = spool.after(position, page)
    yield* records
    const last = records.at(-1)
    if (last === undefined) return
    position = last.position
  }
}

/**
 * Distance, in records of a trail, within which a decision that stands twice in the archive is known. A power of two. The
 * next record of a sequence so far away, or of the next trail, takes the place of the one before: maps of as many entries
 * would cost a tenth of all the rest.
 */
const remembered = 2 ** 20

/** Decisions that were met lately. */
class MetLately {
  readonly #sequences = new Float64Array(remembered).fill(-1)
  readonly #digests = new Float64Array(remembered)

  /** Whether this is the first time. */
  add(sequence: number, digest: number): boolean {
    const place = sequence % remembered
    if (this.#sequences[place] === sequence && this.#digests[place] === digest) return false
    this.#sequences[place] = sequence
    this.#digests[place] = digest
    return true
  }
}

class ArchiveReading {
  readonly #archiveDir: string
  readonly #spooled: PlacesOfTrails
  readonly #taker: DecisionTaker
  readonly #lines = new LineReader()
  readonly #met = new MetLately()
  #bytes = 0

  constructor(dir: string, spooled: PlacesOfTrails, taker: DecisionTaker) {
    this.#archiveDir = join(dir, 'archive')
    this.#spooled = spooled
    this.#taker = taker
  }

  /** The segments are in order of trail, then of sequence. */
  async take(segments: readonly Segment[]): Promise<void> {
    const sizes = await Promise.all(segments.map((segment) => sizeOf(this.#archiveDir, segment)))
    const total = sizes.reduce((sum, size) => sum + size, 0)
    for (const segment of segments) {
      await this.#takeSegment(segment, total)
      // Lines are read without waiting: whatever else the process does has its turn here.
      await setImmediate()
    }
  }

  async #takeSegment(segment: Segment, total: number): Promise<void> {
    const path = join(this.#archiveDir, segmentPath(segment))
    const lines = this.#lineTaker(segment.trail, `archive/${segmentPath(segment)}`, total)
    // One that is gone was sealed meanwhile, and is found as such.
    if (isSealed(segment) || !existsSync(path)) {
      await this.#lines.takeChunks(segmentChunks(this.#archiveDir, segment), lines)
    } else this.#lines.take(path, lines)
  }

  #lineTaker(trail: string, file: string, total: number): LineTaker {
    const taker = this.#taker
    return {
      line: (bytes, number) => {
        const read = readLine(bytes, trail)
        if (read.kind === 'unreadable') taker.unreadable(file, number, read.problem)
        else if (read.kind === 'decision' && this.#isNew(trail, read.sequence, digestOf(read.hash))) {
          taker.decision(read.record)
        }
      },
      tooLong: (number) => {
        taker.unreadable(file, number, 'the line is longer than a record may be')
      },
      torn: () => {
        taker.torn()
      },
      damaged: (number) => {
        taker.unreadable(file, number, 'the sealed segment is damaged: from here on it cannot be decompressed')
      },
      read: (bytes) => {
        this.#bytes += bytes
        taker.progress(this.#bytes, Math.max(total, this.#bytes))
      },
    }
  }

  #isNew(trail: string, sequence: number, digest: number): boolean {
    return this.#spooled.get(trail)?.get(sequence) !== digest && this.#met.add(sequence, digest)
  }
}

/** Of its lines. */
async function sizeOf(archiveDir: string, segment: Segment): Promise<number> {
  if (isSealed(segment)) return (await readManifest(archiveDir, segment))?.bytes ?? 0
  // A segment that cannot be looked at is told of when it is read.
  return stat(join(archiveDir, segmentPath(segment))).then(
    ({ size }) => size,
    () => 0,
  )
}
