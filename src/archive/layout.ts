import { isPlace } from '../audit/chain.ts'
import { CountersignError } from '../errors.ts'

/**
 * One segment: whole records of one trail, recorded on one day, in the order of their sequence without gaps. It stands at
 * `archive/<day>/<trail>.<first sequence, 16 digits>[.<copy>].ndjson` while it is open. Once sealed it has the ending
 * `.ndjson.zst`, and beside it `….manifest.json`, which says what it holds; neither is written again. What replaces a sealed
 * segment has a higher generation, which its names carry: `….g2.ndjson.zst`, `….g2.manifest.json`.
 */
export interface Segment {
  /** UTC date of `recordedat` of its records, `YYYY-MM-DD`. */
  readonly day: string
  readonly trail: string
  /** Sequence of its first record. */
  readonly first: number
  /** 0, or above where a segment of the same name is there already and cannot be gone on with. */
  readonly copy: number
  /** Left out while it is open; from 1 on once sealed. */
  readonly generation?: number
}

export type SealedSegment = Segment & { readonly generation: number }

/** What the archive keeps of a record: its line, byte for byte, under its place. */
export interface ArchiveRecord {
  readonly trail: string
  /** 1-based place in the trail. */
  readonly sequence: number
  /** The record's own bytes, without a newline. */
  readonly line: string
}

/** What a file of a day's folder is, told by its name. */
export type NamedFile =
  | { readonly kind: 'lines' | 'manifest'; readonly segment: Segment }
  /** What a writer takes before it publishes, so that of two writers one is first; `serial` counts from 1. */
  | { readonly kind: 'claim'; readonly trail: string; readonly serial: number }
  /** What a writer has not finished, or will not any more. */
  | { readonly kind: 'temporary' }

/** Room for the rest of the name in the 255 bytes that a file's name may have. */
const maxTrailLength = 180
const trailName = /^[A-Za-z0-9._-]+$/
const segmentName =
  /^([A-Za-z0-9._-]+)\.([0-9]{16})(?:\.([1-9][0-9]{0,3}))?(?:\.g([2-9]|[1-9][0-9]{1,3}))?\.(ndjson|ndjson\.zst|manifest\.json)$/
const claimName = /^([A-Za-z0-9._-]+)\.([0-9]{16})\.claim$/
const dayName = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/
const recordEnd =
  /"recordedat":"([0-9]{4}-[0-9]{2}-[0-9]{2})T[^"]*","trail":"([^"]*)","sequence":"([0-9]{16})","prevhash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}$/
const recordEndLength = 300 + maxTrailLength

/** Where a segment's lines stand below the archive's folder. Throws ARCHIVE_UNWRITABLE for a trail whose id cannot be a file's name. */
export function segmentPath(segment: Segment): string {
  return `${pathBase(segment)}${segment.generation === undefined ? '.ndjson' : '.ndjson.zst'}`
}

/** Where a sealed segment's manifest stands below the archive's folder. */
export function manifestPath(segment: SealedSegment): string {
  return `${pathBase(segment)}.manifest.json`
}

/** Where a claim stands below the archive's folder. */
export function claimPath(day: string, trail: string, serial: number): string {
  return `${day}/${trail}.${digits(serial)}.claim`
}

/** Whether a trail id can stand in the name of a file. */
export function canName(trail: string): boolean {
  return trailName.test(trail) && trail.length <= maxTrailLength
}

function pathBase({ day, trail, first, copy, generation = 1 }: Segment): string {
  if (!canName(trail) || !dayName.test(day)) {
    throw new CountersignError(
      'ARCHIVE_UNWRITABLE',
      `the trail id ${JSON.stringify(trail)} cannot name a segment: it may hold up to ${String(maxTrailLength)} letters, digits, ".", "-" and "_"`,
    )
  }
  const again = copy === 0 ? '' : `.${String(copy)}`
  return `${day}/${trail}.${digits(first)}${again}${generation === 1 ? '' : `.g${String(generation)}`}`
}

function digits(number: number): string {
  return String(number).padStart(16, '0')
}

/** Tells what a file of a day's folder is; undefined where its name is none that the archive gives. */
export function parseName(day: string, name: string): NamedFile | undefined {
  if (!isDay(day)) return undefined
  if (name.endsWith('.tmp')) return { kind: 'temporary' }
  const claim = claimName.exec(name)
  if (claim !== null) return { kind: 'claim', trail: claim[1] as string, serial: Number(claim[2]) }
  const [, trail, first, copy = '0', generation, ending] = segmentName.exec(name) ?? []
  if (trail === undefined || (ending === 'ndjson' && generation !== undefined) || !isPlace(Number(first)))
    return undefined
  const place = { day, trail, first: Number(first), copy: Number(copy) }
  if (ending === 'ndjson') return { kind: 'lines', segment: place }
  const segment = { ...place, generation: Number(generation ?? 1) }
  return { kind: ending === 'manifest.json' ? 'manifest' : 'lines', segment }
}

/** Reads a segment's place back from the names of its folder and file; undefined where they are not those of a segment's lines. */
export function parseSegmentPath(day: string, name: string): Segment | undefined {
  const named = parseName(day, name)
  return named?.kind === 'lines' ? named.segment : undefined
}

export function isDay(name: string): boolean {
  return dayName.test(name)
}

export function isSealed(segment: Segment): segment is SealedSegment {
  return segment.generation !== undefined
}

/** Order of the segments of one trail. */
export function compareSegments(a: Segment, b: Segment): number {
  return a.first - b.first || a.copy - b.copy || (a.day < b.day ? -1 : a.day > b.day ? 1 : 0)
}

/** What the fixed end of a record's line tells. */
export interface RecordEnd {
  readonly day: string
  readonly trail: string
  readonly sequence: number
  readonly prevHash: string
  readonly hash: string
}

/** Reads the fixed end of a record's line; undefined where it has none. */
export function endOfRecord(line: string): RecordEnd | undefined {
  const [, day, trail, sequence, prevHash, hash] = recordEnd.exec(line.slice(-recordEndLength)) ?? []
  if (day === undefined || trail === undefined || prevHash === undefined || hash === undefined) return undefined
  return { day, trail, sequence: Number(sequence), prevHash, hash }
}
