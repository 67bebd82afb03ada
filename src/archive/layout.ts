import { CountersignError } from '../errors.ts'

/**
 * One segment: a file of whole records of one trail, recorded on one day, in the order of their sequence without gaps.
 * It stands at `archive/<day>/<trail>.<first sequence, 16 digits>[.<copy>].ndjson`. What is later kept beside a segment
 * (a compressed form, a manifest, tombstones) has the same name with another ending.
 */
export interface Segment {
  /** UTC date of `recordedat` of its records, `YYYY-MM-DD`. */
  readonly day: string
  readonly trail: string
  /** Sequence of its first record. */
  readonly first: number
  /** 0, or above where a segment of the same name is there already and cannot be gone on with. */
  readonly copy: number
}

/** What the archive keeps of a record: its line, byte for byte, under its place. */
export interface ArchiveRecord {
  readonly trail: string
  /** 1-based place in the trail. */
  readonly sequence: number
  /** The record's own bytes, without a newline. */
  readonly line: string
}

/** Room for the rest of the name in the 255 bytes that a file's name may have. */
const maxTrailLength = 200
const trailName = /^[A-Za-z0-9._-]+$/
const segmentName = /^([A-Za-z0-9._-]+)\.([0-9]{16})(?:\.([1-9][0-9]{0,3}))?\.ndjson$/
const dayName = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/
const recordEnd =
  /"recordedat":"([0-9]{4}-[0-9]{2}-[0-9]{2})T[^"]*","trail":"[^"]*","sequence":"([0-9]{16})","prevhash":"[0-9a-f]{64}","hash":"[0-9a-f]{64}"\}$/
const recordEndLength = 300 + maxTrailLength

/** Where a segment stands below the archive's folder. Throws ARCHIVE_UNWRITABLE for a trail whose id cannot be a file's name. */
export function segmentPath({ day, trail, first, copy }: Segment): string {
  if (!trailName.test(trail) || trail.length > maxTrailLength || !dayName.test(day)) {
    throw new CountersignError(
      'ARCHIVE_UNWRITABLE',
      `the trail id ${JSON.stringify(trail)} cannot name a segment: it may hold up to ${String(maxTrailLength)} letters, digits, ".", "-" and "_"`,
    )
  }
  const again = copy === 0 ? '' : `.${String(copy)}`
  return `${day}/${trail}.${String(first).padStart(16, '0')}${again}.ndjson`
}

/** Reads a segment's place back from the names of its folder and file; undefined where they are not those of a segment. */
export function parseSegmentPath(day: string, name: string): Segment | undefined {
  const [, trail, first, copy] = segmentName.exec(name) ?? []
  if (trail === undefined || !isDay(day)) return undefined
  return { day, trail, first: Number(first), copy: Number(copy ?? 0) }
}

export function isDay(name: string): boolean {
  return dayName.test(name)
}

/** Order of the segments of one trail. */
export function compareSegments(a: Segment, b: Segment): number {
  return a.first - b.first || a.copy - b.copy || (a.day < b.day ? -1 : a.day > b.day ? 1 : 0)
}

/** Day and sequence of a record, read from the fixed end of its line; undefined where it has none. */
export function endOfRecord(line: string): { readonly day: string; readonly sequence: number } | undefined {
  const [, day, sequence] = recordEnd.exec(line.slice(-recordEndLength)) ?? []
  return day === undefined ? undefined : { day, sequence: Number(sequence) }
}
