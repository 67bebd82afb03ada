import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { RoleGraph } from '../../../src/policy/compiled/roles.ts'

function chain(length: number): RoleGraph {
  const graph = new RoleGraph()
  for (let at = 0; at < length; at += 1) graph.add(`r${String(at)}`, `r${String(at + 1)}`)
  return graph
}

describe('RoleGraph', () => {
  test('follows links to any depth and gives the path, nearest first', () => {
    expect(chain(30).path('r0', 'r30')).toEqual(Array.from({ length: 30 }, (_, at) => `r${String(at + 1)}`))
    expect(chain(20_000).has('r0', 'r20000')).toBe(true)
    expect(chain(30).has('r30', 'r0')).toBe(false)
  })

  test('takes the path with the fewest links', () => {
    const graph = chain(3)
    graph.add('r0', 'r3')
    expect(graph.path('r0', 'r3')).toEqual(['r3'])
  })

  test('ends in cycles', () => {
    const graph = chain(3)
    graph.add('r3', 'r0')
    expect(graph.has('r2', 'r1')).toBe(true)
    expect(graph.path('r2', 'r1')).toEqual(['r3', 'r0', 'r1'])
    expect(graph.path('r0', 'r0')).toEqual([])
    expect(graph.has('r0', 'other')).toBe(false)
  })

  test('keeps domains apart', () => {
    const graph = new RoleGraph()
    graph.add('alice', 'admin', 'one')
    expect(graph.has('alice', 'admin', 'one')).toBe(true)
    expect(graph.has('alice', 'admin', 'two')).toBe(false)
    expect(graph.has('alice', 'admin')).toBe(false)
  })

  test('an empty name has no role and is none', () => {
    expect(new RoleGraph().has('', '')).toBe(false)
    expect(new RoleGraph().path('', '')).toBeUndefined()
  })

  test('names of object members are names like all others', () => {
    const graph = new RoleGraph()
    expect(graph.has('__proto__', 'constructor')).toBe(false)
    graph.add('__proto__', 'constructor', 'toString')
    expect(graph.path('__proto__', 'constructor', 'toString')).toEqual(['constructor'])
  })

  test('has a role exactly where there is a path, and every step of the path is a link', () => {
    const name = fc.constantFrom(...'abcdefg')
    fc.assert(
      fc.property(fc.array(fc.tuple(name, name)), name, name, (links, from, to) => {
        const graph = new RoleGraph()
        for (const [a, b] of links) graph.add(a, b)
        const path = graph.path(from, to)
        expect(graph.has(from, to)).toBe(path !== undefined)
        const steps = [from, ...(path ?? [])]
        for (let at = 1; at < steps.length; at += 1) {
          expect(links).toContainEqual([steps[at - 1], steps[at]])
        }
      }),
    )
  })
})
