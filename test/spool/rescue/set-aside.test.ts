import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { DatabaseSync } from 'node:sqlite'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
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
  rmSync(join(dir, 'head'))
  new SpoolStore(openingIn(dir, { distrust: 'a write failed' }), () => new Date()).close()
  const reader = openSpoolReader(dir)
  const records = reader?.after(0, 100).map(({ line }) => JSON.parse(line) as Kept) ?? []
  reader?.close()
  const gaps = records.filter(({ data }) => data['change'] === 'gap').map(({ data }) => data)
  expect(gaps[0]).toMatchObject({ fromSequence: '0000000000000003', toSequence: '0000000000000004', count: 2 })
})

test('what somebody puts in the place of files that are being set aside is kept, its journal too', () => {
  setAsideAll()
  const [folder = ''] = readdirSync(join(dir, 'set-aside'))
  writeFileSync(join(dir, 'set-aside', folder, 'spool.sqlite-wal'), '')
  for (const name of ['spool.sqlite', 'spool.sqlite-wal']) writeFileSync(join(dir, name), `a backup’s ${name}`)
  expect(openAgain()).toEqual(['opened', 'gap'])
  expect(keptAside('spool.sqlite')).toContain('a backup’s spool.sqlite')
  expect(keptAside('spool.sqlite-wal')).toContain('a backup’s spool.sqlite-wal')
})

test('what somebody puts in the place of new files before they are in it is kept, its journal too', () => {
  for (const name of ['spool.sqlite', 'head']) renameSync(join(dir, name), join(dir, `${name}.rescued`))
  for (const name of ['spool.sqlite', 'spool.sqlite-wal', 'head']) writeFileSync(join(dir, name), `a backup’s ${name}`)
  expect(openAgain()).toEqual(['opened'])
  for (const name of ['spool.sqlite', 'spool.sqlite-wal', 'head']) {
    expect(keptAside(name)).toEqual([`a backup’s ${name}`])
  }
})

test('a file that is distrusted is set aside once, however often it takes to begin a trail in the new one', () => {
  const distrusting = openingIn(dir, { distrust: 'a write failed' })
  for (let time = 0; time < 3; time += 1) openForWriting(distrusting, () => new Date()).abandon()
  expect(readdirSync(join(dir, 'set-aside'))).toHaveLength(1)
  expect(openAgain()).toEqual(['opened', 'gap'])
})

test('the copy of a file that was taken away has what a sink lacks, and nothing else', () => {
  const store = new SpoolStore(openingIn(dir), () => new Date())
  store.append([encodeEvent(newDecision().event)], [])
  const { lastPosition } = store.state()
  store.append([], [{ sink: 'archive', position: lastPosition - 2, mark: 'here', rewound: false }])
  rmSync(join(dir, 'spool.sqlite'))
  expect(() => {
    store.check()
  }).toThrow('is gone')
  const copy = new DatabaseSync(join(dir, 'rescue.sqlite'), { readOnly: true })
  const positions = copy
    .prepare('SELECT position FROM records')
    .all()
    .map(({ position }) => position)
  copy.close()
  expect(positions).toEqual([lastPosition - 1, lastPosition])
  new SpoolStore(openingIn(dir), () => new Date()).close()
  expect(keptIn(dir).map(({ data }) => data['change'] ?? data.effect)).toEqual(['opened', 'allow', 'opened', 'gap'])
})

/** The texts of the files of a name that were set aside. */
function keptAside(name: string): readonly string[] {
  return readdirSync(join(dir, 'set-aside'))
    .map((folder) => join(dir, 'set-aside', folder, name))
    .filter((path) => existsSync(path))
    .map((path) => readFileSync(path, 'utf8'))
}
