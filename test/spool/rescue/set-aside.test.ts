import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { DatabaseSync } from 'node:sqlite'
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeEvent } from '../../../src/audit/record.ts'
import { setAside } from '../../../src/spool/rescue/set-aside.ts'
import { openForWriting } from '../../../src/spool/file/open.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { openSpoolReader } from '../../../src/spool/reader.ts'
import { type Kept, keptIn, newDecision, newFolder, openingIn } from '../opening.ts'

let dir: string
let before: readonly string[]

beforeEach(() => {
  dir = newFolder()
  const store = new SpoolStore(openingIn(dir), () => new Date())
  store.append(
    Array.from({ length: 5 }, () => encodeEvent(newDecision().event)),
    [],
  )
  store.close()
  before = keptIn(dir).map(({ id }) => id)
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

/** Opens the spool as the next start does, and says what stands behind the records from before. */
function openAgain(): unknown[] {
  new SpoolStore(openingIn(dir), () => new Date()).close()
  const records = keptIn(dir)
  expect(records.slice(0, before.length).map(({ id }) => id)).toEqual(before)
  return records.slice(before.length).map(({ data }) => data['change'])
}

function setAsideAll(): void {
  setAside(dir, 'SPOOL_DAMAGED', 'for a try', new Date())
}

test('what was being set aside when the process died is rescued at the next start', () => {
  setAsideAll()
  expect(openAgain()).toEqual(['opened', 'gap'])
  expect(readdirSync(join(dir, 'set-aside'))).toHaveLength(1)
})

test('a new file that was half made is made anew', () => {
  setAsideAll()
  writeFileSync(join(dir, 'spool.sqlite.rescued'), 'half')
  writeFileSync(join(dir, 'head.rescued'), 'half')
  expect(openAgain()).toEqual(['opened', 'gap'])
})

test('files that were not moved yet are', () => {
  setAsideAll()
  const [folder = ''] = readdirSync(join(dir, 'set-aside'))
  renameSync(join(dir, 'set-aside', folder, 'head'), join(dir, 'head'))
  expect(openAgain()).toEqual(['opened', 'gap'])
  expect(existsSync(join(dir, 'set-aside', folder, 'head'))).toBe(true)
})

test('new files that are whole are put in their place', () => {
  for (const name of ['spool.sqlite', 'head']) renameSync(join(dir, name), join(dir, `${name}.rescued`))
  expect(openAgain()).toEqual(['opened'])
})

test('positions go on behind those that the writer used, and its trail is the one that is named, where nothing else is left', () => {
  const [older, last] = [openingIn(dir).trail, openingIn(dir).trail]
  rmSync(dir, { recursive: true })
  const known = [
    { trail: older, sequence: 90, hash: null, from: 'archive' },
    { trail: last, sequence: 24, hash: null, position: 524, from: 'writer' },
  ] as const
  const store = new SpoolStore(openingIn(dir, { known }), () => new Date())
  store.append([], [{ sink: 'archive', position: 2000, mark: null, rewound: false }])
  expect(store.previous).toEqual({ trail: last, sequence: 0 })
  expect(store.state()).toMatchObject({ lastPosition: 526, waitingRecords: 2 })
  store.close()
})

test('a marker that names no folder does no harm', () => {
  writeFileSync(join(dir, 'setting-aside'), '')
  expect(openAgain()).toEqual(['opened'])
})

test('what a rescue found missing is told also where the next one has to begin anew before a trail could tell it', () => {
  const database = new DatabaseSync(join(dir, 'spool.sqlite'))
  database.exec("UPDATE records SET line = replace(line, 'ALLOWED', 'FOLLOWS') WHERE position BETWEEN 3 AND 4; VACUUM")
  database.close()
  openForWriting(openingIn(dir, { distrust: 'a write failed' }), () => new Date()).abandon()
  new SpoolStore(openingIn(dir, { distrust: 'a write failed' }), () => new Date()).close()
  const reader = openSpoolReader(dir)
  const records = reader?.after(0, 100).map(({ line }) => JSON.parse(line) as Kept) ?? []
  reader?.close()
  const gaps = records.filter(({ data }) => data['change'] === 'gap').map(({ data }) => data)
  expect(gaps[0]).toMatchObject({ fromSequence: '0000000000000003', toSequence: '0000000000000004', count: 2 })
})
