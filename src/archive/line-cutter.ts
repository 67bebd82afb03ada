import { maxRecordBytes } from '../audit/redact.ts'

/** One line of a segment, as its bytes. */
export interface SegmentLine {
  /** 1-based. */
  readonly number: number
  /** Without the newline; empty where the line is too long to be a record, or cannot be read. */
  readonly bytes: Buffer
  /** In bytes, without the newline; that of `bytes` where those are here. */
  readonly length: number
  /** `damaged`: from here on, a sealed segment cannot be decompressed. */
  readonly end: 'newline' | 'torn' | 'too-long' | 'damaged'
}

export const longestLine = 4 * maxRecordBytes
const newline = 0x0a

/** Cuts bytes into lines as they come, in memory bounded by the longest line. */
export class LineCutter {
  #number = 0
  #parts: Buffer[] = []
  #length = 0

  #keep(part: Buffer): void {
    this.#length += part.length
    if (this.#length > longestLine) this.#parts = []
    else if (part.length > 0) this.#parts.push(part)
  }

  /** The lines that end in this chunk. */
  *cut(chunk: Buffer): Generator<SegmentLine> {
    let start = 0
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, start)) {
      this.#keep(chunk.subarray(start, at))
      yield this.#take('newline')
      start = at + 1
    }
    this.#keep(chunk.subarray(start))
  }

  /** What is left when the file ends. */
  *end(): Generator<SegmentLine> {
    if (this.#length > 0) yield this.#take('torn')
  }

  /** Stands for the line in which reading failed. */
  damaged(): SegmentLine {
    return { number: this.#number + 1, bytes: Buffer.alloc(0), length: 0, end: 'damaged' }
  }

  #take(end: 'newline' | 'torn'): SegmentLine {
    const length = this.#length
    const tooLong = length > longestLine
    const bytes = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
    this.#parts = []
    this.#length = 0
    this.#number += 1
    return { number: this.#number, bytes, length, end: tooLong ? 'too-long' : end }
  }
}
