import { hash } from 'node:crypto'

// The Merkle tree of a trail: RFC 6962, section 2.1, with SHA-256. The data of a leaf is the 32 bytes of a record's hash.

const digestBytes = 32
const leafPrefix = Buffer.from([0])
const nodePrefix = Buffer.from([1])

/** Root of the tree without leaves: the SHA-256 of nothing. */
export const emptyRoot: Buffer = hash('sha256', '', 'buffer')

/** The leaf of a record, given by its hash (64 hex digits). */
export function leafHash(recordHash: string): Buffer {
  return leafOf(Buffer.from(recordHash, 'hex'))
}

/** The node above two others. */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  return hash('sha256', Buffer.concat([nodePrefix, left, right], 1 + 2 * digestBytes), 'buffer')
}

/**
 * A tree that grows at its end. It holds its right edge alone: the roots of the whole subtrees that it is made of, one for each
 * bit of its size, so that it costs the same however long the trail is.
 */
export class MerkleTree {
  #size: number
  /** Largest subtree first. */
  readonly #edge: Buffer[]

  private constructor(size: number, edge: Buffer[]) {
    this.#size = size
    this.#edge = edge
  }

  static empty(): MerkleTree {
    return new MerkleTree(0, [])
  }

  /** Goes on with a tree of `size` leaves from what `edge()` gave. Throws a RangeError where the two do not fit. */
  static restore(size: number, edge: Buffer): MerkleTree {
    if (!Number.isSafeInteger(size) || size < 0 || edge.length !== bitsIn(size) * digestBytes) {
      throw new RangeError(
        `an edge of ${String(edge.length)} bytes does not belong to a tree of ${String(size)} leaves`,
      )
    }
    return new MerkleTree(size, [...digestsIn(edge)])
  }

  get size(): number {
    return this.#size
  }

  /** Adds the leaf of a record, given by its hash (64 hex digits). */
  append(recordHash: string): void {
    let node = leafHash(recordHash)
    for (let size = this.#size; size % 2 === 1; size = (size - 1) / 2) node = nodeHash(this.#edge.pop() as Buffer, node)
    this.#edge.push(node)
    this.#size += 1
  }

  /** The root over all leaves, 32 bytes. */
  root(): Buffer {
    return (
      this.#edge.reduceRight<Buffer | undefined>((right, left) => (right ? nodeHash(left, right) : left), undefined) ??
      emptyRoot
    )
  }

  /** The roots of its subtrees, largest first, 32 bytes each. */
  edge(): Buffer {
    return Buffer.concat(this.#edge)
  }
}

/**
 * The audit path of the leaf at `index` (from 0), from its sibling up to the root's child (RFC 6962, section 2.1.1).
 * `recordHashes` holds the 32 bytes of each record's hash, in order of sequence. Throws a RangeError for an index outside.
 */
export function inclusionProof(recordHashes: Buffer, index: number): Buffer[] {
  const size = recordHashes.length / digestBytes
  if (!Number.isInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`there is no leaf ${String(index)} in a tree of ${String(size)}`)
  }
  return pathIn(recordHashes, index)
}

/** The root that a proof leads to; undefined where the proof does not have the length that `index` and `size` ask for. */
export function rootOfInclusion(
  recordHash: string,
  index: number,
  size: number,
  proof: readonly Buffer[],
): Buffer | undefined {
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return undefined
  let node = leafHash(recordHash)
  let [at, last] = [index, size - 1]
  for (const sibling of proof) {
    if (last === 0 || sibling.length !== digestBytes) return undefined
    // A last node without a sibling goes up as it is.
    while (at % 2 === 0 && at === last) [at, last] = [half(at), half(last)]
    node = at % 2 === 1 ? nodeHash(sibling, node) : nodeHash(node, sibling)
    ;[at, last] = [half(at), half(last)]
  }
  while (at % 2 === 0 && at === last && last > 0) [at, last] = [half(at), half(last)]
  return last === 0 ? node : undefined
}

function pathIn(leaves: Buffer, index: number): Buffer[] {
  const size = leaves.length / digestBytes
  if (size === 1) return []
  const split = largestPowerBelow(size)
  const left = leaves.subarray(0, split * digestBytes)
  const right = leaves.subarray(split * digestBytes)
  return index < split ? [...pathIn(left, index), rootOf(right)] : [...pathIn(right, index - split), rootOf(left)]
}

function rootOf(leaves: Buffer): Buffer {
  const size = leaves.length / digestBytes
  if (size === 1) return leafOf(leaves)
  const split = largestPowerBelow(size) * digestBytes
  return nodeHash(rootOf(leaves.subarray(0, split)), rootOf(leaves.subarray(split)))
}

function leafOf(recordHash: Buffer): Buffer {
  if (recordHash.length !== digestBytes) throw new RangeError('a record’s hash has 32 bytes')
  return hash('sha256', Buffer.concat([leafPrefix, recordHash], 1 + digestBytes), 'buffer')
}

/** The largest power of two below `size`, which is above 1. */
function largestPowerBelow(size: number): number {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

function bitsIn(size: number): number {
  let bits = 0
  // Sizes go beyond the 32 bits of the bitwise operators.
  for (let left = size; left > 0; left = half(left)) bits += left % 2
  return bits
}

function half(value: number): number {
  return Math.floor(value / 2)
}

function* digestsIn(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += digestBytes) yield Buffer.from(bytes.subarray(at, at + digestBytes))
}
