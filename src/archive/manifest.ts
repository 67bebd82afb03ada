import { join } from 'node:path'
import { formatSequence } from '../audit/record.ts'
import { isSealed, manifestPath, parseSegmentPath, segmentPath, type SealedSegment } from './layout.ts'
import { readRegularFile } from './regular-file.ts'

/**
 * What a sealed segment holds. The manifest is the authority: lines without one are no segment. It stands beside them as one
 * line of JSON (docs/archive.md), and neither is written again: what replaces a segment has a higher generation.
 */
export interface Manifest {
  readonly segment: SealedSegment
  /** Sequence of its last record. */
  readonly last: number
  readonly records: number
  /** `prevhash` of its first record. */
  readonly prevHash: string
  /** `hash` of its last record. */
  readonly hash: string
  /** Of its lines, with their newlines. */
  readonly bytes: number
  readonly sha256: string
  /** Of its file. */
  readonly compressed: Digested
  /** Segments that it stands in for, by their paths below the archive's folder; empty in the first generation. */
  readonly replaces: readonly string[]
  /** How many of its lines are tombstones: what stays of records that retention or erasure removed. */
  readonly tombstones: number
  /** Names the try to publish it, where several processes may write to the archive: up to 32 letters and digits. */
  readonly writer?: string
}

export interface Digested {
  readonly bytes: number
  /** 64 lower-case hex digits. */
  readonly sha256: string
}

const writerName = /^[A-Za-z0-9]{1,32}$/

/** The bytes of a manifest's file. `signatures` is the last member: what is signed is the line without it, as with a record's hash. */
export function encodeManifest(manifest: Manifest): Buffer {
  const { segment, last, records, prevHash, hash, bytes, sha256, compressed, replaces, tombstones, writer } = manifest
  const text = JSON.stringify({
    manifest: 1,
    segment: segmentPath(segment),
    trail: segment.trail,
    day: segment.day,
    first: formatSequence(segment.first),
    last: formatSequence(last),
    records,
    prevhash: prevHash,
    hash,
    bytes,
    sha256,
    compressed: { format: 'zstd', bytes: compressed.bytes, sha256: compressed.sha256 },
    generation: segment.generation,
    replaces,
    tombstones,
    ...(writer === undefined ? {} : { writer }),
    signatures: [],
  })
  return Buffer.from(`${text}\n`)
}

/** Reads the manifest that a claim carries, which names its segment itself. Undefined where it is not one. */
export function decodeClaim(text: string): Manifest | undefined {
  const path = parseObject(text)?.['segment']
  const [day = '', name = ''] = typeof path === 'string' ? path.split('/') : []
  const segment = parseSegmentPath(day, name)
  return segment !== undefined && isSealed(segment) ? decodeManifest(text, segment) : undefined
}

/** Reads a manifest back. Undefined where it is not one, or speaks of another segment than the one that it stands beside. */
function decodeManifest(text: string, segment: SealedSegment): Manifest | undefined {
  const said = parseObject(text)
  if (said?.['manifest'] !== 1 || said['segment'] !== segmentPath(segment)) return undefined
  const compressed = readDigested(said['compressed'])
  const lines = readDigested(said)
  const last = readSequence(said['last'])
  const { records, prevhash, hash, replaces = [], tombstones = 0, writer } = said
  if (compressed === undefined || lines === undefined || last === undefined || !isCount(records)) return undefined
  if (!isHash(prevhash) || !isHash(hash) || !isCount(tombstones) || !isTexts(replaces)) return undefined
  if (last < segment.first) return undefined
  if (said['trail'] !== segment.trail || said['day'] !== segment.day) return undefined
  if (readSequence(said['first']) !== segment.first || said['generation'] !== segment.generation) return undefined
  const manifest = { segment, last, records, prevHash: prevhash, hash, ...lines, compressed, replaces, tombstones }
  return typeof writer === 'string' && writerName.test(writer) ? { ...manifest, writer } : manifest
}

/** The manifest of a sealed segment; undefined where it cannot be read as one. */
export async function readManifest(archiveDir: string, segment: SealedSegment): Promise<Manifest | undefined> {
  try {
    return decodeManifest(await readRegularFile(join(archiveDir, manifestPath(segment))), segment)
  } catch {
    return undefined
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const said = JSON.parse(text) as unknown
    return typeof said === 'object' && said !== null ? (said as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function readDigested(value: unknown): Digested | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { bytes, sha256 } = value as Partial<Record<string, unknown>>
  return isCount(bytes) && isHash(sha256) ? { bytes, sha256 } : undefined
}

function readSequence(value: unknown): number | undefined {
  return typeof value === 'string' && /^[0-9]{16}$/.test(value) ? Number(value) : undefined
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}
