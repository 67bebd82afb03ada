import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { closeRoles, RoleNumbers } from '../../../src/policy/compiled/role-closures.ts'
import { RoleGraph } from '../../../src/policy/compiled/roles.ts'
import { Pace } from '../../../src/policy/pace.ts'

const name = fc.constantFrom(...'abcdefgh')
const domain = fc.constantFrom(undefined, 'one', 'two')

describe('closeRoles', () => {
  test('gives each name exactly the numbered roles that the links lead to, whatever cycles there are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, name, domain)), fc.uniqueArray(name), async (links, numbered) => {
        const graph = new RoleGraph()
        for (const [from, to, where] of links) graph.add(from, to, where)
        const numbers = new RoleNumbers()
        for (const role of numbered) numbers.add(role)
        const closures = await closeRoles(graph, numbers, false, new Pace())
        for (const who of 'abcdefghi') {
          for (const where of [undefined, 'one', 'two', 'three']) {
            for (const role of numbered) expect(closures?.has(who, role, where)).toBe(graph.has(who, role, where))
            const expected = numbered.flatMap((role, number) => (graph.has(who, role, where) ? [number] : []))
            expect([...(closures?.of(who, where) ?? [])]).toEqual(expected.sort((a, b) => a - b))
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  test('merges the domains where it is asked to', async () => {
    const graph = new RoleGraph()
    graph.add('alice', 'reader', 'one')
    graph.add('reader', 'viewer', 'two')
    const numbers = new RoleNumbers()
    const viewer = numbers.add('viewer')
    const closures = await closeRoles(graph, numbers, true, new Pace())
    expect([...(closures?.of('alice') ?? [])]).toEqual([viewer])
  })

  test('is not limited by the depth of the stack', async () => {
    const graph = new RoleGraph()
    for (let at = 0; at < 50_000; at += 1) graph.add(`n${String(at)}`, `n${String(at + 1)}`)
    const numbers = new RoleNumbers()
    numbers.add('n50000')
    const closures = await closeRoles(graph, numbers, false, new Pace())
    expect(closures?.has('n0', 'n50000')).toBe(true)
    expect(closures?.has('n50000', 'n0')).toBe(false)
  })
})
