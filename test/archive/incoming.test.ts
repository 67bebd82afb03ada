import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { arrange, readIncoming, type IncomingRecord } from '../../src/archive/incoming.ts'
import { decisions, idOf, makeTrail } from './trails.ts'

const trail = `web-0-${idOf(1)}`
const made = makeTrail({ trail }, decisions(5))
const line = made[1]!.line

/** The line with its hash made anew after a change. */
function resealed(change: (text: string) => string): Buffer {
  const open = change(`${line.slice(0, line.lastIndexOf(',"hash"'))}}`)
  const digest = createHash('sha256').update(open).digest('hex')
  return Buffer.from(`${open.slice(0, -1)},"hash":"${digest}"}`)
}

function problemOf(value: Buffer | null): string | undefined {
  const read = readIncoming(value)
  return read.ok ? undefined : read.problem
}

describe('what comes from outside', () => {
  test('is a record where its hash and its end are right, byte for byte', () => {
    expect(readIncoming(Buffer.from(line))).toEqual({
      ok: true,
      record: {
        trail,
        sequence: 2,
        prevHash: made[0]!.hash,
        hash: made[1]!.hash,
        day: '2026-11-22',
        line: Buffer.from(line),
      },
    })
    expect(problemOf(resealed((text) => text))).toBeUndefined()
  })

  test.each([
    ['nothing', null, 'there is no value'],
    ['an empty value', Buffer.alloc(0), 'the line does not end with a hash'],
    ['no JSON', Buffer.from('hello'), 'the line does not end with a hash'],
    [
      'a changed byte',
      Buffer.from(line.replace('GET', 'PUT')),
      'the bytes of the record do not have the hash that it carries',
    ],
    ['a hash over no JSON', resealed((text) => text.slice(1)), 'the line is not JSON'],
    ['two lines', resealed((text) => text.replace(',"type"', ',\n"type"')), 'it has more than one line'],
    [
      'a trail that leaves the folder',
      resealed((text) => text.replace(`"trail":"${trail}"`, '"trail":"../x"')),
      'its trail cannot name a segment',
    ],
    [
      'the sequence 0',
      resealed((text) => text.replace('"sequence":"0000000000000002"', '"sequence":"0000000000000000"')),
      'its sequence is no place in a trail',
    ],
    [
      'a sequence beyond numbers',
      resealed((text) => text.replace('"sequence":"0000000000000002"', '"sequence":"9999999999999999"')),
      'its sequence is no place in a trail',
    ],
    [
      'a day that is none',
      resealed((text) => text.replace('"recordedat":"2026-11-22', '"recordedat":"2026-13-41')),
      'it was recorded on no day',
    ],
    [
      'members in another order',
      resealed((text) =>
        text.replace(/,"prevhash":"([0-9a-f]+)"\}$/, '}').replace('{', `{"prevhash":"${'0'.repeat(64)}",`),
      ),
      'it does not end with the members that every record ends with',
    ],
    ['too much', Buffer.alloc(300_000, 0x20), 'it is longer than a record may be'],
  ])('is refused with its reason where it is %s', (_what, value, problem) => {
    expect(problemOf(value)).toBe(problem)
  })

  test('is refused where it is not UTF-8', () => {
    const value = Buffer.from(line)
    value[value.indexOf('GET')] = 0xff
    expect(problemOf(value)).toBe('it is not UTF-8')
  })
})

function record(sequence: number, name = '', day = 'd'): IncomingRecord {
  return { trail, sequence, prevHash: '', hash: `${String(sequence)}${name}`, day, line: Buffer.alloc(0) }
}

test('records are arranged into as few runs as can be: sorted, once each, forks apart', () => {
  const came = [
    record(3),
    record(1),
    record(2),
    record(2),
    record(5),
    record(2, 'fork'),
    record(3, 'fork'),
    record(6, '', 'e'),
  ]
  expect(arrange(came).map((run) => run.records.map(({ hash }) => hash))).toEqual([
    ['1', '2', '3'],
    ['5'],
    ['6'],
    ['2fork', '3fork'],
  ])
})
