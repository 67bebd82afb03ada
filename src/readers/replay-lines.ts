import { isUtf8 } from 'node:buffer'
import { open, type FileHandle } from 'node:fs/promises'
import type { ParsedRecord } from '../audit/chain.ts'
import { eventTypes } from '../audit/event.ts'
import { maxRecordBytes } from '../audit/redact.ts'
import { CountersignError, messageOf } from '../errors.ts'

const newline = 0x0a
const chunkBytes = 1024 * 1024
const longestLine = 4 * maxRecordBytes

/** What is told of a file's lines; `bytes` are without the newline, and stay what they are during the call alone. */
export interface LineTaker {
  line(bytes: Buffer, number: number): void
  /** A line that is longer than any record can be. */
  tooLong(number: number): void
  /** The file ends in the middle of a line. */
  torn(number: number): void
  /** So many bytes more were read. */
  read(bytes: number): void
}

/**
 * Gives the lines of segments to takers, one segment at a time, in bounded memory. It does what `readSegment` does without a
 * promise and a buffer for each line, which would cost as much as to parse it; the next chunk is read meanwhile.
 */
export class LineReader {
  /** A chunk is read behind room for the line that the chunk before it ends with. */
  readonly #buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(longestLine + chunkBytes)) as [Buffer, Buffer]
  #rest = 0
  #tooLong = false
  #number = 0

  /** Throws ARCHIVE_UNREADABLE, and what the taker throws. */
  async take(path: string, taker: LineTaker): Promise<void> {
    this.#begin()
    const file = await open(path).catch((thrown: unknown) => unreadableFile(path, thrown))
    try {
      await this.#takeChunks((buffer) => readChunk(file, buffer, path), taker)
    } finally {
      await file.close()
    }
    if (this.#rest > 0 || this.#tooLong) taker.torn(this.#number + 1)
  }

  #begin(): void {
    this.#rest = 0
    this.#number = 0
    this.#tooLong = false
  }

  async #takeChunks(readInto: (buffer: Buffer) => Promise<number>, taker: LineTaker): Promise<void> {
    let [current, next] = this.#buffers
    for (let length = await readInto(current); length > 0;) {
      const reading = readInto(next)
      // Awaited below, unless the taker throws.
      reading.catch(() => undefined)
      this.#cut(current, length, next, taker)
      taker.read(length)
      length = await reading
      ;[current, next] = [next, current]
    }
  }

  #cut(buffer: Buffer, length: number, next: Buffer, taker: LineTaker): void {
    const bytes = buffer.subarray(longestLine - this.#rest, longestLine + length)
    let start = 0
    for (let at = bytes.indexOf(newline, this.#rest); at !== -1; at = bytes.indexOf(newline, start)) {
      this.#number += 1
      if (this.#tooLong) taker.tooLong(this.#number)
      else taker.line(bytes.subarray(start, at), this.#number)
      this.#tooLong = false
      start = at + 1
    }
    const rest = bytes.length - start
    this.#tooLong ||= rest > longestLine
    this.#rest = this.#tooLong ? 0 : bytes.copy(next, longestLine - rest, start)
  }
}

async function readChunk(file: FileHandle, buffer: Buffer, path: string): Promise<number> {
  const read = file.read(buffer, longestLine, chunkBytes)
  return (await read.catch((thrown: unknown) => unreadableFile(path, thrown))).bytesRead
}

function unreadableFile(path: string, thrown: unknown): never {
  throw new CountersignError('ARCHIVE_UNREADABLE', `${path} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
}

/** A decision's record as it was found. */
export type ReadLine =
  | { readonly kind: 'decision'; readonly record: ParsedRecord; readonly sequence: number; readonly hash: string }
  | { readonly kind: 'other' }
  | { readonly kind: 'unreadable'; readonly problem: string }

/** How every record begins (`encodeEvent`): ids are UUIDs, so the type has a fixed place that no value can imitate. */
const head = /^\{"specversion":"1\.0","id":"[0-9a-f-]{36}","type":"([a-z0-9.]+)",/
const headBytes = 160
const other: ReadLine = { kind: 'other' }

/** A line in which a second record begins was glued together: it is no record of the type with which it begins. */
const beginning = '{"specversion":'
const beginningBytes = Buffer.from(beginning)

/**
 * Reads a line of a segment or of the spool as a decision. Whole records of other types are not parsed. Hashes are not
 * checked: that is for `verify`.
 */
export function readLine(line: Buffer | string, trail: string): ReadLine {
  if (typeof line === 'string') {
    const isWhole = () => line.endsWith('}') && !line.includes(beginning, 1)
    return isOther(line.slice(0, headBytes)) && isWhole() ? other : parse(line, trail)
  }
  const isWhole = () => line[line.length - 1] === 0x7d && !line.includes(beginningBytes, 1)
  if (isOther(line.toString('latin1', 0, headBytes)) && isWhole()) return other
  return isUtf8(line) ? parse(line.toString(), trail) : unreadable('the line is not UTF-8')
}

/** Whether the first bytes tell that a record is of another type. */
function isOther(start: string): boolean {
  const type = head.exec(start)?.[1]
  return type !== undefined && type !== eventTypes.decision
}

function parse(text: string, trail: string): ReadLine {
  let record: Partial<ParsedRecord & { readonly hash: unknown }> | null
  try {
    record = JSON.parse(text) as typeof record
  } catch {
    return unreadable('the line is not JSON')
  }
  if (record === null || typeof record !== 'object') return unreadable('the line is no record')
  if (typeof record.type !== 'string') return unreadable('the record has no type')
  if (record.type !== eventTypes.decision) return other
  const { sequence, hash, time, recordedat, data } = record
  if (record.trail !== trail) return unreadable(`the record belongs to trail ${String(record.trail)}`)
  if (typeof sequence !== 'string' || !/^[0-9]{16}$/.test(sequence)) {
    return unreadable('the record has no sequence of 16 digits')
  }
  if (typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash)) return unreadable('the record has no hash')
  if (typeof time !== 'string' || typeof recordedat !== 'string') return unreadable('the record has no time')
  if (typeof data !== 'object' || (data as unknown) === null) return unreadable('the record has no data')
  return { kind: 'decision', record: record as ParsedRecord, sequence: Number(sequence), hash }
}

function unreadable(problem: string): ReadLine {
  return { kind: 'unreadable', problem }
}
