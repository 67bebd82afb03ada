import { hash } from 'node:crypto'
import { emptyRoot } from '../../audit/merkle.ts'

// Digests are kept as texts of 32 characters, one for each byte: Node.js makes those several times faster than buffers.

const digestBytes = 32
const leafBytes = Buffer.alloc(1 + digestBytes)
const nodeBytes = Buffer.alloc(1 + 2 * digestBytes, 1)

/** The leaf of a record, given by the 64 hex digits of its hash. */
export function leafOf(recordHash: string): string {
  leafBytes.write(recordHash, 1, digestBytes, 'hex')
  return hash('sha256', leafBytes, 'binary')
}

function nodeOf(left: string, right: string): string {
  nodeBytes.write(left, 1, digestBytes, 'latin1')
  nodeBytes.write(right, 1 + digestBytes, digestBytes, 'latin1')
  return hash('sha256', nodeBytes, 'binary')
}

/** A range of leaves as threads hand it on. */
export interface RangeNodes {
  readonly begin: number
  readonly end: number
  readonly levels: readonly number[]
  readonly digests: readonly string[]
}

/**
 * The leaves from `begin` to `end` (from 0, end excluded) of a trail's tree (audit/merkle.ts), as the roots of the whole subtrees that
 * they make up. Ranges that were made apart are joined without their leaves, which is how one trail is checked by several threads.
 */
export class TreeRange {
  readonly begin: number
  #end: number
  readonly #levels: number[]
  readonly #digests: string[]

  constructor(begin: number, nodes: RangeNodes = { begin, end: begin, levels: [], digests: [] }) {
    this.begin = begin
    this.#end = nodes.end
    this.#levels = [...nodes.levels]
    this.#digests = [...nodes.digests]
  }

  get end(): number {
    return this.#end
  }

  append(leaf: string): void {
    this.#push(0, leaf)
  }

  /** Adds a range that begins where this one ends. */
  join({ begin, levels, digests }: RangeNodes): void {
    if (begin !== this.#end) throw new RangeError(`a range from ${String(begin)} does not follow ${String(this.#end)}`)
    for (const [index, level] of levels.entries()) this.#push(level, digests[index] as string)
  }

  nodes(): RangeNodes {
    return { begin: this.begin, end: this.#end, levels: [...this.#levels], digests: [...this.#digests] }
  }

  /** The RFC 6962 root of all leaves; the range has to begin with the first. */
  root(): Buffer {
    const top = this.#digests.reduceRight<string | undefined>(
      (right, left) => (right === undefined ? left : nodeOf(left, right)),
      undefined,
    )
    return top === undefined ? emptyRoot : Buffer.from(top, 'latin1')
  }

  #push(level: number, digest: string): void {
    const width = 2 ** level
    // The number of the subtree among those of its level: an odd one is the right half of the one above.
    let number = this.#end / width
    while (number % 2 === 1 && this.#levels.at(-1) === level) {
      digest = nodeOf(this.#digests.pop() as string, digest)
      this.#levels.pop()
      level += 1
      number = (number - 1) / 2
    }
    this.#levels.push(level)
    this.#digests.push(digest)
    this.#end += width
  }
}
