import { describe, expect, test } from '@jest/globals'
import { changedBit, longestSearched } from '../../../src/readers/verify/changed-bit.ts'
import { PlacedRun } from '../../../src/readers/verify/placed-run.ts'
import { ProblemList } from '../../../src/readers/verify/problem-list.ts'
import { StreamOrder } from '../../../src/readers/verify/stream-order.ts'
import { verifyParts } from '../../../src/readers/verify/verify.ts'
import { WaitingRuns } from '../../../src/readers/verify/waiting-runs.ts'
import { decisionOf, decisions, idOf, makeTrail } from '../../archive/trails.ts'
import { exported } from './parts.ts'

const trail = `web-0-${idOf(1)}`
const part = exported([])

function run(first: number, at: number): PlacedRun {
  return new PlacedRun({ trail, first, lines: Uint32Array.of(0), hashes: new Uint8Array(32) } as never, part, at)
}

test('of very many problems the first by sequence are kept', () => {
  const list = new ProblemList(trail)
  const place = { source: 'file', file: 'export', line: 1 } as const
  for (let count = 20_000; count > 0; count -= 1) list.add('reordered', count, place, '')
  expect(list.all.length).toBeLessThan(1100)
  expect(Math.min(...list.all.map(({ sequence }) => sequence ?? 0))).toBe(1)
})

test('records that come backwards are one problem', () => {
  const order = new StreamOrder()
  const found = [1, 9, 8, 7, 6, 5].map((sequence, at) => order.note(run(sequence, at), () => true))
  expect(found.filter(({ back }) => back !== undefined)).toHaveLength(1)
  expect(found.every(({ again }) => !again)).toBe(true)
})

test('the jump around a position, and over a sequence, is found among many', () => {
  const order = new StreamOrder()
  for (let count = 1; count <= 1000; count += 1) order.note(run(3 * count, 10 * count), () => true)
  expect(order.jumpAt(4006)).toMatchObject({ from: 1201, to: 1202 })
  expect(order.jumpAt(4001)).toBeUndefined()
  expect(order.note(run(1202, 20_000), () => true).back).toMatchObject({ from: 1201, to: 1202 })
})

test('runs that wait come out in order, however they came', () => {
  const waiting = new WaitingRuns()
  const sequences = Array.from({ length: 5000 }, (_, index) => 2 + ((index * 1619) % 5000))
  for (const sequence of sequences) waiting.add({ run: run(sequence, 0), again: false })
  expect([waiting.has(1), waiting.has(2), waiting.has(5001), waiting.has(5002)]).toEqual([false, true, true, false])
  expect(waiting.first?.first).toBe(2)
  expect(waiting.takeUpTo(1)).toBeUndefined()
  const taken = []
  for (let next; (next = waiting.takeUpTo(Infinity)) !== undefined;) taken.push(next.run.first)
  expect(taken).toEqual(sequences.toSorted((a, b) => a - b))
  expect(waiting.all).toEqual([])
})

describe('a trail that is out of order from end to end', () => {
  const lines = makeTrail({ trail }, decisions(3000)).map(({ line }) => line)
  const [opened = '', ...others] = lines
  const swapped = [opened, ...others.map((_, at) => others[at ^ 1] as string)]

  test.each([
    ['backwards', [opened, ...others.toReversed()]],
    ['in swapped pairs', swapped],
  ])('%s: its first bad place is named', async (_, given) => {
    const { bad, trails } = await verifyParts([exported(given, 10_000)], { threads: 0 })
    expect(bad).toEqual([expect.objectContaining({ kind: 'reordered', sequence: 2, line: 2 })])
    expect(trails[0]).toMatchObject({ records: 3001 })
  })
})

describe('a record in which one bit differs', () => {
  const ofPath = (path: string): string => makeTrail({ trail }, [decisionOf({ number: 1, path })])[1]?.line ?? ''
  const flipped = (line: string): Buffer => {
    const bytes = Buffer.from(line)
    bytes[100] = (bytes[100] as number) ^ 1
    return bytes
  }

  test('is told with its byte, and not searched where it is long', () => {
    expect(changedBit(flipped(ofPath('/a')))).toContain('byte 101')
    const long = ofPath(`/${'a'.repeat(longestSearched)}`)
    expect(changedBit(flipped(long))).toBeUndefined()
  })

  test('is searched in the line that is named, not in the others', async () => {
    const lines = makeTrail({ trail }, decisions(5)).map(({ line }) => line)
    const bad = lines.map((line) => flipped(line).toString('latin1'))
    const { bad: named } = await verifyParts([exported([lines[0] as string, ...bad.slice(1)])], { threads: 0 })
    expect(named).toHaveLength(1)
    expect(named[0]?.problem).toContain('one bit differs, in byte 101')
  })
})
