import { describe, expect, test } from '@jest/globals'
import { mergeSorted } from '../../src/readers/merge.ts'
import { collect } from './data-folder.ts'

interface Opened {
  opened: number
  closed: number
}

function source(numbers: readonly number[], counts: Opened = { opened: 0, closed: 0 }) {
  return {
    from: numbers[0] ?? 0,
    open: async function* () {
      counts.opened += 1
      try {
        for (const number of numbers) yield await Promise.resolve(number)
      } finally {
        counts.closed += 1
      }
    },
  }
}

const itself = (number: number): number => number

describe('merging', () => {
  test('gives all items in order, of equal ones the earlier source first', async () => {
    const named = (name: string, keys: number[]) => ({
      from: keys[0] as number,
      open: async function* () {
        for (const key of keys) yield await Promise.resolve({ name, key })
      },
    })
    const merged = mergeSorted([named('b', [2, 3]), named('a', [1, 3, 9])], ({ key }) => key)
    const items = await collect(merged)
    expect(items.map(({ name, key }) => `${name}${String(key)}`)).toEqual(['a1', 'b2', 'b3', 'a3', 'a9'])
  })

  test('opens a source only when its turn comes', async () => {
    const late = { opened: 0, closed: 0 }
    const merged = mergeSorted([source([1, 2, 3]), source([3, 4], late)], itself)
    await merged.next()
    await merged.next()
    expect(late.opened).toBe(0)
    expect(await collect(merged)).toEqual([3, 3, 4])
  })

  test('closes what it opened when nobody wants more', async () => {
    const counts = { opened: 0, closed: 0 }
    for await (const number of mergeSorted([source([1, 5], counts), source([1, 6], counts)], itself)) {
      expect(number).toBe(1)
      break
    }
    expect(counts).toEqual({ opened: 2, closed: 2 })
  })

  test('passes over sources without items', async () => {
    expect(await collect(mergeSorted([source([]), source([1]), source([])], itself))).toEqual([1])
  })
})
