import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../../deploy/envoy/demo/processes.ts'
import type { TrailOpened } from '../../src/audit/event-data.ts'
import type { ParsedRecord } from '../../src/audit/chain.ts'
import { openSpoolReader } from '../../src/spool/reader.ts'
import { describeWith, faketimeLibrary } from '../real/parts.ts'
import { figure, progress } from './form.ts'
import { buildRig, type Rig } from './load/rig.ts'

const title = 'clock steps'
const hour = 3600
const day = 24 * hour
/** Seconds by which the server's clock differs from the machine's, one after the other: each step is one hour or one day. */
const clocks = [hour, 0, -hour, 0, day, 0, -day, 0]
const decisionsPerClock = 200
/** Far more often than users want it; the steps are a hundred times as long. */
const checkpointMs = 1000

let folder: string
let rig: Rig | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-clock-'))
})

afterEach(async () => {
  await rig?.remove()
  rmSync(folder, { recursive: true, force: true })
}, 180_000)

/** The server's own clock: it is set for the process, not for the machine. The monotonic clock goes on as it does. */
function setClock(seconds: number): void {
  const file = join(folder, 'clock')
  writeFileSync(`${file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`)
  renameSync(`${file}.new`, file)
}

function ownClock(): readonly string[] {
  setClock(0)
  return [
    'env',
    `LD_PRELOAD=${faketimeLibrary() ?? ''}`,
    `FAKETIME_TIMESTAMP_FILE=${join(folder, 'clock')}`,
    'FAKETIME_CACHE_DURATION=1',
    'FAKETIME_DONT_FAKE_MONOTONIC=1',
    'NO_FAKE_STAT=1',
  ]
}

async function build(spool: Readonly<Record<string, unknown>>): Promise<Rig> {
  const checkpoint = { everyRecords: 5000, everyMs: checkpointMs }
  rig = await buildRig({ settings: { spool, checkpoint }, within: ownClock() })
  return rig
}

describeWith('kafka', title, () => {
  describeWith('faketime', 'of one hour and one day, forwards and backwards, under load', () => {
    test('change neither order, ids, chain nor delivery, and delay no checkpoint', async () => {
      const built = await build({ retainDeliveredMs: 600_000 })
      const { server, data } = built
      await server.start()
      const load = built.load({ kind: 'rate', perSecond: 100, accessPerSecond: 25 }, 2)
      for (const clock of clocks) {
        setClock(clock)
        await recordedAt(data, clock)
        const before = spooled(data)
        await load.reached(load.accepted() + decisionsPerClock, 60_000)
        await until('a checkpoint after the step', () => checkpoints(data) > count(before, isCheckpoint), 30_000)
        await server.delivered('kafka', 60_000)
        progress(`clock ${clock} s off: ${load.accepted()} decisions accepted`)
      }
      await load.stop()
      const records = spooled(data)
      // What was delivered stays for ten minutes of real time, whatever the clock says.
      expect(records[0]?.sequence).toBe('0000000000000001')
      expect(await server.stop()).toBe(0)

      // The next trail begins a day before the one that it follows.
      setClock(-day)
      await server.start()
      expect(await server.stop()).toBe(0)
      const verdict = await built.judge()
      const all = readTopic(join(built.folder, 'topic.ndjson'))
      const [first, second] = all.filter(({ data: { change } }) => change === 'opened')
      figure(title, 'steps', clocks.length + 1)
      figure(title, 'accepted decisions', verdict.accepted)
      figure(title, 'lost, doubled, forked or missing', verdict.lost.count + verdict.doubled.count, 0)
      expect(verdict).toMatchObject({
        ...{ lost: none, contradicted: none, doubled: none, forks: none, holes: none, unrecordedAllows: none },
        verified: verdict.verified.map(() => ({ status: 0, output: '' })),
      })
      expect(verdict.gapDecisions).toBe(0)
      expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
      expect((second?.data as unknown as TrailOpened).previous).toMatchObject({ trail: first?.trail, closed: true })
      expect(second && first && second.recordedat < first.recordedat).toBe(true)
    }, 900_000)

    test('keep no delivered record for ever', async () => {
      const built = await build({ retainDeliveredMs: 2000 })
      const { server, data } = built
      await server.start()
      const load = built.load({ kind: 'rate', perSecond: 100 }, 1)
      for (const clock of [day, 0, -day, 0]) {
        setClock(clock)
        await recordedAt(data, clock)
        const { sequence: last = '' } = spooled(data).at(-1) ?? {}
        await until('delivered records to be freed', () => (spooled(data)[0]?.sequence ?? '') > last, 60_000)
      }
      await load.stop()
      expect(await server.stop()).toBe(0)
      const verdict = await built.judge()
      expect(verdict).toMatchObject({
        lost: none,
        holes: none,
        verified: verdict.verified.map(() => ({ status: 0, output: '' })),
      })
    }, 900_000)
  })
})

const none = { count: 0, first: [] }
const isCheckpoint = ({ type }: ParsedRecord): boolean => type === 'io.countersign.checkpoint.v1'

/** Waits until the server has recorded something by a clock that is so far off. */
async function recordedAt(data: string, seconds: number): Promise<void> {
  const isThere = (): boolean => {
    const { recordedat } = spooled(data).at(-1) ?? {}
    const off = recordedat === undefined ? NaN : (Date.parse(recordedat) - Date.now()) / 1000
    return Math.abs(off - seconds) < hour / 2
  }
  await until(`a record whose clock is ${seconds} s off`, isThere, 30_000)
}

/** What the spool holds, beside its writer. */
function spooled(data: string): ParsedRecord[] {
  const reader = openSpoolReader(join(data, 'spool'))
  if (reader === undefined) return []
  try {
    return reader.after(0, Number.MAX_SAFE_INTEGER).map(({ line }) => JSON.parse(line) as ParsedRecord)
  } finally {
    reader.close()
  }
}

function checkpoints(data: string): number {
  return count(spooled(data), isCheckpoint)
}

function count<T>(all: readonly T[], is: (one: T) => boolean): number {
  return all.filter(is).length
}

function readTopic(dump: string): ParsedRecord[] {
  const lines = readFileSync(dump, 'utf8').split('\n').filter(Boolean)
  const byPlace = new Map(lines.map((line) => [line.slice(-70), JSON.parse(line) as ParsedRecord]))
  return [...byPlace.values()]
}
