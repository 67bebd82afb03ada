import { cutBlocks } from '../../../src/readers/verify/cut-blocks.ts'
import type { Part } from '../../../src/readers/verify/part.ts'
import { topicParts } from '../../../src/readers/verify/topic-parts.ts'

/** An exported file of these lines, in pieces of `pieceBytes`. */
export function exported(lines: readonly string[], pieceBytes = 1024 * 1024): Part {
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
  async function* pieces(): AsyncGenerator<Buffer> {
    await Promise.resolve()
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
  }
  return { source: 'file', name: 'export', stream: 'export', bytes: bytes.length, blocks: () => cutBlocks(pieces()) }
}

/** The only partition of a topic, which begins with offset `first`. */
export function partition(lines: readonly string[], first = 0): readonly Part[] {
  async function* messages() {
    await Promise.resolve()
    yield lines.map((line, index) => ({ offset: first + index, value: Buffer.from(line) }))
  }
  return topicParts('audit', [{ partition: 0, first, end: first + lines.length, messages }])
}
