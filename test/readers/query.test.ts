import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseFilter, type FilterText } from '../../src/readers/filter.ts'
import { query } from '../../src/readers/query.ts'
import { verifyFolder } from '../../src/readers/verify/verify-folder.ts'
import { asPrevious, decisionOf, decisions, idOf, makeTrail, type MadeRecord } from '../archive/trails.ts'
import { collect, TestData, textOf } from './data-folder.ts'

const trail = `web-0-${idOf(1)}`

async function found(data: TestData, text: FilterText = {}): Promise<{ lines: string[]; damaged: number }> {
  const filter = parseFilter(text, new Date('2026-11-22T12:00:00Z'))
  if (!filter.ok) throw new Error(filter.problem)
  let damaged = 0
  const folder = await data.open()
  const records = await collect(query(folder, filter.value, () => (damaged += 1)))
  const lines = records.map(({ line }) => line)
  folder.close()
  return { lines, damaged }
}

function linesOf(records: readonly MadeRecord[]): string[] {
  return records.map(({ line }) => line)
}

describe('a query', () => {
  test('gives the records of archive and spool byte for byte, once each', async () => {
    using data = new TestData()
    const records = makeTrail({ trail }, decisions(9))
    await data.archive(records.slice(0, 7))
    data.spooled = records.slice(4)
    expect(await found(data)).toEqual({ lines: linesOf(records), damaged: 0 })
  })

  test('gives several trails in order of time', async () => {
    using data = new TestData()
    const one = makeTrail({ trail, stepMs: 1000 }, decisions(3))
    const two = makeTrail({ trail: `web-1-${idOf(2)}`, atMs: 500, stepMs: 1000, position: 11 }, decisions(3))
    await data.archive(one)
    data.spooled = two
    const expected = [one[0], two[0], one[1], two[1], one[2], two[2], one[3], two[3]] as MadeRecord[]
    expect((await found(data)).lines).toEqual(linesOf(expected))
  })

  test('does not open the days outside of its time', async () => {
    using data = new TestData()
    const records = makeTrail({ trail, stepMs: 12 * 3600_000 }, decisions(5))
    await data.archive(records)
    // A damaged line would be noticed if its day was read.
    for (const other of [
      `2026-11-22/${trail}.0000000000000001.ndjson`,
      `2026-11-24/${trail}.0000000000000005.ndjson`,
    ]) {
      const path = join(data.dir, 'archive', other)
      writeFileSync(path, readFileSync(path, 'utf8').slice(10))
    }
    const result = await found(data, { since: '2026-11-23', until: '2026-11-24' })
    expect(result).toEqual({ lines: linesOf(records.slice(2, 4)), damaged: 0 })
  })

  test('leaves out damaged lines and counts them, but not a torn one', async () => {
    using data = new TestData()
    const records = makeTrail({ trail }, decisions(4))
    const text = textOf(records).replace('"/orders/1"', '"/orders/2"').slice(0, -20)
    data.segment(trail, 1, text)
    expect(await found(data)).toEqual({ lines: linesOf([0, 1, 3].map((at) => records[at] as MadeRecord)), damaged: 1 })
  })

  test('gives both records of a fork', async () => {
    using data = new TestData()
    const records = makeTrail({ trail }, decisions(4))
    const forked = makeTrail({ trail }, decisions(4, 900))
    await data.archive(records)
    await data.archive(forked.slice(3, 4))
    expect((await found(data)).lines.sort()).toEqual(linesOf([...records, forked[3] as MadeRecord]).sort())
  })

  test('reads 20,000 records without holding them', async () => {
    using data = new TestData()
    const records = makeTrail(
      { trail, stepMs: 1 },
      Array.from({ length: 20_000 }, (_, number) => decisionOf({ number })),
    )
    await data.archive(records.slice(0, 15_000), 4 * 1024 * 1024)
    data.spooled = records.slice(14_000)
    const filter = parseFilter({}, new Date())
    if (!filter.ok) throw new Error(filter.problem)
    const folder = await data.open()
    expect(folder.segments).toBeGreaterThan(3)
    let count = 0
    for await (const { line } of query(folder, filter.value)) {
      if (line !== records[count]?.line) throw new Error(`record ${String(count + 1)} is not in its place`)
      count += 1
    }
    expect(count).toBe(20_001)
    expect(await verifyFolder(data.dir, {}, data.openSpool)).toMatchObject({
      verdict: 'whole',
      totals: { records: 20_001, duplicates: 1000 },
    })
  }, 180_000)
})

/** How the records of one trail are spread: cut into pieces, each of which may begin before the last one ended. */
const pieces = fc.array(
  fc.record({ length: fc.integer({ min: 1, max: 5 }), overlap: fc.integer({ min: 0, max: 4 }) }),
  {
    maxLength: 6,
  },
)

describe('however records are spread over segments and spool, and doubled', () => {
  test('a query gives each once and in order, and verify calls them whole', async () => {
    await fc.assert(
      fc.asyncProperty(pieces, fc.integer({ min: 0, max: 6 }), fc.boolean(), async (spread, spooledFrom, torn) => {
        using data = new TestData()
        const older = makeTrail({ trail }, decisions(2))
        const records = makeTrail(
          { trail: `web-0-${idOf(2)}`, atMs: 5000, previous: asPrevious(older), position: 4 },
          decisions(11),
        )
        await data.archive(older)
        let archived = 0
        for (const [copy, { length, overlap }] of spread.entries()) {
          const from = Math.max(0, archived - overlap)
          const part = records.slice(from, Math.min(records.length, Math.max(archived, from) + length))
          if (part.length === 0) continue
          data.segment(`web-0-${idOf(2)}`, from + 1, textOf(part), copy)
          archived = from + part.length
        }
        if (torn && archived > 0 && archived < records.length) {
          const line = records[archived]?.line ?? ''
          data.segment(`web-0-${idOf(2)}`, archived + 1, line.slice(0, line.length / 2), 9)
        }
        data.spooled = records.slice(Math.max(0, archived - spooledFrom))
        expect(await found(data)).toEqual({ lines: linesOf([...older, ...records]), damaged: 0 })
        expect(await verifyFolder(data.dir, {}, data.openSpool)).toMatchObject({
          verdict: 'whole',
          totals: { records: 15 },
        })
      }),
      { numRuns: 60 },
    )
  }, 180_000)
})

describe('a folder that is not one of a server', () => {
  test('is refused with what to do', async () => {
    using data = new TestData()
    rmSync(join(data.dir, 'archive'), { recursive: true })
    await expect(data.open()).rejects.toMatchObject({
      code: 'ARCHIVE_UNREADABLE',
      message: expect.stringContaining('holds neither archive/ nor spool/. Give --data'),
    })
    rmSync(data.dir, { recursive: true })
    await expect(data.open()).rejects.toMatchObject({
      code: 'ARCHIVE_UNREADABLE',
      message: expect.stringContaining('does not exist'),
    })
  })
})
