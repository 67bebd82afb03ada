import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import type { ParsedRecord } from '../../src/audit/chain.ts'
import { parseFilter } from '../../src/readers/filter.ts'
import { query } from '../../src/readers/query.ts'
import { takeDecisions } from '../../src/readers/replay-source.ts'
import { asPrevious, decisions, idOf, makeTrail } from '../archive/trails.ts'
import { collect, TestData } from './data-folder.ts'

const trails = [`web-0-${idOf(1)}`, `web-0-${idOf(2)}`]
const first = makeTrail({ trail: trails[0]! }, decisions(9))
const second = makeTrail({ trail: trails[1]!, atMs: 60_000, previous: asPrevious(first) }, decisions(9, 200))
const all = [...first, ...second]

async function archived(): Promise<TestData> {
  const data = new TestData()
  await data.archive(all, 6000)
  return data
}

async function queried(data: TestData): Promise<{ lines: string[]; damaged: number }> {
  const filter = parseFilter({}, new Date())
  if (!filter.ok) throw new Error(filter.problem)
  const folder = await data.open()
  let damaged = 0
  const records = await collect(query(folder, filter.value, () => (damaged += 1)))
  folder.close()
  return { lines: records.map(({ line }) => line), damaged }
}

async function decided(data: TestData): Promise<{ ids: string[]; unreadable: string[]; bytes: readonly number[] }> {
  const ids: string[] = []
  const unreadable: string[] = []
  let bytes: readonly number[] = []
  await takeDecisions(
    data.dir,
    {},
    {
      decision: (record: ParsedRecord) => ids.push(record.id),
      unreadable: (file, line, problem) => unreadable.push(`${file}:${String(line)}: ${problem}`),
      torn: () => undefined,
      progress: (...read) => (bytes = read),
    },
    () => undefined,
  )
  return { ids, unreadable, bytes }
}

const lines = all.map(({ line }) => line)
const decisionIds = all
  .map(({ line }) => JSON.parse(line) as ParsedRecord)
  .filter(({ type }) => type.includes('decision'))

describe.each([
  ['all sealed', () => true],
  ['some sealed', ({ first: from }: { first: number }) => from > 1],
])('an archive with %s', (_which, choose) => {
  test('is queried as one that is open', async () => {
    using data = await archived()
    expect((await data.seal(choose)).length).toBeGreaterThan(2)
    expect(await queried(data)).toEqual({ lines, damaged: 0 })
  })

  test('gives replay each decision once, and says how far it has come', async () => {
    using data = await archived()
    await data.seal(choose)
    const found = await decided(data)
    expect(found.ids).toEqual(decisionIds.map(({ id }) => id))
    expect(found.unreadable).toEqual([])
    const bytes = lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0)
    expect(found.bytes).toEqual([bytes, bytes])
  })
})

test('segments that are sealed between being listed and being read are read', async () => {
  using data = await archived()
  const filter = parseFilter({}, new Date())
  if (!filter.ok) throw new Error(filter.problem)
  const folder = await data.open()
  await data.seal()
  const records = await collect(query(folder, filter.value))
  folder.close()
  expect(records.map(({ line }) => line)).toEqual(lines)
})

test('a sealed segment that cannot be decompressed is told of by whoever reads it', async () => {
  using data = await archived()
  const [path] = (await data.seal()) as [string]
  const file = join(data.dir, 'archive', path)
  writeFileSync(file, readFileSync(file).subarray(0, 400))
  expect((await queried(data)).damaged).toBe(1)
  expect((await decided(data)).unreadable).toEqual([
    `archive/${path}:1: the sealed segment is damaged: from here on it cannot be decompressed`,
  ])
  rmSync(file)
  const { unknown } = await data.open()
  expect(unknown).toEqual([])
})
