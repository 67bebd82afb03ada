import { open, truncate, unlink, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { checkLine } from '../audit/chain.ts'
import { maxRecordBytes } from '../audit/redact.ts'
import { endOfRecord, isSealed, segmentPath, type ArchiveRecord, type SealedSegment, type Segment } from './layout.ts'
import { readManifest } from './manifest.ts'
import { syncFolder, type SegmentEnd } from './open-segment.ts'
import { listSegments, readSegment } from './read.ts'

/** How far a trail is kept, and the segment that may be gone on with: `bytes` long, ending with the record `last`. */
export type Tail = SegmentEnd | { readonly last: number; readonly segment?: undefined }

/**
 * Finds the end of a trail that an earlier process may have left in the middle of a line. A torn last line was never
 * reported as kept: it is cut off. So are the holes of a power failure, where only records from `given` on, which are given
 * again, stand behind them. What stays is made durable, for the earlier process may not have come to that.
 */
export async function repairTail(archiveDir: string, trail: string, given?: number): Promise<Tail> {
  for (const segment of (await segmentsOf(archiveDir, trail)).reverse()) {
    if (isSealed(segment)) return { last: await lastOfSealed(archiveDir, segment) }
    const path = join(archiveDir, segmentPath(segment))
    if (given !== undefined) await cutHoles(path, trail, given)
    const end = await cutToLines(path)
    if (end.bytes > 0) {
      const last = sequenceOf(end.lastLine, trail)
      return last === undefined ? { last: 0 } : { last, segment, bytes: end.bytes }
    }
    await unlink(path)
    await syncFolder(dirname(path))
  }
  return { last: 0 }
}

/** Which of these records of one trail the archive has already, with the same bytes. */
export async function findKept(
  archiveDir: string,
  records: readonly ArchiveRecord[],
): Promise<ReadonlySet<ArchiveRecord>> {
  const wanted = new Map(records.map((record) => [record.sequence, record]))
  const sequences = [...wanted.keys()]
  const [lowest, highest] = [Math.min(...sequences), Math.max(...sequences)]
  const kept = new Set<ArchiveRecord>()
  const segments = await segmentsOf(archiveDir, records[0]?.trail ?? '')
  for (const [index, segment] of segments.entries()) {
    if (segment.first > highest || (segments[index + 1]?.first ?? Infinity) <= lowest) continue
    if (isSealed(segment) && (await lastOfSealed(archiveDir, segment)) < lowest) continue
    for await (const line of readSegment(join(archiveDir, segmentPath(segment)))) {
      const text = line.bytes.toString()
      const record = line.end === 'newline' ? wanted.get(endOfRecord(text)?.sequence ?? 0) : undefined
      if (record?.line === text) kept.add(record)
    }
  }
  return kept
}

/** By its manifest, or, where that is damaged, by its lines. */
async function lastOfSealed(archiveDir: string, segment: SealedSegment): Promise<number> {
  const manifest = await readManifest(archiveDir, segment)
  if (manifest !== undefined) return manifest.last
  let last = segment.first
  for await (const line of readSegment(join(archiveDir, segmentPath(segment)))) {
    last = Math.max(last, endOfRecord(line.bytes.toString())?.sequence ?? 0)
  }
  return last
}

async function segmentsOf(archiveDir: string, trail: string): Promise<Segment[]> {
  return (await listSegments(archiveDir)).segments.filter((segment) => segment.trail === trail)
}

function sequenceOf(line: Buffer, trail: string): number | undefined {
  const checked = checkLine(line.toString())
  return checked.ok && checked.place.trail === trail ? checked.place.sequence : undefined
}

/** No record has a zero byte. It stands where a power failure kept the length of a file, and not what was last written to it. */
async function cutHoles(path: string, trail: string, given: number): Promise<void> {
  let [at, hole]: [number, number | undefined] = [0, undefined]
  for await (const { bytes, length } of readSegment(path)) {
    if (length > bytes.length || bytes.includes(0)) hole ??= at
    else if ((sequenceOf(bytes, trail) ?? given) < given) hole = undefined
    at += length + 1
  }
  if (hole !== undefined) await truncate(path, hole)
}

interface LinesEnd {
  /** Length of the file after its last newline. */
  readonly bytes: number
  readonly lastLine: Buffer
}

async function cutToLines(path: string): Promise<LinesEnd> {
  const file = await open(path, 'r+')
  try {
    const { size } = await file.stat()
    const end = lastLineOf(await readEnd(file, size), size)
    if (end.bytes < size) await file.truncate(end.bytes)
    await file.sync()
    return end
  } finally {
    await file.close()
  }
}

async function readEnd(file: FileHandle, size: number): Promise<Buffer> {
  const length = Math.min(size, 4 * maxRecordBytes)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
  return buffer.subarray(0, bytesRead)
}

function lastLineOf(end: Buffer, size: number): LinesEnd {
  const newline = end.lastIndexOf(0x0a)
  // Longer than any record and no newline: nothing that this writer wrote. It is left as it is, for verify to name.
  if (newline === -1) return { bytes: end.length < size ? size : 0, lastLine: Buffer.alloc(0) }
  const before = newline === 0 ? -1 : end.lastIndexOf(0x0a, newline - 1)
  return { bytes: size - end.length + newline + 1, lastLine: end.subarray(before + 1, newline) }
}
