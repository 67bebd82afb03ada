import { createHash } from 'node:crypto'
import { endOfRecord, type Segment } from './layout.ts'
import { LineCutter, type SegmentLine } from './line-cutter.ts'
import type { Digested, Manifest } from './manifest.ts'

/** What a manifest says of a segment's lines. */
export type LinesSummary = Pick<Manifest, 'last' | 'records' | 'prevHash' | 'hash' | 'bytes' | 'sha256'>

/** Reads bytes as they pass: how many, and their digest. */
export class Digest {
  readonly #hash = createHash('sha256')
  #bytes = 0

  take(chunk: Buffer): void {
    this.#hash.update(chunk)
    this.#bytes += chunk.length
  }

  done(): Digested {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }
}

/** Reads the lines of a segment as they pass, and tells whether they are what a segment may hold. */
export class LinesDigest {
  readonly #segment: Segment
  readonly #digest = new Digest()
  readonly #lines = new LineCutter()
  #records = 0
  #prevHash = ''
  #hash = ''
  #problem: string | undefined

  constructor(segment: Segment) {
    this.#segment = segment
  }

  take(chunk: Buffer): void {
    this.#digest.take(chunk)
    for (const line of this.#lines.cut(chunk)) this.#takeLine(line)
  }

  /** The summary, or what is wrong with the first line that does not belong. */
  done(): LinesSummary | { readonly problem: string } {
    for (const line of this.#lines.end()) this.#takeLine(line)
    const problem = this.#problem ?? (this.#records === 0 ? 'it holds no record' : undefined)
    if (problem !== undefined) return { problem }
    const last = this.#segment.first + this.#records - 1
    return { last, records: this.#records, prevHash: this.#prevHash, hash: this.#hash, ...this.#digest.done() }
  }

  #takeLine({ number, bytes, end }: SegmentLine): void {
    if (this.#problem !== undefined) return
    const { trail, day, first } = this.#segment
    const found = end === 'newline' ? endOfRecord(bytes.toString()) : undefined
    const fits = found?.trail === trail && found.day === day && found.sequence === first + this.#records
    if (!fits) {
      const expected = `sequence ${String(first + this.#records)} of ${trail}`
      this.#problem = `line ${String(number)} is not the record with ${expected}, of ${day}`
      return
    }
    if (this.#records === 0) this.#prevHash = found.prevHash
    this.#hash = found.hash
    this.#records += 1
  }
}
