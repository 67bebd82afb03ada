import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { MerkleTree } from '../../../src/audit/merkle.ts'
import { leafOf, TreeRange } from '../../../src/readers/verify/tree-range.ts'

const hashes = Array.from({ length: 200 }, (_, index) => createHash('sha256').update(String(index)).digest('hex'))

function rangeOf(begin: number, end: number): TreeRange {
  const range = new TreeRange(begin)
  for (const hash of hashes.slice(begin, end)) range.append(leafOf(hash))
  return range
}

describe('a range of leaves', () => {
  test('has the root of the tree that the writer signs, at every size', () => {
    const [tree, range] = [MerkleTree.empty(), new TreeRange(0)]
    for (const hash of hashes) {
      expect(range.root()).toEqual(tree.root())
      tree.append(hash)
      range.append(leafOf(hash))
    }
    expect(range.root()).toEqual(tree.root())
  })

  test('has the same root however it was cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 8 }), (cuts) => {
        const ends = [...cuts.sort((a, b) => a - b), 200]
        const whole = new TreeRange(0)
        for (const end of ends) whole.join(rangeOf(whole.end, end).nodes())
        expect(whole.root()).toEqual(rangeOf(0, 200).root())
      }),
    )
  })

  test('refuses one that does not follow', () => {
    expect(() => {
      rangeOf(0, 4).join(rangeOf(5, 6).nodes())
    }).toThrow(RangeError)
  })
})
