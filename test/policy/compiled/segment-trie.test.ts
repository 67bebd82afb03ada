import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { addPattern, newTrieNode, visitMatching } from '../../../src/policy/compiled/segment-trie.ts'
import { matchSegments, type Segment } from '../../../src/policy/patterns/segments.ts'

const segment: fc.Arbitrary<Segment> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('', 'a', 'b', 'ab').map((text) => ({ kind: 'text', text }) as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'one' } as const) },
)
const pattern = fc
  .tuple(fc.array(segment, { maxLength: 4 }), fc.boolean())
  .map(([segments, rest]): readonly Segment[] => (rest ? [...segments, { kind: 'rest' }] : segments))

describe('a trie of patterns', () => {
  test('gives exactly the patterns that cover a text', () => {
    const text = fc.array(fc.constantFrom('', 'a', 'b', 'ab', 'c'), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(pattern, { maxLength: 12 }), text, (patterns, parts) => {
        const root = newTrieNode<number[]>()
        for (const [index, segments] of patterns.entries()) {
          const { node, kind } = addPattern(root, segments)
          node[kind] = [...(node[kind] ?? []), index]
        }
        const found: number[] = []
        visitMatching(root, parts.join('/'), (indexes) => found.push(...indexes))
        const expected = patterns.flatMap((segments, index) => (matchSegments(segments, parts) ? [index] : []))
        expect(found.sort((a, b) => a - b)).toEqual(expected)
      }),
      { numRuns: 2000 },
    )
  })
})
