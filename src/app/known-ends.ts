import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { listSegments, readManifest } from '../archive/read.ts'
import { isSealed, segmentPath, type Segment } from '../archive/layout.ts'
import { checkLine } from '../audit/chain.ts'
import type { KnownEnd } from '../spool/protocol.ts'

/** `-` and a UUIDv7, which follow the replica's name in the id of a trail and grow with time. */
const idLength = 37
/** Days of the archive that are looked through for a trail of the replica, the newest first. */
const mostDays = 7
/** Enough of a file's end to hold its last whole line (a record is 64 KiB at most). */
const endBytes = 256 * 1024

/**
 * What the archive and the file of checkpoints know of the end of the replica's newest trails: what the spool must not have less of.
 * Cheap: reads a few names, and the end of a file or two. What cannot be read says nothing.
 */
export async function readKnownEnds(replica: string, archiveDir: string, checkpointFile: string): Promise<KnownEnd[]> {
  const ends = [await endInArchive(replica, archiveDir), endOfFile(replica, checkpointFile, 'checkpoint')]
  return ends
    .filter((end) => end !== undefined)
    .sort((one, other) => (one.trail.slice(-idLength) < other.trail.slice(-idLength) ? -1 : 1))
}

async function endInArchive(replica: string, archiveDir: string): Promise<KnownEnd | undefined> {
  for (const day of daysOf(archiveDir).slice(0, mostDays)) {
    const { segments } = await listSegments(archiveDir, { from: day, to: day }).catch(() => ({ segments: [] }))
    const newest = newestOf(segments.filter(({ trail }) => trail.slice(0, -idLength) === replica))
    if (newest !== undefined) return endOfSegment(replica, archiveDir, newest)
  }
  return undefined
}

async function endOfSegment(replica: string, archiveDir: string, segment: Segment): Promise<KnownEnd | undefined> {
  if (!isSealed(segment)) return endOfFile(replica, join(archiveDir, segmentPath(segment)), 'archive')
  const manifest = await readManifest(archiveDir, segment).catch(() => undefined)
  if (manifest === undefined) return undefined
  return { trail: segment.trail, sequence: manifest.last, hash: manifest.hash, from: 'archive' }
}

function daysOf(archiveDir: string): readonly string[] {
  try {
    return readdirSync(archiveDir).sort().reverse()
  } catch {
    return []
  }
}

/** Of the newest trail, the part that begins last. */
function newestOf(segments: readonly Segment[]): Segment | undefined {
  return segments.reduce<Segment | undefined>((newest, segment) => {
    if (newest === undefined) return segment
    const [one, other] = [segment.trail.slice(-idLength), newest.trail.slice(-idLength)]
    return one > other || (one === other && segment.first > newest.first) ? segment : newest
  }, undefined)
}

/** The last whole line that is an intact record of the replica. */
function endOfFile(replica: string, path: string, from: KnownEnd['from']): KnownEnd | undefined {
  for (const line of lastLines(path).reverse()) {
    const checked = checkLine(line)
    if (!checked.ok || checked.place.trail.slice(0, -idLength) !== replica) continue
    const { trail, sequence, hash } = checked.place
    return { trail, sequence, hash, from }
  }
  return undefined
}

function lastLines(path: string): string[] {
  try {
    const file = openSync(path, 'r')
    try {
      const { size } = fstatSync(file)
      const bytes = Buffer.alloc(Math.min(size, endBytes))
      readSync(file, bytes, 0, bytes.length, size - bytes.length)
      return bytes.toString().split('\n').slice(0, -1)
    } finally {
      closeSync(file)
    }
  } catch {
    return []
  }
}
