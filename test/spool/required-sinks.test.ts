import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { rmSync } from 'node:fs'
import { v7 as uuidv7 } from 'uuid'
import { encodeEvent } from '../../src/audit/record.ts'
import { Acknowledgements } from '../../src/spool/appending/acknowledgements.ts'
import { Spool } from '../../src/spool/spool.ts'
import { type FakeSpoolWorker, fakeSpoolWorker } from '../fakes/spool-worker.ts'
import { cursorAt, keptIn, newAccess, newDecision, newFolder, openingIn } from './opening.ts'

let dir: string
let disk: FakeSpoolWorker
let spool: Spool

beforeEach(() => {
  dir = newFolder()
  disk = fakeSpoolWorker(() => new Date())
})

afterEach(async () => {
  disk.release()
  await spool.close()
  rmSync(dir, { recursive: true, force: true })
})

async function open(deadlineMs: number, requiredSinks: readonly string[] = ['kafka']): Promise<void> {
  const opening = openingIn(dir, { sinks: ['archive', 'kafka', 'other'] })
  const context = { newId: () => uuidv7(), now: () => new Date(), startWorker: disk.start }
  spool = await Spool.open(opening, { mode: 'strict', deadlineMs, maxBytes: 1e9, requiredSinks }, context)
}

/** What the records say that was answered. */
async function said(id: string): Promise<unknown[]> {
  await spool.seal()
  await spool.close()
  return keptIn(dir)
    .filter(({ data }) => data.decisionId === id)
    .map(({ data: { effect, supersedes } }) => [effect, supersedes])
}

describe('an answer that waits for Kafka', () => {
  test('is given only when the cursor of every required sink has passed its record', async () => {
    await open(60_000, ['kafka', 'other'])
    const { id, event, ifLate } = newDecision()
    let answer: boolean | undefined
    const appended = spool.append(event, { ifLate }).then((kept) => (answer = kept))
    await waitFor(() => spool.status().lastSequence >= 2)
    const { lastPosition } = spool.status()
    spool.advance(cursorAt('archive', lastPosition))
    spool.advance(cursorAt('kafka', lastPosition))
    spool.advance(cursorAt('other', lastPosition - 1))
    await turns(50)
    expect(answer).toBeUndefined()
    spool.advance(cursorAt('other', lastPosition))
    expect(await appended).toBe(true)
    expect(await said(id)).toEqual([['allow', false]])
  })

  test('is a denial at the deadline: the record on disk is superseded, and the sink that is late is named until it has caught up', async () => {
    await open(30)
    const { id, event, ifLate } = newDecision()
    expect(await spool.append(event, { ifLate })).toBe(false)
    await waitFor(() => spool.status().problem !== null)
    expect(spool.status().problem).toMatchObject({ code: 'KAFKA_LATE', retryable: true })
    expect(spool.status().problem?.message).toMatch(/^kafka: .*audit\.require/)
    await waitFor(() => spool.status().lastSequence >= 3)
    // An acknowledgement that comes later does not make it an allow.
    spool.advance(cursorAt('kafka', spool.status().lastPosition))
    expect(spool.status().problem).toBeNull()
    expect(await said(id)).toEqual([
      ['allow', false],
      ['deny', true],
    ])
  })

  test('is a denial at once while Kafka is known to be late, with one record instead of two', async () => {
    await open(30)
    await spool.append(newDecision().event)
    await waitFor(() => spool.status().problem?.code === 'KAFKA_LATE')
    const { id, event, ifLate } = newDecision()
    expect(await spool.append(event, { ifLate })).toBe(false)
    expect(await said(id)).toEqual([['deny', false]])
  })

  test('is a denial where the file is lost before Kafka had the record, even if its position is passed later', async () => {
    await open(60_000)
    const { id, event, ifLate } = newDecision()
    const appended = spool.append(event, { ifLate })
    await waitFor(() => spool.status().lastSequence >= 2)
    disk.fail('SPOOL_FAILED', false)
    expect(await appended).toBe(false)
    await waitFor(() => spool.status().problem === null)
    spool.advance(cursorAt('kafka', spool.status().lastPosition))
    expect(await said(id)).toEqual([
      ['allow', false],
      ['deny', true],
    ])
  })

  test('waits for Kafka again in a new file, where nothing is left of the old one, and no position comes twice', async () => {
    await open(60_000)
    await spool.close()
    await open(60_000)
    await Promise.all(Array.from({ length: 20 }, () => spool.record(newAccess())))
    const { lastPosition, trail } = spool.status()
    spool.advance(cursorAt('kafka', lastPosition))
    rmSync(dir, { recursive: true })
    await waitFor(() => spool.status().trail !== trail)
    expect(keptIn(dir)[0]?.data['previous']).toMatchObject({ trail })
    const { id, event, ifLate } = newDecision()
    let answer: boolean | undefined
    const appended = spool.append(event, { ifLate }).then((kept) => (answer = kept))
    await waitFor(() => spool.status().lastSequence >= 3)
    expect(spool.status().lastPosition).toBe(lastPosition + 3)
    // What delivery had still to say of the old file.
    spool.advance(cursorAt('kafka', lastPosition))
    await turns(50)
    expect(answer).toBeUndefined()
    expect(spool.status().waitingRecords).toBe(3)
    spool.advance(cursorAt('kafka', spool.status().lastPosition))
    expect(await appended).toBe(true)
    expect(await said(id)).toEqual([['allow', false]])
  })

  test('waits for Kafka again although the new file’s positions begin anew', async () => {
    const acknowledgements = new Acknowledgements(['kafka'])
    acknowledgements.committed(524, 0)
    acknowledgements.advance('kafka', 524, 0)
    acknowledgements.beginAnew()
    acknowledgements.committed(3, 10)
    const answers: boolean[] = []
    const wait = { mayWait: false, state: 'taken', timer: undefined, replacement: undefined } as const
    const { event, ...rest } = { event: encodeEvent(newAccess()), kind: 'decision', time: new Date() } as const
    acknowledgements.waitFor({ ...wait, ...rest, event, settle: (kept) => answers.push(kept) }, 2)
    expect([answers, acknowledgements.lacking, acknowledgements.ageMs(15)]).toEqual([[], ['kafka'], 5])
    acknowledgements.advance('kafka', 3, 15)
    expect([answers, acknowledgements.lacking]).toEqual([[true], []])
  })

  test('is a denial where the trail ends before Kafka had the record, and the trail says so before it ends', async () => {
    await open(60_000)
    const [committed, queued] = [newDecision(), newDecision()]
    const answers = [spool.append(committed.event, committed)]
    await waitFor(() => spool.status().lastSequence >= 2)
    answers.push(spool.append(queued.event, queued))
    await spool.seal()
    expect(await Promise.all(answers)).toEqual([false, false])
    await spool.close()
    const records = keptIn(dir)
    for (const { id } of [committed, queued]) {
      const own = records.filter(({ data }) => data.decisionId === id)
      expect(own.map(({ data: { effect, supersedes } }) => [effect, supersedes])).toEqual([
        ['allow', false],
        ['deny', true],
      ])
    }
    expect(records.slice(-2).map(({ type, data }) => data['change'] ?? type)).toEqual([
      'closed',
      'io.countersign.checkpoint.v1',
    ])
  })

  test('waits again where Kafka lost what it had', async () => {
    await open(60_000)
    spool.advance(cursorAt('kafka', spool.status().lastPosition + 100))
    spool.advance({ ...cursorAt('kafka', 0), rewound: true })
    const { id, event, ifLate } = newDecision()
    let answer: boolean | undefined
    const appended = spool.append(event, { ifLate }).then((kept) => (answer = kept))
    await waitFor(() => spool.status().lastSequence >= 2)
    await turns(50)
    expect(answer).toBeUndefined()
    spool.advance(cursorAt('kafka', spool.status().lastPosition))
    expect(await appended).toBe(true)
    expect(await said(id)).toEqual([['allow', false]])
  })
})

test('access events wait for the disk alone', async () => {
  await open(60_000)
  expect(await spool.record(newAccess())).toBe(true)
})

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

async function waitFor(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10))
}
