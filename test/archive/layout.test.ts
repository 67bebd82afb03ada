import { describe, expect, test } from '@jest/globals'
import {
  claimPath,
  endOfRecord,
  manifestPath,
  parseName,
  parseSegmentPath,
  segmentPath,
} from '../../src/archive/layout.ts'
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

  test('tell sealed segments, their manifests and their generations', () => {
    const sealed = { day: '2026-11-22', trail, first: 42, copy: 2, generation: 1 }
    const base = `${trail}.0000000000000042.2`
    expect(segmentPath(sealed)).toBe(`2026-11-22/${base}.ndjson.zst`)
    expect(manifestPath(sealed)).toBe(`2026-11-22/${base}.manifest.json`)
    expect(segmentPath({ ...sealed, generation: 3 })).toBe(`2026-11-22/${base}.g3.ndjson.zst`)
    for (const generation of [1, 2, 3, 12]) {
      const segment = { ...sealed, generation }
      const nameOf = (path: string): string => path.slice(11)
      expect(parseName(sealed.day, nameOf(segmentPath(segment)))).toEqual({ kind: 'lines', segment })
      expect(parseName(sealed.day, nameOf(manifestPath(segment)))).toEqual({ kind: 'manifest', segment })
    }
  })

  test('tell claims, and what a writer has not finished', () => {
    expect(parseName('2026-11-22', claimPath('2026-11-22', trail, 7).slice(11))).toEqual({
      kind: 'claim',
      trail,
      serial: 7,
    })
    expect(parseName('2026-11-22', `${trail}.0000000000000042.ndjson.zst.tmp`)).toEqual({ kind: 'temporary' })
  })

  test.each(['../../etc/cron', 'a/b', 'a\\b', 'a\0b', '', 'ä', 'x'.repeat(201)])(
    'refuse the trail id %j, which could leave the folder',
    (name) => {
      expect(() => segmentPath({ day: '2026-11-22', trail: name, first: 1, copy: 0 })).toThrow('cannot name a segment')
    },
  )

  test.each([
    ['2026-11-22', `${trail}.42.ndjson`],
    ['2026-11-22', `${trail}.0000000000000042.g2.ndjson`],
    ['2026-11-22', `${trail}.0000000000000042.g1.ndjson.zst`],
    ['2026-11-22', `${trail}.0000000000000042.manifest.json`],
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
    expect(endOfRecord(record?.line ?? '')).toMatchObject({
      day: '2026-11-22',
      trail,
      sequence: 2,
      hash: record?.hash,
    })
  })

  test('is not found in a line that is no record', () => {
    expect(endOfRecord('{"hello":"world"}')).toBeUndefined()
  })
})
