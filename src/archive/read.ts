import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'
import { codeOf } from './disk.ts'
import { segmentPath, type Segment } from './layout.ts'
import { LineCutter, type SegmentLine } from './line-cutter.ts'
import { openRegularFile } from './regular-file.ts'
import { zstdChunks } from './zstd.ts'

export { listSegments, type Days, type Listing } from './list.ts'
export { readManifest, type Manifest } from './manifest.ts'
export type { SegmentLine } from './line-cutter.ts'

const chunkBytes = 256 * 1024

/**
 * Reads a segment, open or sealed, line by line, in bounded memory. A last line without a newline is given as `torn`, one
 * longer than any record can be without its bytes, and the place where a sealed segment cannot be decompressed as
 * `damaged`. A segment that is sealed meanwhile is found where it stands then. Throws ARCHIVE_UNREADABLE.
 */
export async function* readSegment(path: string): AsyncGenerator<SegmentLine> {
  const lines = new LineCutter()
  try {
    for await (const chunk of fileChunks(path)) yield* lines.cut(chunk)
  } catch (fault) {
    if (!(fault instanceof CountersignError) || fault.code !== 'ARCHIVE_DAMAGED') throw fault
    yield lines.damaged()
    return
  }
  yield* lines.end()
}

/**
 * The bytes of a segment's lines, open or sealed, as they come, in bounded memory. Throws ARCHIVE_UNREADABLE, and
 * ARCHIVE_DAMAGED where a sealed segment cannot be decompressed to its end.
 */
export function segmentChunks(archiveDir: string, segment: Segment): AsyncGenerator<Buffer> {
  return fileChunks(join(archiveDir, segmentPath(segment)))
}

const sealedEnding = '.zst'

async function* fileChunks(path: string): AsyncGenerator<Buffer> {
  const opened = await openSegmentFile(path)
  try {
    if (opened.path.endsWith(sealedEnding)) yield* zstdChunks(opened.file, chunkBytes)
    else for await (const chunk of plainChunks(opened.file)) yield chunk as Buffer
  } catch (thrown) {
    throw unreadable(opened.path, thrown)
  } finally {
    await opened.file.close()
  }
}

function plainChunks(file: FileHandle): AsyncIterable<unknown> {
  return file.createReadStream({ highWaterMark: chunkBytes, autoClose: false })
}

async function openSegmentFile(path: string): Promise<{ readonly file: FileHandle; readonly path: string }> {
  try {
    return { file: await openRegularFile(path), path }
  } catch (thrown) {
    const isSealed = path.endsWith(sealedEnding)
    if (codeOf(thrown) !== 'ENOENT' || isSealed) throw unreadable(path, thrown)
    const sealed = `${path}${sealedEnding}`
    const file = await openRegularFile(sealed).catch(() => undefined)
    if (file === undefined) throw unreadable(path, thrown)
    return { file, path: sealed }
  }
}

function unreadable(path: string, thrown: unknown): CountersignError {
  if (/^(?:Z_|ZSTD_)/.test(codeOf(thrown) ?? '')) {
    const message = `${path} cannot be decompressed: ${messageOf(thrown)}`
    return new CountersignError('ARCHIVE_DAMAGED', message, { cause: thrown })
  }
  return new CountersignError('ARCHIVE_UNREADABLE', `${path} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
}
