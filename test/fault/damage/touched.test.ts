import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  chmodSync,
  closeSync,
  copyFileSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { v7 as uuidv7 } from 'uuid'
import type { ReopeningStep } from '../../../src/spool/appending/reopening.ts'
import { Spool } from '../../../src/spool/spool.ts'
import { newDecision, newFolder, openingIn } from '../../spool/opening.ts'
import { figure } from '../form.ts'

const name = 'spool.sqlite'

let dir: string
let spool: Spool
let steps: ReopeningStep[]

beforeEach(async () => {
  dir = newFolder()
  steps = []
  const context = {
    newId: () => uuidv7(),
    now: () => new Date(),
    onReopening: (step: ReopeningStep) => steps.push(step),
  }
  spool = await Spool.open(openingIn(dir), { mode: 'strict', deadlineMs: 10_000, maxBytes: 1e9 }, context)
})

afterEach(async () => {
  await spool.close()
  rmSync(dir, { recursive: true, force: true })
})

/** What somebody does to the files of a spool that is in use, while nothing is written. */
const touches: Readonly<Record<string, () => void>> = {
  'its file is deleted': () => {
    unlinkSync(join(dir, name))
  },
  'all its files are deleted': () => {
    for (const file of [name, `${name}-wal`, `${name}-shm`, 'head']) unlinkSync(join(dir, file))
  },
  'its file is replaced by a copy': () => {
    copyFileSync(join(dir, name), join(dir, 'copy'))
    renameSync(join(dir, 'copy'), join(dir, name))
  },
  'its file is replaced by an empty one': () => {
    writeFileSync(join(dir, 'empty'), '')
    renameSync(join(dir, 'empty'), join(dir, name))
  },
  'its journal is deleted': () => {
    unlinkSync(join(dir, `${name}-wal`))
  },
  'its head is deleted': () => {
    unlinkSync(join(dir, 'head'))
  },
  'its lock is replaced': () => {
    writeFileSync(join(dir, 'lock.new'), '')
    renameSync(join(dir, 'lock.new'), join(dir, 'lock.sqlite'))
  },
}

/** The same, where some of what it held is gone for good. */
const losses: Readonly<Record<string, () => void>> = {
  'its journal is cut off': () => {
    truncateSync(join(dir, `${name}-wal`), 3 * 4096)
  },
  'pages of its file are overwritten': () => {
    // While the journal has the pages too, nothing is lost by it.
    const other = new DatabaseSync(join(dir, name))
    other.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    other.close()
    const { size } = statSync(join(dir, name))
    overwrite(join(dir, name), size - 5 * 4096, 'x'.repeat(4 * 4096))
  },
}

describe('a spool in use notices, and goes on in a new file with all that it held, when', () => {
  test.each(Object.entries(touches))('%s', async (title, touch) => {
    const before = await recorded(40)
    const touchedAt = performance.now()
    touch()
    await until(() => steps.some(({ step }) => step === 'lost'))
    figure(
      'files taken away or altered',
      title,
      `${Math.round(performance.now() - touchedAt)} ms`,
      'noticed within 1 s',
    )
    await until(() => steps.some(({ step }) => step === 'reopened'))
    const after = await recorded(3)
    await spool.seal()
    expect(idsIn(dir)).toEqual(expect.arrayContaining([...before, ...after]))
    const gaps = gapsIn(dir)
    expect(gaps).toHaveLength(1)
    expect(gaps[0]).toMatchObject({ of: 'trail', count: 0, countExact: true, fromSequence: null })
  })
})

describe('a spool in use goes on in a new file, and names what is missing, when', () => {
  test.each(Object.entries(losses))('%s', async (title, touch) => {
    const before = await recorded(40)
    const touchedAt = performance.now()
    touch()
    await until(() => steps.some(({ step }) => step === 'lost'))
    figure(
      'files taken away or altered',
      title,
      `${Math.round(performance.now() - touchedAt)} ms`,
      'noticed within 1 s',
    )
    await until(() => steps.some(({ step }) => step === 'reopened'))
    await spool.seal()
    const kept = new Set(idsIn(dir))
    const missing = before.filter((id) => !kept.has(id))
    const gaps = gapsIn(dir)
    expect(missing.length).toBeGreaterThan(0)
    expect(gaps.reduce((sum, gap) => sum + Number(gap['count']), 0)).toBeGreaterThanOrEqual(missing.length)
    expect(gaps.every((gap) => gap['countExact'] === true)).toBe(true)
  })
})

test('a spool that is made read-only says so, and goes on in the same trail when it is made writable', async () => {
  const { trail } = spool.status()
  chmodSync(join(dir, name), 0o400)
  await until(() => spool.status().problem !== null)
  expect(spool.status().problem).toMatchObject({ code: 'SPOOL_FAILED', retryable: true })
  expect(spool.status().problem?.message).toContain('read-only')
  chmodSync(join(dir, name), 0o600)
  await until(() => spool.status().problem === null)
  await recorded(1)
  expect(spool.status().trail).toBe(trail)
  expect(steps).toEqual([])
})

test('a later version’s file in its place is not touched, and when it is gone, nothing is lost', async () => {
  const before = await recorded(20)
  const later = laterVersion()
  renameSync(join(dir, 'later'), join(dir, name))
  await until(() => spool.status().problem?.code === 'SPOOL_VERSION')
  expect(readFileSync(join(dir, name)).equals(later)).toBe(true)
  unlinkSync(join(dir, name))
  await until(() => spool.status().problem === null)
  expect(idsIn(dir)).toEqual(expect.arrayContaining(before))
})

/** Records decisions and returns their ids. */
async function recorded(count: number): Promise<string[]> {
  const ids: string[] = []
  for (let number = 0; number < count; number += 1) {
    const { id, event } = newDecision()
    expect(await spool.append(event)).toBe(true)
    ids.push(id)
  }
  return ids
}

function laterVersion(): Buffer {
  const path = join(dir, 'later')
  const database = new DatabaseSync(path)
  database.exec('PRAGMA application_id = 1129539438; PRAGMA user_version = 3; CREATE TABLE other (text)')
  database.close()
  return readFileSync(path)
}

function rowsIn(folder: string): Record<string, unknown>[] {
  const database = new DatabaseSync(join(folder, name), { readOnly: true })
  try {
    const rows = database.prepare('SELECT line FROM records ORDER BY position').all()
    return rows.map(({ line }) => JSON.parse(String(line)) as Record<string, unknown>)
  } finally {
    database.close()
  }
}

function idsIn(folder: string): unknown[] {
  return rowsIn(folder).map((record) => record['id'])
}

function gapsIn(folder: string): Record<string, unknown>[] {
  const data = rowsIn(folder).map((record) => record['data'] as Record<string, unknown>)
  return data.filter((one) => one['change'] === 'gap')
}

function overwrite(path: string, from: number, text: string): void {
  const file = openSync(path, 'r+')
  writeSync(file, text, from)
  closeSync(file)
  expect(statSync(path).size).toBeGreaterThan(from)
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000
  while (!holds()) {
    if (performance.now() > deadline)
      throw new Error(`it did not happen: ${JSON.stringify([spool.status().problem, steps])}`)
    await sleep(10)
  }
}
