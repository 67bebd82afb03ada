import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encodeEvent } from '../../../src/audit/record.ts'
import { setAside } from '../../../src/spool/rescue/set-aside.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { keptIn, newDecision, newFolder, openingIn } from '../opening.ts'

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

test('a marker that names no folder does no harm', () => {
  writeFileSync(join(dir, 'setting-aside'), '')
  expect(openAgain()).toEqual(['opened'])
})
