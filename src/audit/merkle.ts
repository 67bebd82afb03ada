import { hash } from 'node:crypto'

// The Merkle tree of a trail: RFC 6962, section 2.1, with SHA-256. The data of a leaf is the 32 bytes of a record's hash.

const digestBytes = 32
const leafPrefix = Buffer.from([0])
const nodePrefix = Buffer.from([1])

/** Root of the tree without leaves: the SHA-256 of nothing. */
export const emptyRoot: Buffer = hash('sha256', '', 'buffer')

/** The leaf of a record, given by its hash. Throws a RangeError for anything but 64 hex digits. */
export function leafHash(recordHash: string): Buffer {
  const bytes = Buffer.from(recordHash, 'hex')
  if (recordHash.length !== 2 * digestBytes || bytes.length !== digestBytes) {
    throw new RangeError('a record’s hash has 64 hex digits')
  }
  return hash('sha256', Buffer.concat([leafPrefix, bytes], 1 + digestBytes), 'buffer')
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
 * The audit path of one leaf, made while its tree grows (RFC 6962, section 2.1.1). Like the tree, it holds one node for each bit of
 * the size, and the path so far.
 */
export class LeafPath {
  readonly #index: number
  #size = 0
  readonly #edge: PathNode[] = []

  /** Follows the leaf that is added as number `index`, from 0. */
  constructor(index: number) {
    this.#index = index
  }

  get size(): number {
    return this.#size
  }

  /** Adds the leaf of a record, given by its hash (64 hex digits), in order of sequence from the first on. */
  append(recordHash: string): void {
    let node: PathNode = { digest: leafHash(recordHash), path: this.#size === this.#index ? [] : undefined }
    for (let size = this.#size; size % 2 === 1; size = (size - 1) / 2) node = above(this.#edge.pop() as PathNode, node)
    this.#edge.push(node)
    this.#size += 1
  }

  /** The root over all leaves so far, and the path up to it from the leaf's sibling on. Throws a RangeError before the leaf is there. */
  prove(): { readonly root: Buffer; readonly path: readonly Buffer[] } {
    const top = this.#edge.reduceRight<PathNode | undefined>(
      (right, left) => (right ? above(left, right) : left),
      undefined,
    )
    if (top?.path !== undefined) return { root: top.digest, path: top.path }
    throw new RangeError(`there is no leaf ${String(this.#index)} in a tree of ${String(this.#size)}`)
  }
}

/** The root of a subtree; where it holds the leaf that is followed, with the path from there up to it. */
interface PathNode {
  readonly digest: Buffer
  readonly path: readonly Buffer[] | undefined
}

function above(left: PathNode, right: PathNode): PathNode {
  const digest = nodeHash(left.digest, right.digest)
  if (left.path !== undefined) return { digest, path: [...left.path, right.digest] }
  return { digest, path: right.path === undefined ? undefined : [...right.path, left.digest] }
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
  return last === 0 ? node : undefined
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
