import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { openRejectedStore, type Rejected } from '../../src/archive/rejected.ts'
import { FailingDisk } from './failing-disk.ts'

let dir: string

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'countersign-rejected-')), 'rejected')
})

afterEach(() => {
  rmSync(join(dir, '..'), { recursive: true, force: true })
})

function at(offset: number): Rejected {
  const value = Buffer.from([0xff, offset])
  return { topic: 'audit', partition: 3, offset: String(offset), problem: 'it is not UTF-8', key: null, value }
}

function offsets(): string[] {
  return readdirSync(dir)
    .filter((name) => name.endsWith('.ndjson'))
    .sort()
    .flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n').slice(0, -1))
    .map((line) => (JSON.parse(line) as Rejected).offset)
}

test('what is no record is kept with its place, its reason and its bytes', async () => {
  expect(await openRejectedStore(dir).keep([at(7)])).toHaveLength(1)
  expect(readdirSync(dir)).toEqual(['audit.3.0000000000000001.ndjson'])
  expect(JSON.parse(readFileSync(join(dir, 'audit.3.0000000000000001.ndjson'), 'utf8'))).toEqual({
    topic: 'audit',
    partition: 3,
    offset: '7',
    problem: 'it is not UTF-8',
    key: null,
    value: '/wc=',
  })
})

test('it is kept once, also by several that keep the same at a time', async () => {
  const parts = [[1, 2, 3], [2, 3, 4], [1, 2, 3, 4, 5], [5]].map((some) => some.map(at))
  const told = await Promise.all(parts.map((part) => openRejectedStore(dir).keep(part)))
  expect(offsets().sort()).toEqual(['1', '2', '3', '4', '5'])
  expect(told.flat().length).toBe(5)
  expect(await openRejectedStore(dir).keep([at(4)])).toEqual([])
})

test('it is kept wholly or not at all when the disk fails, and the next try keeps it', async () => {
  for (let call = 0; call < 6; call += 1) {
    const failing = openRejectedStore(dir, new FailingDisk(call, false))
    await failing.keep([at(call)]).catch((fault: unknown) => {
      expect(fault).toMatchObject({ code: 'ARCHIVE_UNWRITABLE', retryable: true })
    })
    await openRejectedStore(dir).keep([at(call)])
  }
  expect(offsets()).toEqual(['0', '1', '2', '3', '4', '5'])
})
