import { longestLine } from './block.ts'

/** Whole lines, each ended by a newline. */
export interface CutBlock {
  readonly bytes: Buffer
  /** Set where the last line is ended by nothing: the text ends there. */
  readonly torn: boolean
}

const newline = 0x0a

/**
 * Cuts text into blocks of whole lines, which are as long as the chunks that it comes in, each in memory of its own. Bounded: a line
 * that is longer than any record is cut.
 */
export async function* cutBlocks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<CutBlock> {
  const rest = new Rest()
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const end = bytes.lastIndexOf(newline) + 1
    if (end > 0) yield { bytes: rest.endedBy(bytes.subarray(0, end)), torn: false }
    rest.keep(bytes.subarray(end))
  }
  const last = rest.endedBy(Buffer.alloc(0))
  if (last.length > 0) yield { bytes: last, torn: true }
}

/** The beginning of a line whose end has not come yet. */
class Rest {
  #parts: Buffer[] = []
  #length = 0

  keep(part: Buffer): void {
    const room = Math.max(0, longestLine - this.#length)
    // A copy: chunks may share memory with what is read after them.
    if (part.length > 0 && room > 0) this.#parts.push(Buffer.from(part.subarray(0, room)))
    this.#length += Math.min(part.length, room)
  }

  endedBy(lines: Buffer): Buffer {
    const whole = Buffer.allocUnsafeSlow(this.#length + lines.length)
    let at = 0
    for (const part of this.#parts) at += part.copy(whole, at)
    lines.copy(whole, at)
    this.#parts = []
    this.#length = 0
    return whole
  }
}
