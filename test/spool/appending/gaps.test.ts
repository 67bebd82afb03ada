import { beforeEach, describe, expect, test } from '@jest/globals'
import { Gaps } from '../../../src/spool/appending/gaps.ts'

let gaps: Gaps

beforeEach(() => {
  gaps = new Gaps()
})

/** A time of that second. */
function at(second: number): Date {
  return new Date(Date.UTC(2026, 10, 22, 10, 0, second))
}

function addAll(...seconds: readonly number[]): void {
  for (const second of seconds) gaps.add('decision', 'SPOOL_FULL', at(second))
}

function spanOf(first: number, last: number): object {
  return { from: at(first).toISOString(), to: at(last).toISOString() }
}

describe('what is not kept', () => {
  test('is counted exactly, with the first and the last time, also where the clock is put back', () => {
    addAll(20, 30, 10)
    expect(gaps.take()).toEqual([
      expect.objectContaining({ of: 'decision', reason: 'SPOOL_FULL', count: 3, countExact: true, ...spanOf(10, 30) }),
    ])
    expect([gaps.empty, gaps.take()]).toEqual([true, []])
  })

  test('is counted apart for each kind and reason', () => {
    addAll(1, 2)
    gaps.add('access', 'SPOOL_FULL', at(3))
    gaps.add('decision', 'OVERLOADED', at(4))
    expect(gaps.take().map(({ of, reason, count }) => [of, reason, count])).toEqual([
      ['decision', 'SPOOL_FULL', 2],
      ['access', 'SPOOL_FULL', 1],
      ['decision', 'OVERLOADED', 1],
    ])
  })
})

describe('what could not be written', () => {
  test('stands open again as it was', () => {
    addAll(1, 2)
    const taken = gaps.take()
    gaps.restore(taken)
    expect(gaps.empty).toBe(false)
    expect(gaps.take()).toEqual(taken)
  })

  test.each([
    ['was counted meanwhile', [10, 12], [20, 21, 22], [10, 22]],
    ['was counted meanwhile after the clock was put back', [20, 22], [10, 11, 12], [10, 22]],
    ['was counted meanwhile, within the older span', [10, 30], [20, 21, 22], [10, 30]],
    ['was counted meanwhile, around the older span', [20, 22], [10, 25, 30], [10, 30]],
  ] as const)('is added to what %s', (_name, older, newer, [first, last]) => {
    addAll(...older)
    const taken = gaps.take()
    addAll(...newer)
    gaps.restore(taken)
    expect(gaps.take()).toEqual([
      expect.objectContaining({ count: older.length + newer.length, countExact: true, ...spanOf(first, last) }),
    ])
  })
})
