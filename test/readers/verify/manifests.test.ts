import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { verifyFolder } from '../../../src/readers/verify/verify-folder.ts'
import type { Verification } from '../../../src/readers/verify/verify.ts'
import { decisions, idOf, makeTrail } from '../../archive/trails.ts'
import { TestData, textOf } from '../data-folder.ts'

const trail = `web-0-${idOf(1)}`
const records = makeTrail({ trail }, decisions(9))
let data: TestData
let sealed: string
let manifest: string

beforeEach(async () => {
  data = new TestData()
  await data.archive(records)
  sealed = `archive/${(await data.seal())[0] ?? ''}`
  manifest = sealed.replace('.ndjson.zst', '.manifest.json')
})

afterEach(() => {
  data[Symbol.dispose]()
})

function verified(): Promise<Verification> {
  return verifyFolder(data.dir, {}, data.openSpool)
}

test('a segment that is what its manifest says is whole', async () => {
  expect(await verified()).toMatchObject({ verdict: 'whole', totals: { records: 10 } })
})

test.each([
  ['sha256', '0'.repeat(64), 'rewritten'],
  ['bytes', 1, 'rewritten'],
  ['prevhash', '1'.repeat(64), 'rewritten'],
  ['tombstones', 7, 'rewritten'],
  ['compressed', { format: 'zstd', bytes: 1, sha256: 'f'.repeat(64) }, 'rewritten'],
  ['records', 999, 'rewritten'],
  ['trail', 'nobody', 'malformed'],
  ['first', '0000000000000777', 'malformed'],
  ['day', '2026-11-21', 'malformed'],
  ['generation', 2, 'malformed'],
])('a manifest whose %s is %j is named', async (member, value, kind) => {
  const path = join(data.dir, manifest)
  const said = JSON.parse(readFileSync(path, 'utf8')) as object
  writeFileSync(path, `${JSON.stringify({ ...said, [member]: value })}\n`)
  const { bad } = await verified()
  expect(bad).toEqual([expect.objectContaining({ kind, trail, file: manifest, line: 1 })])
  if (kind === 'rewritten') expect(bad[0]?.problem).toContain(`differ in ${member}`)
})

test.each([
  ['nothing', 10],
  ['half of it', 5],
])('a segment that holds %s is named, though the spool has its records', async (_, missing) => {
  writeFileSync(join(data.dir, sealed), zstdCompressSync(textOf(records.slice(0, 10 - missing))))
  data.spooled = records
  expect((await verified()).bad).toEqual([expect.objectContaining({ kind: 'rewritten', trail, file: manifest })])
})

test('the line is named, not the manifest, where one was altered', async () => {
  writeFileSync(join(data.dir, sealed), zstdCompressSync(textOf(records).replace('/orders/3', '/orders/4')))
  expect((await verified()).bad).toEqual([expect.objectContaining({ kind: 'altered', file: sealed, line: 5 })])
})

test('an open segment beside the sealed one is passed over where it holds the same lines, and read where not', async () => {
  const open = join(data.dir, sealed.replace('.zst', ''))
  writeFileSync(open, textOf(records))
  expect(await verified()).toMatchObject({ verdict: 'whole', totals: { segments: 1 } })
  writeFileSync(open, textOf(records).replace('/orders/3', '/orders/4'))
  expect(await verified()).toMatchObject({ verdict: 'broken', first: { kind: 'altered', line: 5 } })
})
