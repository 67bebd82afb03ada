import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { encodeEvent, type EncodedEvent } from '../../../src/audit/record.ts'
import { CountersignError } from '../../../src/errors.ts'
import { openSpoolReader } from '../../../src/spool/reader.ts'
import { fileName, setAsideName } from '../../../src/spool/file/schema.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { cursorAt, keptIn, newDecision, newFolder, openingIn } from '../opening.ts'

const withoutCheckpoints = { ...openingIn('').checkpoints, everyRecords: Infinity, everyMs: Infinity }

let dir: string
let clock: Date

beforeEach(() => {
  dir = newFolder()
  clock = new Date('2026-11-22T10:00:00Z')
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

/** Checkpoints come with the trail's end alone, so that a test knows what is in it. */
function open(more: Parameters<typeof openingIn>[1] = {}): SpoolStore {
  return new SpoolStore(openingIn(dir, { checkpoints: withoutCheckpoints, ...more }), () => clock)
}

function events(count: number): EncodedEvent[] {
  return Array.from({ length: count }, () => encodeEvent(newDecision().event))
}

function codeOf(act: () => unknown): string | undefined {
  try {
    act()
    return undefined
  } catch (thrown) {
    return thrown instanceof CountersignError ? `${thrown.code}: ${thrown.message}` : String(thrown)
  }
}

describe('a trail', () => {
  test('begins with `opened`, counts from 1 without gaps, and links each record to the one before it', () => {
    const store = open()
    store.append(events(5), [])
    store.append(events(5), [])
    store.close()
    const records = keptIn(dir)
    expect(records.map(({ sequence }) => Number(sequence))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    expect(records[0]).toMatchObject({ type: 'io.countersign.trail.v1', data: { change: 'opened', previous: null } })
  })

  test('has nothing behind the records that close it, however long sinks take after that', () => {
    const store = open({ checkpoints: { ...withoutCheckpoints, everyMs: 1000 } })
    store.append(events(3), [])
    store.seal(openingIn(dir).openedId)
    clock = new Date(clock.getTime() + 60_000)
    store.append([], [cursorAt('archive', 4)])
    store.check()
    store.close()
    expect(keptIn(dir).map(({ type, data }) => data['change'] ?? type)).toEqual([
      ...['opened', ...Array<string>(3).fill('io.countersign.decision.v1')],
      ...['closed', 'io.countersign.checkpoint.v1'],
    ])
  })

  test('names the trail before it with its last sequence and hash, and whether that was closed', () => {
    const first = open()
    first.append(events(3), [])
    first.seal(openingIn(dir).openedId)
    first.close()
    const second = open()
    second.append(events(2), [])
    second.close()
    open().close()
    const records = keptIn(dir)
    const opened = records.filter(({ data }) => data['change'] === 'opened')
    const [one, two] = [records[5], records[8]]
    expect(opened[1]?.data['previous']).toEqual({
      trail: one?.trail,
      sequence: one?.sequence,
      hash: hashOf(one),
      closed: true,
    })
    expect(opened[2]?.data['previous']).toEqual({
      trail: two?.trail,
      sequence: two?.sequence,
      hash: hashOf(two),
      closed: false,
    })
  })

  test('says at its end how many of its records were delivered, and how many were left', () => {
    const first = open()
    first.append(events(3), [])
    first.close()
    const second = open()
    second.append(events(3), [cursorAt('archive', 6)])
    second.append([], [])
    second.seal(openingIn(dir).openedId)
    second.close()
    expect(keptIn(dir).at(-2)?.data).toMatchObject({ change: 'closed', delivered: 2, left: 2 })
  })

  test('is named by the next one although all its records were delivered and deleted', () => {
    const first = open({ retainDeliveredMs: 0 })
    first.append(events(3), [])
    const { lastPosition, trail } = first.state()
    first.append([], [cursorAt('archive', lastPosition)])
    clock = new Date('2026-11-22T11:00:00Z')
    first.append([], [])
    expect(keptIn(dir)).toEqual([])
    first.close()
    const second = open()
    expect(second.state().lastPosition).toBe(lastPosition + 1)
    second.close()
    expect(keptIn(dir)[0]?.data['previous']).toMatchObject({ trail, sequence: '0000000000000004' })
  })
})

describe('the trails that are remembered', () => {
  test('are those with records, and as many others as their ends may be asked for', () => {
    const kept = openingIn(dir, { retainDeliveredMs: 60_000 })
    const trails = Array.from({ length: 3 }, () => {
      const opening = openingIn(dir, { retainDeliveredMs: 0 })
      const store = new SpoolStore(opening, () => clock)
      deliverAll(store)
      store.close()
      return opening.trail
    })
    expect(keptIn(dir)).toEqual([])
    new SpoolStore(kept, () => clock).close()
    expect(keptIn(dir)[0]?.data['previous']).toMatchObject({ trail: trails[2] })
    expect(trailsKnown()).toEqual([...trails, kept.trail])
  })
})

describe('a batch', () => {
  test('that fails half-way leaves no record and no hole', () => {
    const store = open()
    store.append(events(2), [])
    const [good] = events(1)
    const before = store.state()
    const bad = Symbol('no text') as unknown as EncodedEvent
    expect(
      codeOf(() => {
        store.append([good as EncodedEvent, bad], [])
      }),
    ).toContain('SPOOL_FAILED')
    expect(store.state()).toEqual(before)
    const badCursor = cursorAt('archive', bad as unknown as number)
    expect(
      codeOf(() => {
        store.append(events(3), [badCursor])
      }),
    ).toContain('SPOOL_FAILED')
    expect(store.state()).toEqual(before)
    store.append(events(1), [])
    store.close()
    expect(keptIn(dir).map(({ sequence }) => Number(sequence))).toEqual([1, 2, 3, 4])
  })
})

describe('cursors', () => {
  test('never move back, and survive a restart', () => {
    const store = open()
    store.append(events(10), [cursorAt('archive', 5)])
    store.append([], [cursorAt('archive', 3)])
    store.close()
    const reader = openSpoolReader(dir)
    expect(reader?.cursor('archive')).toEqual({ position: 5, mark: null })
    reader?.close()
    const again = open()
    expect(again.state().waitingRecords).toBe(7)
    again.close()
  })

  test('hold records until the slowest sink has them, and no longer than asked for', () => {
    const store = open({ sinks: ['archive', 'kafka'], retainDeliveredMs: 60_000 })
    store.append(events(9), [])
    store.append([], [cursorAt('archive', 10), cursorAt('kafka', 4)])
    expect(store.state()).toMatchObject({ waitingRecords: 6 })
    clock = new Date(clock.getTime() + 30_000)
    store.append([], [])
    expect(keptIn(dir)).toHaveLength(10)
    clock = new Date(clock.getTime() + 60_000)
    store.append([], [])
    expect(keptIn(dir)).toHaveLength(6)
    expect(store.state()).toMatchObject({ waitingRecords: 6, oldestWaitingMs: Date.parse('2026-11-22T10:00:00Z') })
    store.close()
  })

  test('let a batch delete only so much, and the next one the rest', () => {
    const store = open({ retainDeliveredMs: 0 })
    store.append(events(1500), [])
    store.append([], [cursorAt('archive', 1501)])
    clock = new Date(clock.getTime() + 1)
    store.append([], [])
    expect(keptIn(dir)).toHaveLength(1501 - 1024)
    store.append([], [])
    expect(keptIn(dir)).toHaveLength(0)
    store.close()
  })

  test('keep delivered records for their time although they stand behind an old one', () => {
    const store = open({ retainDeliveredMs: 60_000 })
    clock = new Date(clock.getTime() + 50_000)
    store.append(events(3), [])
    store.append([], [cursorAt('archive', 4)])
    clock = new Date(clock.getTime() + 20_000)
    store.append([], [])
    expect(keptIn(dir).map(({ sequence }) => Number(sequence))).toEqual([2, 3, 4])
    clock = new Date(clock.getTime() + 50_000)
    store.append([], [])
    expect(keptIn(dir)).toEqual([])
    store.close()
  })

  test('let records go that were written before the clock was put back', () => {
    const store = open({ retainDeliveredMs: 60_000 })
    clock = new Date('2027-11-22T10:00:00Z')
    store.append(events(3), [])
    clock = new Date('2026-11-22T10:10:00Z')
    store.append(events(3), [cursorAt('archive', 7)])
    clock = new Date('2026-11-22T10:20:00Z')
    store.append([], [])
    store.append([], [])
    expect(keptIn(dir)).toHaveLength(0)
    store.close()
  })

  test('of a new sink begin with what is still here; those of a forgotten one hold nothing back', () => {
    const first = open({ sinks: ['archive', 'kafka'] })
    first.append(events(4), [cursorAt('archive', 5)])
    first.close()
    const second = open({ sinks: ['archive', 'siem'] })
    expect(second.state().waitingRecords).toBe(6)
    second.append([], [cursorAt('siem', 6), cursorAt('archive', 6)])
    expect(second.state().waitingRecords).toBe(0)
    second.close()
  })

  test('count what waits as a full count would, whatever happens in which order', () => {
    const store = open({ sinks: ['archive', 'kafka'], retainDeliveredMs: 0 })
    for (let round = 1; round < 30; round += 1) {
      clock = new Date(clock.getTime() + 10)
      const { lastPosition } = store.state()
      store.append(events(round % 4), [
        cursorAt('archive', Math.max(0, lastPosition - (round % 3))),
        cursorAt('kafka', Math.max(0, lastPosition - (round % 7))),
      ])
      const { waitingRecords, waitingBytes } = store.state()
      expect({ waitingRecords, waitingBytes }).toEqual(fullCount())
    }
    store.close()
  })
})

describe('a lock of another process', () => {
  test('is waited out: nothing is lost, and the next batch goes through', () => {
    const store = open()
    const other = new DatabaseSync(join(dir, fileName))
    other.exec('BEGIN IMMEDIATE')
    expect(
      codeOf(() => {
        store.append(events(1), [])
      }),
    ).toMatch(/^SPOOL_IN_USE/)
    other.exec('ROLLBACK')
    other.close()
    store.append(events(1), [])
    store.close()
    expect(keptIn(dir)).toHaveLength(2)
  })
})

describe('reading', () => {
  test('finds none where there is no file, and says what is wrong where there is one that cannot be read', () => {
    expect(openSpoolReader(dir)).toBeUndefined()
    symlinkSync(join(dir, 'nowhere', 'spool'), join(dir, fileName))
    expect(openSpoolReader(dir)).toBeUndefined()
    rmSync(join(dir, fileName))
    mkdirSync(join(dir, fileName))
    expect(codeOf(() => openSpoolReader(dir))).toMatch(/^SPOOL_FAILED: cannot read the spool/)
  })
})

describe('opening', () => {
  test('keeps the folder and the files to their owner', () => {
    const inner = join(dir, 'spool')
    new SpoolStore(openingIn(inner), () => clock).close()
    expect(statSync(inner).mode & 0o777).toBe(0o700)
    const store = new SpoolStore(openingIn(inner), () => clock)
    for (const name of [fileName, `${fileName}-wal`, `${fileName}-shm`, 'lock.sqlite']) {
      expect([name, statSync(join(inner, name)).mode & 0o777]).toEqual([name, 0o600])
    }
    store.close()
  })

  test('takes a folder that others could read for its own', () => {
    chmodSync(dir, 0o755)
    open().close()
    expect(statSync(dir).mode & 0o777).toBe(0o700)
  })

  test('refuses a spool that is in use', () => {
    const store = open()
    expect(codeOf(() => open())).toMatch(/^SPOOL_IN_USE: .*in use by another process/)
    store.close()
    open().close()
  })

  test('refuses a spool of a newer version, and does not touch it', () => {
    open().close()
    const path = join(dir, fileName)
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 3')
    database.close()
    const bytes = readFileSync(path)
    expect(codeOf(() => open())).toMatch(/^SPOOL_VERSION: .*has version 3.*reads up to version 2/)
    expect(readFileSync(path).equals(bytes)).toBe(true)
    expect(codeOf(() => openSpoolReader(dir))).toMatch(/^SPOOL_VERSION/)
  })

  test.each([
    [
      'another program’s database',
      (path: string) => {
        const database = new DatabaseSync(path)
        database.exec('CREATE TABLE notes (text)')
        database.close()
      },
    ],
    [
      'no database at all',
      (path: string) => {
        writeFileSync(path, 'what is this? '.repeat(1000))
      },
    ],
  ])('sets %s aside, whole, and begins anew', (_name, make) => {
    make(join(dir, fileName))
    const before = readFileSync(join(dir, fileName))
    open().close()
    const [folder = ''] = readdirSync(join(dir, setAsideName))
    expect(readFileSync(join(dir, setAsideName, folder, fileName)).equals(before)).toBe(true)
    expect(keptIn(dir).map(({ data }) => data['change'])).toEqual(['opened', 'gap'])
  })

  test('refuses a folder that cannot be made', () => {
    writeFileSync(join(dir, 'file'), '')
    expect(codeOf(() => new SpoolStore(openingIn(join(dir, 'file')), () => clock))).toMatch(/^SPOOL_FAILED: cannot use/)
  })
})

function deliverAll(store: SpoolStore): void {
  store.append([], [cursorAt('archive', store.state().lastPosition)])
  clock = new Date(clock.getTime() + 1)
  store.append([], [])
}

function trailsKnown(): unknown[] {
  const database = new DatabaseSync(join(dir, fileName), { readOnly: true })
  const rows = database.prepare('SELECT trail FROM trails ORDER BY number').all()
  database.close()
  return rows.map((row) => row['trail'])
}

function hashOf(record: object | undefined): unknown {
  return (record as { hash?: unknown }).hash
}

function fullCount(): { waitingRecords: number; waitingBytes: number } {
  const database = new DatabaseSync(join(dir, fileName), { readOnly: true })
  const row = database
    .prepare(
      `SELECT count(*) AS records, coalesce(sum(octet_length(line)), 0) AS bytes FROM records
        WHERE position > (SELECT min(position) FROM cursors)`,
    )
    .get()
  database.close()
  return { waitingRecords: Number(row?.['records']), waitingBytes: Number(row?.['bytes']) }
}
