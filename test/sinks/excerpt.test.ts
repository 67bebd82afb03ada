import { expect, test } from '@jest/globals'
import { checkpointEvent } from '../../src/audit/event.ts'
import { encodeEvent, firstPrevHash, sealRecord } from '../../src/audit/record.ts'
import { readExcerpt } from '../../src/sinks/excerpt.ts'
import type { SpooledRecord } from '../../src/spool/spooled-record.ts'
import { makeRecords } from '../contract/sink.ts'

const now = new Date('2026-11-22T10:00:00.123Z')
const trail = 'web-0-01980000-0000-7000-8000-000000000000'

function checkpoint(position: number): SpooledRecord {
  const event = encodeEvent(checkpointEvent('01980000-0000-7000-8000-00000000c001', now, { note: 'a note\n' }))
  const record = sealRecord(event, { trail, sequence: position, prevHash: firstPrevHash, recordedAt: now })
  return { position, trail, sequence: position, line: record.line }
}

// A record whose content looks like a checkpoint is none.
const mimic = makeRecords(1, { position: 4, text: '","type":"io.countersign.checkpoint.v1","x":"' })
const records = [...makeRecords(2), checkpoint(3), ...mimic, checkpoint(5), ...makeRecords(1, { position: 6 })]
const read = (after: number, limit: number) => records.filter(({ position }) => position > after).slice(0, limit)

test('a lane for everything reads everything', async () => {
  expect(await readExcerpt(read, 1, 'all')).toEqual({ records: records.slice(1), upTo: 6 })
})

test('a lane for checkpoints reads them alone, and passes over the others', async () => {
  expect(await readExcerpt(read, 0, 'checkpoints')).toEqual({ records: [records[2], records[4]], upTo: 6 })
  expect(await readExcerpt(read, 5, 'checkpoints')).toEqual({ records: [], upTo: 6 })
})

test('a lane that has everything stays where it is', async () => {
  expect(await readExcerpt(read, 6, 'checkpoints')).toEqual({ records: [], upTo: 6 })
})
