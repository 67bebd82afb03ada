import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { checkLine } from '../../src/audit/chain.ts'
import { decisionEvent, eventTypes, policyEvent, trailEvent, type AuditEvent } from '../../src/audit/event.ts'
import { encodeEvent, formatSequence, sealRecord } from '../../src/audit/record.ts'
import { maxRecordBytes } from '../../src/audit/redact.ts'
import { decide } from '../../src/decision/decide.ts'
import { anyRequest, hostileText } from '../cases/access-requests.ts'
import { firstPlace, recordLine } from '../cases/place.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'
import { expectValidRecord } from '../contract/event-schema.ts'

const id = '019aa5d5-76fb-7000-8000-000000000001'
const time = new Date('2026-11-22T10:00:00.123Z')
const closed = trailEvent(id, time, { change: 'closed', delivered: 7, left: 0 })

/** The hash by the letter of docs/events.md, on bytes. */
function hashByTheRule(line: string): string {
  const bytes = Buffer.from(line)
  const open = bytes.subarray(0, bytes.length - ',"hash":"'.length - 64 - '"}'.length)
  return createHash('sha256').update(open).update('}').digest('hex')
}

function eventWith(data: object): AuditEvent {
  return { id, type: eventTypes.decision, time, data }
}

describe('sealRecord', () => {
  test('makes the known record, byte for byte', () => {
    const known = readFileSync(new URL('../cases/known-record.json', import.meta.url), 'utf8').trimEnd()
    expect(recordLine(closed)).toBe(known)
    expect(hashByTheRule(known)).toBe('24395e75390714d6d6c76bcea95c9d1cae6cbde542d32644a4942c7ff86b4ce3')
  })

  test('ends the line with the hash that the rule gives, for any text in it', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const { line, hash } = sealRecord(encodeEvent(eventWith({ text })), firstPlace)
        expect(line.endsWith(`,"hash":"${hash}"}`)).toBe(true)
        expect(hash).toBe(hashByTheRule(line))
      }),
    )
  })

  test('gives the same event another hash at another place', () => {
    const event = encodeEvent(closed)
    const places = [
      firstPlace,
      { ...firstPlace, sequence: 2 },
      { ...firstPlace, prevHash: 'f'.repeat(64) },
      { ...firstPlace, trail: 'another' },
    ]
    expect(new Set(places.map((place) => sealRecord(event, place).hash)).size).toBe(4)
  })

  test('writes a trail’s name as JSON', () => {
    const trail = 'a"b\\c\n'
    const { line } = sealRecord(encodeEvent(closed), { ...firstPlace, trail })
    expect(JSON.parse(line)).toMatchObject({ trail, source: `/countersign/${trail}` })
  })
})

describe('encodeEvent', () => {
  test.each(['\n', '\r', '\u0085', '\u2028', '\u2029', '\u000b', '\u000c', '\u001e'])(
    'keeps a line in one piece where a value holds %j',
    async (separator) => {
      const line = recordLine(eventWith({ text: `a${separator}b` }))
      const lines: string[] = []
      for await (const read of createInterface({ input: Readable.from([line]) })) lines.push(read)
      expect(lines).toEqual([line])
      expect(line).not.toContain(separator)
      expect(JSON.parse(line)).toMatchObject({ data: { text: `a${separator}b` } })
    },
  )

  test('brings every text that UTF-8 can say back unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        const { data } = JSON.parse(recordLine(eventWith({ text }))) as { data: { text: string } }
        expect(data.text).toBe(text.toWellFormed())
      }),
    )
  })

  test('leaves no escaped lone surrogate, which strict JSON readers refuse', () => {
    expect(recordLine(eventWith({ text: '\ud800' }))).not.toMatch(/\\ud[89a-f]/i)
  })

  test('leaves out the subject and the trace where there is none', () => {
    expect(Object.keys(JSON.parse(recordLine(closed)) as object)).toEqual([
      ...['specversion', 'id', 'type', 'time', 'datacontenttype', 'data', 'source', 'recordedat', 'trail', 'sequence'],
      ...['prevhash', 'hash'],
    ])
  })

  test('makes a valid record of at most 64 KiB of whatever is asked and decided', () => {
    fc.assert(
      fc.property(anyRequest, fc.boolean(), (request, superseding) => {
        const options = { decisionId: id, nowUs: () => 0, anonymous: 'pass' } as const
        const decision = decide(
          request,
          ruleSetThat(() => allowed),
          options,
        )
        const own = superseding ? { id: '019aa5d5-76fb-7000-8000-000000000002' } : undefined
        expectValidRecord(recordLine(decisionEvent(request, decision, own)))
      }),
      { numRuns: 300 },
    )
  })

  test('keeps what settles a decision, even where everything else of the request is as long as can be', () => {
    const long = '\u0001'.repeat(20_000)
    const request = {
      time,
      subject: { peer: { kind: 'invalid', text: long, problem: long }, address: long },
      action: { protocol: 'http', method: long, rpc: long },
      resource: { principal: long, host: long, path: long, port: 1, query: Array<string>(500).fill(long) },
      context: { requestId: long, traceparent: long, traceId: long, spanId: long, userAgent: long },
      pep: { principal: long, address: long },
    } as const
    const rule = { file: long, line: 1, text: long }
    const answers = { reason: 'ALLOWED_BY_RULE', rule, roles: Array<string>(1000).fill(long) } as const
    const policyVersion = `sha256:${'0'.repeat(64)}`
    const event = decisionEvent(request, { effect: 'allow', ...answers, policyVersion, decisionId: id, durationUs: 1 })
    const record = expectValidRecord(recordLine(event))
    expect(record).toMatchObject({ id, data: { decisionId: id, effect: 'allow', policyVersion, rule: { line: 1 } } })
    expect(record['data']).toMatchObject({ redacted: expect.arrayContaining(['rule.text', 'resource.query', 'roles']) })
  })

  test('keeps as many of a policy’s problems as fit', () => {
    const problem = { file: 'policy.csv', line: 1, column: 1, code: 'RULE_SHORT', message: 'x'.repeat(150) }
    const event = policyEvent(id, time, {
      ...{ change: 'rejected', origin: 'folder', candidate: false, policyVersion: null, previousVersion: null },
      ...{ files: [], author: null, ticket: null, signedBy: [] },
      rules: { added: 0, removed: 0, total: 0 },
      problems: Array<typeof problem>(5000).fill(problem),
    })
    const record = expectValidRecord(recordLine(event)) as { data: { problems: unknown[]; redacted: string[] } }
    expect(record.data.problems.length).toBeGreaterThanOrEqual(64)
    expect(record.data.redacted).toEqual(['problems'])
  })

  test('makes a record of at most 64 KiB of any data', () => {
    const data = fc.dictionary(hostileText, fc.oneof(hostileText, fc.jsonValue(), fc.array(hostileText)), {
      maxKeys: 100,
    })
    fc.assert(
      fc.property(data, (any) => {
        expect(Buffer.byteLength(recordLine(eventWith(any)))).toBeLessThanOrEqual(maxRecordBytes)
      }),
    )
  })

  test.each([
    ['a list of 100,000 items', { list: Array<string>(100_000).fill('\0') }],
    [
      '100,000 members',
      Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`member${String(index)}`, 'x'])),
    ],
    [
      'long names',
      Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`${'\0'.repeat(10_000)}${String(index)}`, ''])),
    ],
    ['100,000 levels', nested(100_000, 1)],
    ['a tree', nested(5, 8)],
  ])('makes a record of at most 64 KiB of %s', (_, data) => {
    const line = recordLine(eventWith(data))
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(maxRecordBytes)
    expect(checkLine(line)).toMatchObject({ ok: true, record: { data: { redacted: expect.any(Array) } } })
  })
})

function nested(levels: number, branches: number): object {
  let tree: object = { leaf: 'x' }
  for (let level = 0; level < levels; level += 1) {
    const below = tree
    tree = Object.fromEntries(Array.from({ length: branches }, (_, index) => [`branch${String(index)}`, below]))
  }
  return tree
}

describe('formatSequence', () => {
  test.each([
    [1, '0000000000000001'],
    [42, '0000000000000042'],
    [Number.MAX_SAFE_INTEGER, '9007199254740991'],
  ])('writes %i as %s', (sequence, text) => {
    expect(formatSequence(sequence)).toBe(text)
  })
})
