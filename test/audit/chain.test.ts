import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { checkLine } from '../../src/audit/chain.ts'
import { decisionEvent } from '../../src/audit/event.ts'
import { encodeEvent, sealRecord } from '../../src/audit/record.ts'
import { decide } from '../../src/decision/decide.ts'
import { hostileText, ordersRequest } from '../cases/access-requests.ts'
import { recordLine } from '../cases/place.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'

const options = { decisionId: '019aa5d5-76fb-7000-8000-000000000001', nowUs: () => 0, anonymous: 'deny' } as const
const decision = decide(
  ordersRequest,
  ruleSetThat(() => allowed),
  options,
)
const record = lineWith('/orders/ä\ufffd😀')

function lineWith(path: string): string {
  return recordLine(decisionEvent({ ...ordersRequest, resource: { path, query: [] } }, decision))
}

/** A line with these bytes before its hash, and the hash that they have. */
function sealed(open: string): string {
  return `${open},"hash":"${createHash('sha256').update(`${open}}`).digest('hex')}"}`
}

describe('checkLine', () => {
  test('reads what was sealed, whatever texts it holds', () => {
    const places = fc.record({
      trail: fc.string({ unit: 'grapheme', minLength: 1 }),
      sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      prevHash: fc.constantFrom('0'.repeat(64), 'ab'.repeat(32)),
      recordedAt: fc.constant(new Date(0)),
    })
    fc.assert(
      fc.property(hostileText, places, (path, place) => {
        const event = decisionEvent({ ...ordersRequest, resource: { path, query: [] } }, decision)
        const { line, hash } = sealRecord(encodeEvent(event), place)
        const { trail, sequence, prevHash } = place
        expect(checkLine(line)).toEqual({
          ok: true,
          place: { trail, sequence, prevHash, hash },
          record: JSON.parse(line) as unknown,
        })
      }),
    )
  })

  test('finds every single byte that is changed to any other, also by a reader that decodes leniently', () => {
    const bytes = Buffer.from(record)
    const found = bytes.map((byte, index) => {
      // All 255 other values at a byte would take long: one flipped bit, and the leads of longer sequences.
      const others = [byte ^ (1 << (index % 8)), byte ^ 0x80, 0xf1, 0xe1, 0xc3, 0x80, 0x20].filter(
        (other) => other !== byte,
      )
      return others.every(
        (other) =>
          !checkLine(
            Buffer.from(bytes)
              .fill(other, index, index + 1)
              .toString(),
          ).ok,
      )
        ? 1
        : 0
    })
    expect(found.indexOf(0)).toBe(-1)
  })

  test('finds a byte that is taken out or put in', () => {
    fc.assert(
      fc.property(
        fc.nat(record.length - 1),
        fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 3 }),
        (index, text) => {
          expect(checkLine(record.slice(0, index) + record.slice(index + 1)).ok).toBe(false)
          expect(checkLine(record.slice(0, index) + text + record.slice(index)).ok).toBe(false)
        },
      ),
    )
  })

  test.each([
    ['an empty line', ''],
    ['a hash alone', `,"hash":"${'0'.repeat(64)}"}`],
    ['an object without a hash', '{"trail":"x"}'],
    ['a newline after the record', `${record}\n`],
    ['a hash in upper case', record.replace(/[0-9a-f]{64}"\}$/, (end) => end.toUpperCase())],
    ['a hash that is not the last member', `${record.slice(0, -1)},"more":1}`],
  ])('finds that %s is no record', (_, line) => {
    expect(checkLine(line)).toEqual({ ok: false, problem: 'the line does not end with a hash' })
  })

  test('says that the bytes have another hash', () => {
    const problem = 'the bytes of the record do not have the hash that it carries'
    expect(checkLine(record.replace('"allow"', '"deny"'))).toEqual({ ok: false, problem })
  })

  test.each([
    ['the line is not JSON', '{"trail":'],
    ['the line is not JSON', '{"trail":"x"}'],
    ['the record names no trail', '{"a":1'],
    ['the record names no trail', '{"trail":""'],
    ['the record has no sequence of 16 digits', '{"trail":"x","sequence":1'],
    ['the record has no sequence of 16 digits', '{"trail":"x","sequence":"42"'],
    ['the record has no sequence of 16 digits', '{"trail":"x","sequence":"000000000000000x"'],
    ['the record has no previous hash', '{"trail":"x","sequence":"0000000000000001"'],
    ['the record has no previous hash', '{"trail":"x","sequence":"0000000000000001","prevhash":"0"'],
  ])('says that %s', (problem, open) => {
    expect(checkLine(sealed(open))).toEqual({ ok: false, problem })
  })

  test('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(hostileText, fc.json(), fc.json().map(sealed)), (line) => {
        expect(checkLine(line).ok).toBe(false)
      }),
    )
  })
})
