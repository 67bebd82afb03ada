import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { emptyRoot, leafHash, LeafPath, MerkleTree, nodeHash, rootOfInclusion } from '../../src/audit/merkle.ts'

// RFC 6962, section 2.1, word for word: the tree under test grows at its end, this one is cut in halves.

function digest(...parts: readonly Uint8Array[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest()
}

function rootBy6962(data: readonly Buffer[]): Buffer {
  if (data.length === 0) return digest()
  if (data.length === 1) return digest(Buffer.of(0), data[0] as Buffer)
  const k = splitOf(data.length)
  return digest(Buffer.of(1), rootBy6962(data.slice(0, k)), rootBy6962(data.slice(k)))
}

function pathBy6962(m: number, data: readonly Buffer[]): Buffer[] {
  if (data.length === 1) return []
  const k = splitOf(data.length)
  if (m < k) return [...pathBy6962(m, data.slice(0, k)), rootBy6962(data.slice(k))]
  return [...pathBy6962(m - k, data.slice(k)), rootBy6962(data.slice(0, k))]
}

/** The largest power of two smaller than n. */
function splitOf(n: number): number {
  return 2 ** Math.floor(Math.log2(n - 1))
}

/** The hashes of as many records, as they stand in them. */
function hashes(count: number, seed = ''): string[] {
  return Array.from({ length: count }, (_, index) => digest(Buffer.from(`${seed}${String(index)}`)).toString('hex'))
}

function bytesOf(records: readonly string[]): Buffer[] {
  return records.map((hex) => Buffer.from(hex, 'hex'))
}

function treeOf(records: readonly string[]): MerkleTree {
  const tree = MerkleTree.empty()
  for (const record of records) tree.append(record)
  return tree
}

function proofIn(records: readonly string[], index: number): ReturnType<LeafPath['prove']> {
  const path = new LeafPath(index)
  for (const record of records) path.append(record)
  return path.prove()
}

const hex = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString('hex')
const sizes = [...Array(71).keys(), 127, 128, 129, 255, 256, 257, 1000]

describe('hashes', () => {
  test('the empty tree has the SHA-256 of nothing as its root', () => {
    const nothing = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    expect([hex(emptyRoot), hex(MerkleTree.empty().root())]).toEqual([nothing, nothing])
  })

  test('leaves and nodes are told apart by their first byte', () => {
    const [a = '', b = ''] = hashes(2)
    expect(hex(leafHash(a))).toBe(hex(digest(Buffer.of(0), Buffer.from(a, 'hex'))))
    expect(hex(nodeHash(leafHash(a), leafHash(b)))).toBe(hex(digest(Buffer.of(1), leafHash(a), leafHash(b))))
  })

  // Computed with golang.org/x/mod/sumdb/tlog for the SHA-256 of "0", "1", … as records.
  test.each([
    [1, '13a77175e35eb1d9da91ee14df0d7772cea71289800206e2b45c882ecb06efbf'],
    [2, 'bbb441530bdded54e6e2bfcdc829819ff39b30768eb9f023071dffc16b410f10'],
    [7, '5653c4ab2514ccd6ea4f0159702d2aba901f2562aa75abcff5a19e344bee038f'],
    [1000, '3b93b70ed68de7847cfafb398f3df0cf232fe05dfb117f8a8cf9dc31990ddb3b'],
  ])('the root over %i known records is the known one', (size, root) => {
    expect(hex(treeOf(hashes(size)).root())).toBe(root)
  })

  test.each(['', 'ab', 'g'.repeat(64), `${'ab'.repeat(32)}c`, `${'ab'.repeat(32)}zz`, 'ab'.repeat(33)])(
    'what is no hash of a record is no leaf: %j',
    (text) => {
      expect(() => leafHash(text)).toThrow(RangeError)
    },
  )
})

describe('a tree', () => {
  test('has the root of RFC 6962 at every size', () => {
    const records = hashes(1025)
    const tree = MerkleTree.empty()
    for (const [index, record] of records.entries()) {
      tree.append(record)
      if (!sizes.includes(index + 1) && index + 1 < 1023) continue
      expect([index + 1, hex(tree.root())]).toEqual([tree.size, hex(rootBy6962(bytesOf(records.slice(0, index + 1))))])
    }
  })

  test('goes on from its edge as if it had never stopped', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.nat(300), (before, after) => {
        const records = hashes(before + after)
        const stopped = treeOf(records.slice(0, before))
        const tree = MerkleTree.restore(before, stopped.edge())
        for (const record of records.slice(before)) tree.append(record)
        expect([tree.size, hex(tree.root())]).toEqual([before + after, hex(treeOf(records).root())])
      }),
    )
  })

  test('does not change with the edge that was read from it', () => {
    const tree = treeOf(hashes(7))
    const edge = tree.edge()
    const again = MerkleTree.restore(7, edge)
    edge.fill(0)
    expect(hex(again.root())).toBe(hex(tree.root()))
  })

  test('has an edge of one digest for each bit of its size', () => {
    expect([0, 1, 2, 3, 4, 7, 8, 255].map((size) => treeOf(hashes(size)).edge().length / 32)).toEqual([
      0, 1, 1, 2, 1, 3, 1, 8,
    ])
  })

  test('counts beyond 32 bits', () => {
    const size = 2 ** 40 + 2 ** 33 + 3
    const tree = MerkleTree.restore(size, Buffer.alloc(4 * 32, 7))
    tree.append(hashes(1)[0] as string)
    expect([tree.size, tree.edge().length / 32]).toEqual([size + 1, 3])
  })

  test.each([
    [1, 0],
    [1, 64],
    [3, 32],
    [3, 65],
    [-1, 0],
    [1.5, 32],
    [2 ** 53, 32],
  ])('of size %d does not begin from an edge of %d bytes', (size, bytes) => {
    expect(() => MerkleTree.restore(size, Buffer.alloc(bytes))).toThrow(RangeError)
  })
})

describe('an inclusion proof', () => {
  test('is the path of RFC 6962, for every record of every small tree', () => {
    for (let size = 1; size <= 40; size += 1) {
      const records = hashes(size)
      for (let index = 0; index < size; index += 1) {
        const { root, path } = proofIn(records, index)
        expect(path.map(hex)).toEqual(pathBy6962(index, bytesOf(records)).map(hex))
        expect(hex(root)).toBe(hex(treeOf(records).root()))
      }
    }
  })

  test('leads from its record to the root, in trees of any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1500 }), fc.nat(), fc.string(), (size, at, seed) => {
        const records = hashes(size, seed)
        const index = at % size
        const { root, path } = proofIn(records, index)
        expect(hex(rootOfInclusion(records[index] as string, index, size, path))).toBe(hex(root))
        expect(hex(root)).toBe(hex(treeOf(records).root()))
      }),
    )
  })

  test('can be asked for while the tree goes on growing', () => {
    const records = hashes(100)
    const path = new LeafPath(20)
    for (const [index, record] of records.entries()) {
      path.append(record)
      if (index < 20) continue
      const made = path.prove()
      expect(hex(rootOfInclusion(records[20] as string, 20, path.size, made.path))).toBe(hex(made.root))
    }
  })

  test('is not given for a record that is not there', () => {
    expect(() => proofIn(hashes(3), 3)).toThrow('there is no leaf 3 in a tree of 3')
    expect(() => new LeafPath(0).prove()).toThrow(RangeError)
  })

  test('leads elsewhere, or nowhere, with anything in it changed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 300 }), fc.nat(), fc.nat(), fc.nat(5), (size, at, which, kind) => {
        const records = hashes(size)
        const index = at % size
        const { root, path } = proofIn(records, index)
        const forged = forge({ record: records[index] as string, index, size, path: [...path] }, kind, which)
        expect(hex(rootOfInclusion(forged.record, forged.index, forged.size, forged.path))).not.toBe(hex(root))
      }),
      { numRuns: 500 },
    )
  })

  test.each([
    ['an index outside', 3, 3, 2],
    ['an index below 0', -1, 3, 2],
    ['no whole index', 0.5, 3, 2],
    ['an empty tree', 0, 0, 0],
    ['a size beyond counting', 0, 2 ** 53, 53],
    ['too few digests', 0, 3, 1],
    ['too many digests', 0, 3, 3],
    ['a digest where there is one record', 0, 1, 1],
  ])('with %s has no root', (_, index, size, digests) => {
    const path = Array.from({ length: digests }, () => Buffer.alloc(32))
    expect(rootOfInclusion(hashes(1)[0] as string, index, size, path)).toBeUndefined()
  })

  test('with a digest of another length has no root', () => {
    expect(rootOfInclusion(hashes(1)[0] as string, 0, 2, [Buffer.alloc(31)])).toBeUndefined()
  })

  test('works in trees beyond 32 bits', () => {
    const size = 2 ** 45 + 1
    const [record = ''] = hashes(1)
    expect(hex(rootOfInclusion(record, 2 ** 45, size, [Buffer.alloc(32, 9)]))).toBe(
      hex(nodeHash(Buffer.alloc(32, 9), leafHash(record))),
    )
    expect(
      rootOfInclusion(
        record,
        2 ** 45 - 1,
        size,
        Array.from({ length: 46 }, () => Buffer.alloc(32)),
      ),
    ).toBeDefined()
  })
})

interface Claim {
  readonly record: string
  readonly index: number
  readonly size: number
  readonly path: Buffer[]
}

function forge(claim: Claim, kind: number, which: number): Claim {
  const at = which % claim.path.length
  switch (kind) {
    case 0:
      return { ...claim, record: hashes(1, 'another')[0] as string }
    case 1:
      return { ...claim, index: (claim.index + 1 + (which % (claim.size - 1))) % claim.size }
    case 2:
      return { ...claim, path: claim.path.map((digest, index) => (index === at ? flipped(digest, which) : digest)) }
    case 3:
      return { ...claim, path: claim.path.filter((_, index) => index !== at) }
    case 4:
      return { ...claim, path: [...claim.path, Buffer.alloc(32, which)] }
    default:
      return { ...claim, path: [claim.path[at] as Buffer, ...claim.path] }
  }
}

function flipped(digest: Buffer, bit: number): Buffer {
  const copy = Buffer.from(digest)
  copy[bit % 32] = (copy[bit % 32] ?? 0) ^ (1 << (bit % 8))
  return copy
}
