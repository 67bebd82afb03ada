import { describe, expect, test } from '@jest/globals'
import { endOfRecord, parseSegmentPath, segmentPath } from '../../src/archive/layout.ts'
import { decisionOf, idOf, makeTrail } from './trails.ts'

const trail = `web-0.shop_1-${idOf(7)}`

describe('the names of segments', () => {
  test('say day, trail and first sequence, sort by sequence, and are read back', () => {
    const segment = { day: '2026-11-22', trail, first: 42, copy: 0 }
    expect(segmentPath(segment)).toBe(`2026-11-22/${trail}.0000000000000042.ndjson`)
    expect(parseSegmentPath('2026-11-22', `${trail}.0000000000000042.ndjson`)).toEqual(segment)
    expect(segmentPath({ ...segment, first: 9 }) < segmentPath({ ...segment, first: 10 })).toBe(true)
  })

  test('tell copies of the same place apart', () => {
    const segment = { day: '2026-11-22', trail, first: 42, copy: 2 }
    expect(parseSegmentPath('2026-11-22', segmentPath(segment).slice(11))).toEqual(segment)
  })

  test.each(['../../etc/cron', 'a/b', 'a\\b', 'a\0b', '', 'ä', 'x'.repeat(201)])(
    'refuse the trail id %j, which could leave the folder',
    (name) => {
      expect(() => segmentPath({ day: '2026-11-22', trail: name, first: 1, copy: 0 })).toThrow('cannot name a segment')
    },
  )

  test.each([
    ['2026-11-22', `${trail}.42.ndjson`],
    ['2026-11-22', `${trail}.0000000000000042.ndjson.zst`],
    ['2026-11-22', 'notes.txt'],
    ['lost+found', `${trail}.0000000000000042.ndjson`],
  ])('do not take %s/%s for a segment', (day, name) => {
    expect(parseSegmentPath(day, name)).toBeUndefined()
  })
})

describe('the end of a record', () => {
  test('tells its day and sequence, whatever the event itself says', () => {
    const path = '/x","recordedat":"1999-01-01T00:00:00.000Z","trail":"y","sequence":"0000000000000009'
    const [, record] = makeTrail({ trail }, [decisionOf({ number: 1, path })])
    expect(endOfRecord(record?.line ?? '')).toEqual({ day: '2026-11-22', sequence: 2 })
  })

  test('is not found in a line that is no record', () => {
    expect(endOfRecord('{"hello":"world"}')).toBeUndefined()
  })
})
