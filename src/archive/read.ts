import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { maxRecordBytes } from '../audit/redact.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { compareSegments, isDay, parseSegmentPath, type Segment } from './layout.ts'

/** One line of a segment, as its bytes. */
export interface SegmentLine {
  /** 1-based. */
  readonly number: number
  /** Without the newline; empty where the line is too long to be a record. */
  readonly bytes: Buffer
  readonly end: 'newline' | 'torn' | 'too-long'
}

export interface Listing {
  /** In order of trail, then of sequence. */
  readonly segments: readonly Segment[]
  /** Names of what stands in the archive and is no segment. */
  readonly unknown: readonly string[]
}

const longestLine = 4 * maxRecordBytes
const newline = 0x0a

/** Lists the segments of an archive; none where its folder is missing. Throws ARCHIVE_UNREADABLE. */
export async function listSegments(archiveDir: string): Promise<Listing> {
  const segments: Segment[] = []
  const unknown: string[] = []
  for (const day of await namesIn(archiveDir)) {
    if (!isDay(day)) {
      unknown.push(day)
      continue
    }
    for (const name of await namesIn(join(archiveDir, day))) {
      const segment = parseSegmentPath(day, name)
      if (segment === undefined) unknown.push(`${day}/${name}`)
      else segments.push(segment)
    }
  }
  segments.sort((a, b) => (a.trail < b.trail ? -1 : a.trail > b.trail ? 1 : compareSegments(a, b)))
  return { segments, unknown }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).sort()
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw unreadable(dir, thrown)
  }
}

/**
 * Reads a segment line by line, in bounded memory. A last line without a newline is given as `torn`; a line that is
 * longer than any record can be is given without its bytes. Throws ARCHIVE_UNREADABLE.
 */
export async function* readSegment(path: string): AsyncGenerator<SegmentLine> {
  const lines = new LineCutter()
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) {
      yield* lines.cut(chunk as Buffer)
    }
  } catch (thrown) {
    throw unreadable(path, thrown)
  }
  yield* lines.end()
}

class LineCutter {
  #number = 0
  #parts: Buffer[] = []
  #length = 0

  #keep(part: Buffer): void {
    this.#length += part.length
    if (this.#length > longestLine) this.#parts = []
    else if (part.length > 0) this.#parts.push(part)
  }

  *cut(chunk: Buffer): Generator<SegmentLine> {
    let start = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, at))
      yield this.#take('newline')
      start = at + 1
    }
    this.#keep(chunk.subarray(start))
  }

  *end(): Generator<SegmentLine> {
    if (this.#length > 0) yield this.#take('torn')
  }

  #take(end: 'newline' | 'torn'): SegmentLine {
    const tooLong = this.#length > longestLine
    const bytes = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
    this.#parts = []
    this.#length = 0
    this.#number += 1
    return { number: this.#number, bytes, end: tooLong ? 'too-long' : end }
  }
}

function unreadable(path: string, thrown: unknown): CountersignError {
  if (thrown instanceof CountersignError) return thrown
  return new CountersignError('ARCHIVE_UNREADABLE', `${path} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
}
