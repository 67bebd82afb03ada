import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { encodeEvent, firstPrevHash, sealRecord } from '../../../src/audit/record.ts'
import { query } from '../../../src/readers/query.ts'
import { recordsById } from '../../../src/readers/records-by-id.ts'
import { takeDecisions } from '../../../src/readers/replay-source.ts'
import { verifyFolder } from '../../../src/readers/verify/verify-folder.ts'
import { verifyParts } from '../../../src/readers/verify/verify.ts'
import { decisionOf, decisions, idOf, makeTrail, timeAt, type MadeRecord } from '../../archive/trails.ts'
import { collect, TestData, textOf } from '../data-folder.ts'
import { exported } from './parts.ts'

const trail = `web-0-${idOf(1)}`
const records = makeTrail({ trail }, decisions(5))
const lines = records.map(({ line }) => line)
/** Sound in itself, before the first record of the trail. */
const forged: MadeRecord = {
  position: 0,
  trail,
  sequence: 0,
  ...sealRecord(encodeEvent(decisionOf({ number: 777, path: '/forged' })), {
    trail,
    sequence: 0,
    prevHash: firstPrevHash,
    recordedAt: timeAt(0),
  }),
}
let data: TestData

beforeEach(() => {
  data = new TestData()
})

afterEach(() => {
  data[Symbol.dispose]()
})

test.each([0, 1, 3, 6])('a record of sequence 0 is no record, before line %d', async (at) => {
  const result = await verifyParts([exported(lines.toSpliced(at, 0, forged.line))], { threads: 0 })
  expect(result.first).toMatchObject({ kind: 'malformed', trail, line: at + 1 })
  expect(result.first?.problem).toBe('its sequence is no place in a trail')
})

test('a sequence beyond what counts exactly is none either', async () => {
  const place = { trail, prevHash: firstPrevHash, recordedAt: timeAt(0) }
  const { line } = sealRecord(encodeEvent(decisionOf({ number: 7 })), { ...place, sequence: 2 ** 53 })
  expect((await verifyParts([exported([...lines, line])], { threads: 0 })).first).toMatchObject({
    kind: 'malformed',
    line: 7,
  })
})

test('verify names one in a segment, and none is read by its name', async () => {
  data.segment(trail, 1, textOf([...records, forged]))
  data.segment(trail, 0, textOf([forged]))
  const result = await verifyFolder(data.dir, {}, data.openSpool)
  expect(result).toMatchObject({ verdict: 'broken', first: { kind: 'malformed', line: 7 }, totals: { segments: 1 } })
  expect(result.notes).toContain(
    `archive/2026-11-22/${trail}.0000000000000000.ndjson is not a segment and was not read`,
  )
})

test.each(['in a segment', 'in a segment of its own', 'in the spool'])('readers do not take one %s', async (where) => {
  data.segment(trail, 1, textOf(where === 'in a segment' ? [...records, forged] : records))
  if (where === 'in a segment of its own') data.segment(trail, 0, textOf([forged]))
  if (where === 'in the spool') data.spooled = [{ ...forged, position: 900 }]
  const folder = await data.open()
  const found = await collect(query(folder, { days: {}, matches: () => true }))
  expect(found).toHaveLength(records.length)
  expect(await recordsById(folder, idOf(777))).toEqual([])
  folder.close()
  const taken: string[] = []
  await takeDecisions(
    data.dir,
    {},
    {
      decision: ({ sequence }) => taken.push(sequence),
      unreadable: () => undefined,
      torn: () => undefined,
      progress: () => undefined,
    },
    data.openSpool,
  )
  expect(taken).toHaveLength(5)
  expect(taken).not.toContain('0000000000000000')
})
