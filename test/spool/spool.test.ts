import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { rmSync } from 'node:fs'
import { v7 as uuidv7 } from 'uuid'
import type { AuditEvent } from '../../src/audit/event.ts'
import { openSpoolReader } from '../../src/spool/reader.ts'
import { Spool, type SpoolSettings } from '../../src/spool/spool.ts'
import { type FakeSpoolWorker, fakeSpoolWorker } from '../fakes/spool-worker.ts'
import { cursorAt, type Kept, keptIn, newAccess, newDecision, newFolder, openingIn } from './opening.ts'

const strict: SpoolSettings = { mode: 'strict', deadlineMs: 60_000, maxBytes: 1e9 }

let dir: string
let disk: FakeSpoolWorker

beforeEach(() => {
  dir = newFolder()
  disk = fakeSpoolWorker(() => new Date())
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

function open(settings: Partial<SpoolSettings> = {}): Promise<Spool> {
  const context = { newId: () => uuidv7(), now: () => new Date(), startWorker: disk.start }
  return Spool.open(openingIn(dir), { ...strict, ...settings }, context)
}

async function close(spool: Spool): Promise<void> {
  await spool.seal()
  await spool.close()
}

function decisionsIn(records: readonly Kept[], id: string): Kept[] {
  return records.filter(({ data }) => data.decisionId === id)
}

function gapsIn(records: readonly Kept[]): Kept['data'][] {
  return records.map(({ data }) => data).filter((data) => data['change'] === 'gap' && data['of'] !== 'trail')
}

describe('append, strict', () => {
  test('resolves true only when the record is on the disk', async () => {
    const spool = await open()
    disk.stall()
    const { id, event, ifLate } = newDecision()
    let answered = false
    const appended = spool.append(event, { ifLate }).then((kept) => {
      answered = true
      return kept
    })
    await turns(20)
    expect(answered).toBe(false)
    disk.release()
    expect(await appended).toBe(true)
    expect(decisionsIn(keptIn(dir), id)).toHaveLength(1)
    await close(spool)
  })

  test('puts what arrives together into one batch', async () => {
    const spool = await open()
    const before = disk.batches.length
    await Promise.all(Array.from({ length: 100 }, () => spool.append(newDecision().event)))
    expect(disk.batches.slice(before)).toEqual([100])
    await close(spool)
  })

  test('withdraws a decision that still waits at its deadline: the only record says that it was denied', async () => {
    const spool = await open()
    disk.stall()
    const first = newDecision()
    const waiting = spool.append(first.event, { ifLate: first.ifLate })
    await turns(5)
    const { id, event, ifLate } = newDecision()
    expect(await spool.append(event, { ifLate, withinMs: 5 })).toBe(false)
    disk.release()
    expect(await waiting).toBe(true)
    await close(spool)
    const records = decisionsIn(keptIn(dir), id)
    expect(records.map(({ data }) => [data.effect, data.reason, data.supersedes])).toEqual([
      ['deny', 'AUDIT_UNAVAILABLE', false],
    ])
    expect(records[0]?.id).toBe(id)
  })

  test('takes a caller that has gone for one whose deadline has passed', async () => {
    const spool = await open()
    disk.stall()
    const late = [newDecision(), newDecision(), newDecision()]
    const gone = new AbortController()
    const appended = late.slice(0, 2).map(({ event, ifLate }, index) => {
      const { signal } = index === 0 ? gone : new AbortController()
      return spool.append(event, { ifLate, gone: signal })
    })
    await turns(5)
    gone.abort()
    expect(await appended[0]).toBe(false)
    const already = late[2]
    expect(await spool.append(already?.event ?? newAccess(), { ...already, gone: AbortSignal.abort() })).toBe(false)
    disk.release()
    expect(await appended[1]).toBe(true)
    await close(spool)
    const records = keptIn(dir)
    const told = late.map(({ id }) => decisionsIn(records, id).map(({ data }) => [data.effect, data.supersedes]))
    expect(told).toEqual([
      [
        ['allow', false],
        ['deny', true],
      ],
      [['allow', false]],
      [['deny', false]],
    ])
  })

  test('supersedes a decision that became durable after its deadline', async () => {
    const spool = await open()
    disk.stall()
    const { id, event, ifLate } = newDecision()
    const appended = spool.append(event, { ifLate, withinMs: 20 })
    expect(await appended).toBe(false)
    disk.release()
    await close(spool)
    const records = decisionsIn(keptIn(dir), id)
    expect(records.map(({ data }) => [data.effect, data.reason, data.supersedes])).toEqual([
      ['allow', 'ALLOWED_BY_RULE', false],
      ['deny', 'AUDIT_UNAVAILABLE', true],
    ])
    expect(records[1]?.id).not.toBe(id)
  })

  test('waits no longer than its own setting, however long the caller could wait', async () => {
    const spool = await open({ deadlineMs: 10 })
    disk.stall()
    expect(await spool.append(newDecision().event, { withinMs: 600_000 })).toBe(false)
    disk.release()
    await close(spool)
  })

  test('supersedes it although the disk is full by then, as soon as there is room', async () => {
    const spool = await open()
    const before = disk.batches.length
    disk.stall()
    const { id, event, ifLate } = newDecision()
    expect(await spool.append(event, { ifLate, withinMs: 20 })).toBe(false)
    await waitFor(() => disk.batches.length > before)
    disk.fail('SPOOL_FULL', true)
    disk.release()
    await waitFor(() => spool.status().problem !== null)
    disk.heal()
    await waitFor(() => spool.status().problem === null)
    await close(spool)
    expect(decisionsIn(keptIn(dir), id).map(({ data }) => [data.effect, data.supersedes])).toEqual([
      ['allow', false],
      ['deny', true],
    ])
  })

  test('counts a decision that has nothing to replace it in a gap', async () => {
    const spool = await open()
    disk.stall()
    void spool.record(newAccess())
    await turns(5)
    expect(await spool.append(newDecision().event, { withinMs: 5 })).toBe(false)
    disk.release()
    await close(spool)
    expect(gapsIn(keptIn(dir))).toMatchObject([{ of: 'decision', reason: 'DEADLINE', count: 1, countExact: true }])
  })

  test('refuses at once while the disk is full, says so, and writes the exact gap when there is room again', async () => {
    const spool = await open()
    disk.fail('SPOOL_FULL', true)
    const refused = await Promise.all(Array.from({ length: 7 }, () => spool.append(newDecision().event)))
    expect(refused).toEqual(Array.from({ length: 7 }, () => false))
    expect(spool.status().problem).toMatchObject({ code: 'SPOOL_FULL' })
    expect(await spool.append(newDecision().event)).toBe(false)
    const access = spool.record(newAccess())
    // Long enough for several tries, each of which carries the gap.
    await new Promise((resolve) => setTimeout(resolve, 700))
    disk.heal()
    expect(await access).toBe(true)
    expect(spool.status().problem).toBeNull()
    expect(await spool.append(newDecision().event)).toBe(true)
    await close(spool)
    const gaps = gapsIn(keptIn(dir))
    expect(gaps.reduce((sum, gap) => sum + Number(gap['count']), 0)).toBe(8)
    expect(new Set(gaps.map((gap) => gap.reason))).toEqual(new Set(['SPOOL_FULL']))
  })

  test('answers false, and does not throw, for an event that is no JSON', async () => {
    const spool = await open()
    const event: AuditEvent = { ...newDecision().event, data: { number: 1n } }
    expect(await spool.append(event)).toBe(false)
    await close(spool)
  })

  test('refuses decisions while too much waits for the sinks, and takes them again when it is delivered', async () => {
    const spool = await open({ maxBytes: 4000 })
    const kept: boolean[] = []
    for (let count = 0; count < 8; count += 1) kept.push(await spool.append(newDecision().event))
    expect(kept.at(0)).toBe(true)
    expect(kept.at(-1)).toBe(false)
    expect(spool.status().problem?.message).toContain('spool.maxBytes')
    spool.advance(cursorAt('archive', spool.status().lastPosition))
    await waitFor(() => spool.status().problem === null)
    expect(await spool.append(newDecision().event)).toBe(true)
    await close(spool)
  })
})

describe('while too much waits for the sinks', () => {
  test('a refused decision costs no record of its own: one gap a second counts them', async () => {
    const spool = await open({ maxBytes: 1 })
    for (let count = 0; count < 500; count += 1) expect(await spool.append(newDecision().event)).toBe(false)
    await close(spool)
    const gaps = gapsIn(keptIn(dir))
    expect(gaps.reduce((sum, gap) => sum + Number(gap['count']), 0)).toBe(500)
    expect(gaps.length).toBeLessThan(10)
  })

  test('access events wait, and are kept when a sink has caught up', async () => {
    const spool = await open({ maxBytes: 1 })
    const before = spool.status().lastSequence
    const recorded = [spool.record(newAccess()), spool.record(newAccess())]
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(spool.status()).toMatchObject({ lastSequence: before, queued: 2 })
    spool.advance(cursorAt('archive', spool.status().lastPosition))
    expect(await Promise.all(recorded)).toEqual([true, true])
    await close(spool)
  })
})

describe('append, best effort', () => {
  test('answers at once, and keeps the record', async () => {
    const spool = await open({ mode: 'best-effort' })
    disk.stall()
    const { id, event } = newDecision()
    expect(await spool.append(event)).toBe(true)
    disk.release()
    await close(spool)
    expect(decisionsIn(keptIn(dir), id)).toHaveLength(1)
  })

  test('keeps what a full disk holds up, and counts what it refuses meanwhile', async () => {
    const spool = await open({ mode: 'best-effort', whenFull: 'drop-newest' })
    disk.fail('SPOOL_FULL', true)
    const early = Array.from({ length: 5 }, () => newDecision())
    for (const { event } of early) expect(await spool.append(event)).toBe(true)
    await waitFor(() => spool.status().problem !== null)
    const refused = newDecision()
    expect(await spool.append(refused.event)).toBe(true)
    disk.heal()
    await waitFor(() => spool.status().problem === null)
    await close(spool)
    const records = keptIn(dir)
    for (const { id } of early) expect(decisionsIn(records, id)).toHaveLength(1)
    expect(decisionsIn(records, refused.id)).toEqual([])
    expect(gapsIn(records)).toMatchObject([{ of: 'decision', reason: 'SPOOL_FULL', count: 1 }])
  })
})

describe('record', () => {
  test('lets decisions go before access events that came earlier', async () => {
    const spool = await open()
    disk.stall()
    const first = spool.append(newDecision().event)
    await turns(5)
    const accesses = Array.from({ length: 3 }, () => newAccess())
    const recorded = accesses.map((event) => spool.record(event))
    const { id, event } = newDecision()
    const appended = spool.append(event)
    disk.release()
    await Promise.all([first, ...recorded, appended])
    await close(spool)
    const ids = keptIn(dir).map((record) => record.id)
    expect(ids.indexOf(id)).toBeLessThan(ids.indexOf(accesses[0]?.id ?? ''))
  })

  test('keeps a share of each batch for access events, so that neither kind starves', async () => {
    const spool = await open()
    disk.stall()
    const first = spool.append(newDecision().event)
    await turns(5)
    const before = disk.batches.length
    const all = [first]
    for (let count = 0; count < 2000; count += 1) all.push(spool.record(newAccess()), spool.append(newDecision().event))
    disk.release()
    await Promise.all(all)
    await close(spool)
    const records = keptIn(dir).slice(2)
    const batch = records.slice(0, disk.batches[before] ?? 0)
    const accesses = batch.filter(({ data }) => data['of'] === 'trail').length
    expect(accesses).toBe(128)
    expect(batch.length).toBe(512)
  })

  test('waits for a full disk instead of losing the event', async () => {
    const spool = await open()
    disk.fail('SPOOL_FULL', true)
    const event = newAccess()
    const recorded = spool.record(event)
    await turns(20)
    disk.heal()
    expect(await recorded).toBe(true)
    await close(spool)
    expect(keptIn(dir).map(({ id }) => id)).toContain(event.id)
  })
})

describe('seal', () => {
  test('lets nothing stand behind `closed`, whatever is refused or delivered meanwhile', async () => {
    const spool = await open()
    const refusing = setInterval(() => {
      void spool.append(newDecision().event)
      spool.advance(cursorAt('archive', spool.status().lastPosition))
    }, 0)
    for (let count = 0; count < 50; count += 1) void spool.record(newAccess())
    await spool.seal()
    await new Promise((resolve) => setTimeout(resolve, 300))
    clearInterval(refusing)
    await spool.close()
    expect(keptIn(dir).at(-2)?.data['change']).toBe('closed')
  })

  test('and close end although the thread is gone', async () => {
    const spool = await open()
    await spool.seal()
    disk.die()
    await spool.close()
    expect(keptIn(dir).at(-2)?.data['change']).toBe('closed')
  })

  test('tries a disk that was full once more', async () => {
    const spool = await open()
    disk.fail('SPOOL_FULL', true)
    const recorded = spool.record(newAccess())
    await waitFor(() => spool.status().problem !== null)
    disk.heal()
    await close(spool)
    expect(await recorded).toBe(true)
    expect(keptIn(dir).at(-2)?.data['change']).toBe('closed')
  })

  test('and close on a full disk tell everybody who waits, and say how many are missed', async () => {
    const spool = await open()
    disk.fail('SPOOL_FULL', true)
    const recorded = Array.from({ length: 20 }, () => spool.record(newAccess()))
    await waitFor(() => spool.status().problem !== null)
    expect(spool.status()).toMatchObject({ queued: 20, missed: 0 })
    await close(spool)
    expect(new Set(await Promise.all(recorded))).toEqual(new Set([false]))
    expect(spool.status()).toMatchObject({ queued: 0, missed: 20 })
  })

  test('on a disk that hangs leaves what is under way among what waits', async () => {
    const spool = await open()
    disk.stall()
    const recorded = Array.from({ length: 20 }, () => spool.record(newAccess()))
    const sealed = spool.seal()
    await turns(20)
    expect(spool.status()).toMatchObject({ queued: 20, missed: 0 })
    disk.release()
    await sealed
    expect(await Promise.all(recorded)).not.toContain(false)
    await close(spool)
  })

  test('keeps what was accepted, ends the trail with `closed`, and refuses what comes later', async () => {
    const spool = await open()
    const accepted = Array.from({ length: 1000 }, () => spool.record(newAccess()))
    await spool.seal()
    expect(await Promise.all(accepted)).not.toContain(false)
    expect(await spool.append(newDecision().event)).toBe(false)
    await spool.close()
    // A checkpoint behind the first 1,000, and one behind all.
    const records = keptIn(dir).filter(({ type }) => type !== 'io.countersign.checkpoint.v1')
    expect(records).toHaveLength(1002)
    expect(records.at(-1)?.data).toMatchObject({ change: 'closed', left: 1002 })
  })
})

describe('while the spool is full', () => {
  test('`deny` refuses decisions also in best effort; `drop-newest` answers them, and both count them', async () => {
    for (const [whenFull, answered] of [
      ['deny', false],
      ['drop-newest', true],
    ] as const) {
      dir = newFolder()
      disk = fakeSpoolWorker(() => new Date())
      const spool = await open({ mode: 'best-effort', maxBytes: 1, whenFull })
      expect(await spool.append(newDecision().event)).toBe(answered)
      await close(spool)
      expect(gapsIn(keptIn(dir))).toMatchObject([{ of: 'decision', reason: 'SPOOL_FULL', count: 1, countExact: true }])
    }
  })

  test('`drop-newest` still refuses decisions in strict mode, and drops access events with an exact count', async () => {
    const spool = await open({ maxBytes: 1, whenFull: 'drop-newest' })
    expect(await spool.append(newDecision().event)).toBe(false)
    const recorded = await Promise.all(Array.from({ length: 30 }, () => spool.record(newAccess())))
    expect(recorded).not.toContain(true)
    await spool.room()
    await close(spool)
    const counts = gapsIn(keptIn(dir)).map(({ of, count, reason }) => [of, count, reason])
    expect(counts).toEqual([
      ['decision', 1, 'SPOOL_FULL'],
      ['access', 30, 'SPOOL_FULL'],
    ])
  })

  test('`deny` holds up whoever brings access events, until there is room', async () => {
    const spool = await open({ maxBytes: 1 })
    const big = { ...newAccess(), data: { text: 'x'.repeat(4000) } }
    let brought = 0
    let held = false
    const bringing = (async () => {
      while (brought < 20_000) {
        await spool.room()
        brought += 1
        void spool.record(big)
        if (brought % 64 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    await waitFor(() => {
      const before = brought
      held = before > 0 && spool.status().queued === before
      return held && brought * 4000 > 20 * 1024 * 1024
    })
    await turns(200)
    const atLimit = brought
    await turns(200)
    expect(brought).toBe(atLimit)
    expect(brought * 4000).toBeLessThan(30 * 1024 * 1024)
    // Stopping lets everybody go: what comes then is refused.
    await spool.seal()
    await bringing
    await spool.close()
  })

  test('holds nobody up once it is told to release them, and keeps or counts what comes then', async () => {
    const total = 20_000
    const spool = await open({ maxBytes: 1 })
    const big = { ...newAccess(), data: { text: 'x'.repeat(4000) } }
    const recorded: Promise<boolean>[] = []
    let released = false
    while (recorded.length < total) {
      const room = spool.room()
      if ((await Promise.race([room, turns(1).then(() => 'held')])) === 'held') {
        expect(released).toBe(false)
        released = true
        spool.release()
        await room
      }
      for (let count = 0; count < 100; count += 1) recorded.push(spool.record(big))
    }
    expect(released).toBe(true)
    await spool.seal()
    const kept = (await Promise.all(recorded)).filter(Boolean).length
    await spool.close()
    const reader = openSpoolReader(dir)
    const records = (reader?.after(0, 1_000_000) ?? []).map(({ line }) => JSON.parse(line) as Kept)
    reader?.close()
    expect(records.filter(({ data }) => typeof data['text'] === 'string')).toHaveLength(kept)
    expect(gapsIn(records).map(({ of, count, reason }) => [of, count, reason])).toEqual([
      ['access', total - kept, 'SPOOL_FULL'],
    ])
  })
})

describe('status', () => {
  test('says that the disk is late while a batch takes longer than an answer may wait, and no longer', async () => {
    const spool = await open({ deadlineMs: 20 })
    disk.stall()
    expect(await spool.append(newDecision().event)).toBe(false)
    await waitFor(() => spool.status().problem !== null)
    expect(spool.status().problem).toMatchObject({ code: 'SPOOL_STALLED', retryable: true })
    expect(spool.status().problem?.message).toMatch(/one batch for \d+ ms; audit.deadlineMs allows 20/)
    disk.release()
    await waitFor(() => spool.status().problem === null)
    await close(spool)
  })

  test('says so too where nobody asks: the file is looked at by itself', async () => {
    const spool = await open({ deadlineMs: 20 })
    disk.stall('all')
    await waitFor(() => spool.status().problem?.code === 'SPOOL_STALLED')
    disk.release()
    await waitFor(() => spool.status().problem === null)
    disk.fail('SPOOL_FULL', true)
    await waitFor(() => spool.status().problem?.code === 'SPOOL_FULL')
    disk.heal()
    await waitFor(() => spool.status().problem === null)
    await close(spool)
  })
})

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

async function waitFor(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}
