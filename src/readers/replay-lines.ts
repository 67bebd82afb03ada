import { isUtf8 } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { isPlace, type ParsedRecord } from '../audit/chain.ts'
import { eventTypes } from '../audit/event.ts'
import { maxRecordBytes } from '../audit/redact.ts'
import { CountersignError, messageOf } from '../errors.ts'
import { readUsualDecision } from './replay-record.ts'

const newline = 0x0a
/** Small enough that what was read is still in the processor's cache when its lines are. */
const chunkBytes = 256 * 1024
const longestLine = 4 * maxRecordBytes

/** What is told of a file's lines; `bytes` are without the newline, and stay what they are during the call alone. */
export interface LineTaker {
  line(bytes: Buffer, number: number): void
  /** A line that is longer than any record can be. */
  tooLong(number: number): void
  /** The file ends in the middle of a line. */
  torn(number: number): void
  /** From this line on, a sealed segment cannot be decompressed. */
  damaged(number: number): void
  /** So many bytes more were read. */
  read(bytes: number): void
}

/**
 * Gives the lines of segments to takers, one segment at a time, in bounded memory. It does what `readSegment` does without a
 * promise and a buffer for each line, which would cost as much as to parse it, and without waiting for another thread to read:
 * the system reads ahead of it.
 */
export class LineReader {
  /** A chunk is read behind room for the line that the chunk before it ends with. */
  readonly #buffer = Buffer.allocUnsafeSlow(longestLine + chunkBytes)
  #rest = 0
  #tooLong = false
  #number = 0

  /** Of an open segment. Throws ARCHIVE_UNREADABLE, and what the taker throws. */
  take(path: string, taker: LineTaker): void {
    this.#begin()
    const file = orUnreadable(path, () => openRegular(path))
    try {
      const readChunk = () => orUnreadable(path, () => readSync(file, this.#buffer, longestLine, chunkBytes, null))
      for (let length = readChunk(); length > 0; length = readChunk()) {
        this.#cut(length, taker)
        taker.read(length)
      }
    } finally {
      closeSync(file)
    }
    this.#end(taker)
  }

  /** Of a sealed segment, as it is decompressed. Throws what the chunks throw, and what the taker throws. */
  async takeChunks(chunks: AsyncIterable<Buffer>, taker: LineTaker): Promise<void> {
    this.#begin()
    try {
      for await (const chunk of chunks) {
        for (let at = 0; at < chunk.length; at += chunkBytes) {
          this.#cut(chunk.copy(this.#buffer, longestLine, at, at + chunkBytes), taker)
        }
        taker.read(chunk.length)
      }
    } catch (fault) {
      if (!(fault instanceof CountersignError) || fault.code !== 'ARCHIVE_DAMAGED') throw fault
      taker.damaged(this.#number + 1)
      return
    }
    this.#end(taker)
  }

  #end(taker: LineTaker): void {
    if (this.#rest > 0 || this.#tooLong) taker.torn(this.#number + 1)
  }

  #begin(): void {
    this.#rest = 0
    this.#number = 0
    this.#tooLong = false
  }

  #cut(length: number, taker: LineTaker): void {
    const bytes = this.#buffer.subarray(longestLine - this.#rest, longestLine + length)
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
    this.#rest = this.#tooLong ? 0 : bytes.copy(this.#buffer, longestLine - rest, start)
  }
}

/** To open a pipe to which nobody writes would take for ever. */
function openRegular(path: string): number {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  if (fstatSync(file).isFile()) return file
  closeSync(file)
  throw new Error('it is not a regular file')
}

function orUnreadable<Result>(path: string, read: () => Result): Result {
  try {
    return read()
  } catch (thrown) {
    throw new CountersignError('ARCHIVE_UNREADABLE', `${path} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** A decision's record as it was found. */
export type ReadLine =
  | { readonly kind: 'decision'; readonly record: ParsedRecord; readonly sequence: number; readonly hash: string }
  | { readonly kind: 'other' }
  | { readonly kind: 'unreadable'; readonly problem: string }

/** How every record begins (`encodeEvent`): ids are UUIDs, so the type has a fixed place that no value can imitate. */
const head = /^\{"specversion":"1\.0","id":"[0-9a-f-]{36}","type":"([a-z0-9.]+)",/
const headBytes = 160
/** Where its type says what it is a record of: `d` stands there in decisions, which need no look at their head. */
const kindAt = '{"specversion":"1.0","id":"'.length + 36 + '","type":"io.countersign.'.length
const kindByte = 0x64
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
  if (line[kindAt] !== kindByte && isOther(line.toString('latin1', 0, headBytes)) && isWhole()) return other
  return isUtf8(line) ? parse(line.toString(), trail) : unreadable('the line is not UTF-8')
}

/** Whether the first bytes tell that a record is of another type. */
function isOther(start: string): boolean {
  const type = head.exec(start)?.[1]
  return type !== undefined && type !== eventTypes.decision
}

function parse(text: string, trail: string): ReadLine {
  const usual = readUsualDecision(text)
  if (usual?.trail !== trail || !isPlace(Number(usual.sequence))) return parseAny(text, trail)
  return { kind: 'decision', record: usual, sequence: Number(usual.sequence), hash: usual.hash }
}

function parseAny(text: string, trail: string): ReadLine {
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
  if (!isPlace(Number(sequence))) return unreadable('its sequence is no place in a trail')
  if (typeof hash !== 'string' || !/^[0-9a-f]{64}$/.test(hash)) return unreadable('the record has no hash')
  if (typeof time !== 'string' || typeof recordedat !== 'string') return unreadable('the record has no time')
  if (typeof data !== 'object' || (data as unknown) === null) return unreadable('the record has no data')
  return { kind: 'decision', record: record as ParsedRecord, sequence: Number(sequence), hash }
}

function unreadable(problem: string): ReadLine {
  return { kind: 'unreadable', problem }
}
