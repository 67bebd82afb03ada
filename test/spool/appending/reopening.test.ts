import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { rmSync } from 'node:fs'
import { v7 as uuidv7 } from 'uuid'
import type { ReopeningStep } from '../../../src/spool/appending/reopening.ts'
import { Spool, type SpoolSettings } from '../../../src/spool/spool.ts'
import { type FakeSpoolWorker, fakeSpoolWorker } from '../../fakes/spool-worker.ts'
import { type Kept, keptIn, newAccess, newDecision, newFolder, openingIn } from '../opening.ts'

let dir: string
let disk: FakeSpoolWorker
let steps: ReopeningStep[]
let spool: Spool

beforeEach(() => {
  dir = newFolder()
  disk = fakeSpoolWorker(() => new Date())
  steps = []
})

afterEach(async () => {
  disk.heal()
  disk.release()
  await spool.close()
  rmSync(dir, { recursive: true, force: true })
})

async function open(settings: Partial<SpoolSettings> = {}): Promise<void> {
  const context = { newId: () => uuidv7(), now: () => new Date(), startWorker: disk.start }
  const onReopening = (step: ReopeningStep): void => void steps.push(step)
  const all: SpoolSettings = { mode: 'strict', deadlineMs: 60_000, maxBytes: 1e9, ...settings }
  spool = await Spool.open(openingIn(dir), all, { ...context, onReopening })
}

async function ended(): Promise<readonly Kept[]> {
  await spool.seal()
  await spool.close()
  return keptIn(dir)
}

function said(records: readonly Kept[], id: string): unknown[] {
  return records
    .filter(({ data }) => data.decisionId === id)
    .map(({ data: { effect, supersedes } }) => [effect, supersedes])
}

function countsOf(records: readonly Kept[]): unknown[] {
  return records
    .filter(({ data }) => data['change'] === 'gap' && data['of'] !== 'trail')
    .map(({ data }) => [data['of'], data['count'], data['countExact']])
}

describe('a file that fails for good', () => {
  test('is followed by another, with a new trail that names the old one; what waits goes there', async () => {
    await open()
    const before = newDecision()
    expect(await spool.append(before.event)).toBe(true)
    const { trail, lastSequence, lastPosition } = spool.status()
    disk.fail('SPOOL_FAILED', false)
    const denied = newDecision()
    expect(await spool.append(denied.event, { ifLate: denied.ifLate })).toBe(false)
    expect(spool.status().problem).toMatchObject({ code: 'SPOOL_FAILED', retryable: true })
    const access = newAccess()
    expect(await spool.record(access)).toBe(true)
    expect(spool.status().problem).toBeNull()
    const after = newDecision()
    expect(await spool.append(after.event)).toBe(true)
    expect(disk.openings[1]).toMatchObject({
      distrust: 'the disk says SPOOL_FAILED',
      known: [{ trail, sequence: lastSequence, hash: null, position: lastPosition, from: 'writer' }],
    })
    expect(steps.map(({ step }) => step)).toEqual(['lost', 'reopened'])
    const records = await ended()
    expect(said(records, before.id)).toEqual([['allow', false]])
    expect(said(records, after.id)).toEqual([['allow', false]])
    // It never reached the disk: its one record says what was answered.
    expect(said(records, denied.id)).toEqual([['deny', false]])
    expect(records.find(({ id }) => id === access.id)?.trail).not.toBe(trail)
    const opened = records.filter(({ data }) => data['change'] === 'opened')
    expect(opened.map(({ data }) => (data['previous'] as { trail: string } | null)?.trail)).toEqual([undefined, trail])
    expect(countsOf(records)).toEqual([])
  })

  test('after it took a batch leaves the records in place: decisions are superseded, nothing is written twice', async () => {
    await open()
    disk.failAfterNext('SPOOL_FAILED')
    const { id, event, ifLate } = newDecision()
    const access = newAccess()
    const recorded = spool.record(access)
    expect(await spool.append(event, { ifLate })).toBe(false)
    expect(await recorded).toBe(true)
    const records = await ended()
    expect(said(records, id)).toEqual([
      ['allow', false],
      ['deny', true],
    ])
    expect(records.filter((record) => record.id === access.id)).toHaveLength(1)
    expect(countsOf(records)).toEqual([])
  })

  test('takes no gap with it: what was counted before is told by the next', async () => {
    await open({ maxBytes: 4000 })
    while (await spool.append(newDecision().event));
    const missed = spool.status().missed
    expect(missed).toBe(1)
    disk.fail('SPOOL_FAILED', false)
    spool.advance({ sink: 'archive', position: spool.status().lastPosition, mark: null, rewound: false })
    await waitFor(() => steps.some(({ step }) => step === 'reopened'))
    expect(countsOf(await ended())).toEqual([['decision', 1, true]])
  })

  test('is taken for lost when its thread ends, and judged anew by the next', async () => {
    await open()
    const { id, event } = newDecision()
    expect(await spool.append(event)).toBe(true)
    disk.die()
    await waitFor(() => steps.some(({ step }) => step === 'reopened'))
    expect(disk.openings[1]?.distrust).toBeNull()
    expect(await spool.append(newDecision().event)).toBe(true)
    expect(said(await ended(), id)).toEqual([['allow', false]])
  })
})

describe('a stop that meets a lost file', () => {
  test('opens another one: what waited is in its trail, which ends in order', async () => {
    await open()
    disk.fail('SPOOL_FAILED', false)
    const { id, event, ifLate } = newDecision()
    const accesses = Array.from({ length: 30 }, newAccess)
    const appended = spool.append(event, { ifLate })
    const recorded = accesses.map((access) => spool.record(access))
    const records = await ended()
    expect(await appended).toBe(false)
    expect(await Promise.all(recorded)).not.toContain(false)
    expect(said(records, id)).toEqual([['deny', false]])
    const ids = records.map((record) => record.id)
    for (const access of accesses) expect(ids).toContain(access.id)
    expect(records.at(-2)?.data['change']).toBe('closed')
    expect(spool.status()).toMatchObject({ queued: 0, missed: 0, problem: null })
  })

  test('tries once more where it waits for the next try', async () => {
    await open()
    disk.refuseOpening('SPOOL_IN_USE')
    disk.fail('SPOOL_FAILED', false)
    await waitFor(() => steps.some(({ step }) => step === 'failed'))
    const recorded = spool.record(newAccess())
    disk.heal()
    const records = await ended()
    expect(await recorded).toBe(true)
    expect(records.at(-2)?.data['change']).toBe('closed')
  })

  test('and no file to be had tells everybody, and says how many are missed', async () => {
    await open()
    disk.refuseOpening('SPOOL_FAILED')
    disk.fail('SPOOL_FAILED', false)
    const answers = [spool.append(newDecision().event), ...Array.from({ length: 30 }, () => spool.record(newAccess()))]
    await spool.seal()
    await spool.close()
    expect(new Set(await Promise.all(answers))).toEqual(new Set([false]))
    expect(spool.status()).toMatchObject({ queued: 0, missed: 31 })
  })
})

describe('a spool that cannot be opened anew', () => {
  test('is tried again with growing pauses; decisions are denied and counted, access events wait', async () => {
    await open()
    disk.refuseOpening('SPOOL_FAILED')
    disk.fail('SPOOL_FAILED', false)
    expect(await spool.append(newDecision().event)).toBe(false)
    await waitFor(() => steps.filter(({ step }) => step === 'failed').length >= 2)
    expect(await spool.append(newDecision().event)).toBe(false)
    expect(spool.status().problem).toMatchObject({ code: 'SPOOL_FAILED', retryable: true })
    expect(spool.status().problem?.message).toContain('it could not be opened anew')
    const access = spool.record(newAccess())
    disk.heal()
    expect(await access).toBe(true)
    const pauses = disk.openings.length
    expect(pauses).toBeLessThan(10)
    const records = await ended()
    expect(countsOf(records).reduce<number>((sum, gap) => sum + Number((gap as unknown[])[1]), 0)).toBe(2)
  })

  test('because another process holds it is said, and gives a new start no work', async () => {
    await open()
    disk.refuseOpening('SPOOL_IN_USE')
    disk.fail('SPOOL_FAILED', false)
    await waitFor(() => steps.some(({ step }) => step === 'failed'))
    expect(spool.status().problem).toMatchObject({ code: 'SPOOL_IN_USE', retryable: true })
    // Stopping does not wait for the next try.
    await spool.seal()
    expect(spool.status().problem?.code).toBe('SPOOL_IN_USE')
  })

  test('answers best-effort callers at once, and counts for them', async () => {
    await open({ mode: 'best-effort' })
    disk.refuseOpening('SPOOL_FAILED')
    disk.fail('SPOOL_FAILED', false)
    const first = newDecision()
    expect(await spool.append(first.event)).toBe(true)
    await waitFor(() => steps.some(({ step }) => step === 'failed'))
    expect(await spool.append(newDecision().event)).toBe(true)
    disk.heal()
    await waitFor(() => spool.status().problem === null)
    const records = await ended()
    expect(said(records, first.id)).toEqual([['allow', false]])
    expect(countsOf(records)).toEqual([['decision', 1, true]])
  })
})

async function waitFor(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}
