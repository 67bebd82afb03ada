import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { OpenSpool } from '../../../src/readers/source.ts'
import { Expectations } from '../../../src/readers/verify/expectation.ts'
import { stateOf, type RememberedTrail } from '../../../src/readers/verify/state.ts'
import { topicParts } from '../../../src/readers/verify/topic-parts.ts'
import { verifyFolder } from '../../../src/readers/verify/verify-folder.ts'
import { verifyParts, type Verification } from '../../../src/readers/verify/verify.ts'
import { asPrevious, decisions, idOf, makeTrail, type MadeRecord } from '../../archive/trails.ts'
import { TestData } from '../data-folder.ts'
import { exported } from './parts.ts'

const trails = [1, 2, 3].map((number) => `web-0-${idOf(number)}`) as [string, string, string]
const first = makeTrail({ trail: trails[0] }, decisions(39))
const second = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first) }, decisions(9))
const third = makeTrail({ trail: trails[2], atMs: 120_000, previous: asPrevious(second) }, decisions(9))

/** Partitions of a topic: each of its records from this offset on. */
function topic(...partitions: readonly { readonly from: number; readonly records: readonly MadeRecord[] }[]) {
  return topicParts(
    'audit',
    partitions.map(({ from, records }, partition) => ({
      partition,
      first: from,
      end: from + records.length,
      async *messages() {
        await Promise.resolve()
        yield records.map(({ line }, index) => ({ offset: from + index, value: Buffer.from(line) }))
      },
    })),
  )
}

/** An earlier run knew the last of these records, in the first partition. */
function known(expectations: Expectations, records: readonly MadeRecord[], line: number): void {
  const { trail, sequence, hash } = records.at(-1) as MadeRecord
  const place = { source: 'state', file: 'audit[0]', line } as const
  expectations.add(trail, { size: sequence, hash, from: 'state', by: 'an earlier run', place })
}

/** A checkpoint outside has these records. */
function outside(expectations: Expectations, records: readonly MadeRecord[]): void {
  const { trail, sequence, hash } = records.at(-1) as MadeRecord
  const saidAt = { source: 'checkpoints', file: 'outside.ndjson', line: 13 } as const
  const by = 'outside.ndjson:13'
  expectations.add(trail, { size: sequence, hash, from: 'checkpoints', by, saidAt })
}

function verified(parts: ReturnType<typeof topic>, expectations: Expectations): Promise<Verification> {
  return verifyParts(parts, { threads: 0, expectations })
}

describe('a topic that no longer has its oldest records', () => {
  test('does not excuse trails whose ends were behind them, also where outside checkpoints know the same trails', async () => {
    const expectations = new Expectations()
    for (const [records, line] of [
      [second, 49],
      [third, 59],
    ] as const) {
      known(expectations, records, line)
      outside(expectations, records)
    }
    const left = topic({ from: 5, records: first.slice(5) })
    expect((await verified(left, expectations)).bad.map(({ kind, trail }) => [kind, trail])).toEqual([
      ['missing-trail', trails[1]],
      ['missing-trail', trails[2]],
    ])
  })

  test('does not excuse a trail that only outside checkpoints know, and that is younger than what is left', async () => {
    const expectations = new Expectations()
    outside(expectations, third)
    const left = topic({ from: 5, records: [...first.slice(5), ...second] })
    expect((await verified(left, expectations)).first).toMatchObject({
      kind: 'missing-trail',
      trail: trails[2],
      file: 'outside.ndjson',
      line: 13,
    })
    outside(expectations, first)
    const younger = await verified(topic({ from: 45, records: [...second.slice(5), ...third] }), expectations)
    expect(younger).toMatchObject({ verdict: 'whole' })
  })

  test('does not excuse records before a late beginning whose places it still has', async () => {
    const expectations = new Expectations()
    known(expectations, first.slice(0, 30), 29)
    const dropped = topic({ from: 1, records: [...first.slice(39), ...second] })
    expect((await verified(dropped, expectations)).first).toMatchObject({
      kind: 'missing',
      trail: trails[0],
      sequence: 30,
      toSequence: 39,
      line: 1,
    })
    const removed = topic({ from: 30, records: [...first.slice(30), ...second] })
    expect(await verified(removed, expectations)).toMatchObject({ verdict: 'whole' })
  })

  test('has to begin behind the record that an earlier run knew last', async () => {
    const expectations = new Expectations()
    const other = makeTrail({ trail: trails[0] }, decisions(39, 700))
    known(expectations, first.slice(0, 30), 29)
    const rewritten = await verified(topic({ from: 30, records: other.slice(30) }), expectations)
    expect(rewritten.first).toMatchObject({ kind: 'rewritten', trail: trails[0], sequence: 30, line: 30 })
  })
})

test('an export does not excuse what an earlier run knew elsewhere', async () => {
  const expectations = new Expectations()
  known(expectations, first, 39)
  const lines = second.map(({ line }) => line)
  const result = await verifyParts([exported(lines)], { threads: 0, expectations })
  expect(result.first).toMatchObject({ kind: 'missing-trail', trail: trails[0], line: 39 })
})

describe('a data folder whose archive is gone', () => {
  let data: TestData

  beforeEach(() => {
    data = new TestData()
  })

  afterEach(() => {
    data[Symbol.dispose]()
  })

  /** The spool has these records, and this cursor of a sink that is called as the archive is. */
  function folder(records: readonly MadeRecord[], cursor: { position: number; mark: string | null }) {
    data.spooled = records
    const openSpool: OpenSpool = (dir) => {
      const spool = data.openSpool(dir)
      return spool && { ...spool, cursor: () => cursor }
    }
    return { verify: (expectations = new Expectations()) => verifyFolder(data.dir, { expectations }, openSpool) }
  }

  test('is told by the spool, which says that it delivered to it', async () => {
    const result = await folder(first.slice(30), { position: 38, mark: null }).verify()
    expect(result.verdict).toBe('broken')
    expect(result.bad).toEqual([
      expect.objectContaining({ kind: 'missing', trail: trails[0], sequence: 1, toSequence: 30 }),
      expect.objectContaining({ kind: 'missing', trail: null, file: 'archive' }),
    ])
  })

  test('is no reason to doubt where it never was', async () => {
    for (const cursor of [
      { position: 0, mark: null },
      { position: 38, mark: '{}' },
    ]) {
      expect(await folder(first.slice(30), cursor).verify()).toMatchObject({ verdict: 'whole' })
    }
  })

  test('is told by an earlier run, where what it knew stood in the archive and not in the spool', async () => {
    const never = { position: 0, mark: null }
    for (const [file, verdict] of [
      ['spool', 'whole'],
      ['archive/2026-11-22/x.ndjson', 'broken'],
    ] as const) {
      const expectations = new Expectations()
      const { trail, sequence: size, hash } = first[4] as MadeRecord
      const place = { source: 'state', file, line: 5 } as const
      expectations.add(trail, { size, hash, from: 'state', by: 'an earlier run', place })
      expectations.add(trails[1], { size: 3, hash, from: 'state', by: 'an earlier run', place })
      expect(await folder(first.slice(30), never).verify(expectations)).toMatchObject({ verdict })
    }
  })
})

describe('the state of a run', () => {
  test('goes on for trails that are whole, and keeps what was known of others', async () => {
    const before = new Map([
      [trails[0], remembered(first, 40)],
      ['gone', remembered(third, 9)],
    ] as const)
    const lines = [...first.slice(0, 20), ...first.slice(21), ...second].map(({ line }) => line)
    const result = await verifyParts([exported(lines)], { threads: 0 })
    expect(result.bad).toHaveLength(1)
    const state = JSON.parse(stateOf(result, new Date(0), before)) as { trails: Record<string, unknown> }
    expect(state.trails).toEqual({
      [trails[0]]: before.get(trails[0]),
      gone: before.get('gone'),
      [trails[1]]: expect.objectContaining({ sequence: 10, hash: second.at(-1)?.hash }),
    })
  })

  function remembered(records: readonly MadeRecord[], line: number): RememberedTrail {
    const { sequence, hash } = records.at(-1) as MadeRecord
    return { sequence, hash, checkpoint: null, place: { file: 'export', line } }
  }
})
