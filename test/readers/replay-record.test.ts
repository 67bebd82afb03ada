import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decisionEvent } from '../../src/audit/event.ts'
import { encodeEvent, sealRecord } from '../../src/audit/record.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { decide } from '../../src/decision/decide.ts'
import type { CandidateDecision, Decision, Rule } from '../../src/decision/decision.ts'
import { readUsualDecision } from '../../src/readers/replay-record.ts'
import { accessOf, decisionOf, idOf, makeTrail } from '../archive/trails.ts'
import { anyRequest, hostileText, ordersRequest } from '../cases/access-requests.ts'
import { ruleSetThat } from '../cases/rule-sets.ts'

const trail = `web-0-${idOf(1)}`
const rule = { file: 'policy.csv', line: 7, text: 'p, x, /orders/{id}, GET, allow' }

interface Made {
  readonly rule?: Rule
  readonly roles?: readonly string[]
  readonly candidate?: CandidateDecision | null
  readonly redacted?: readonly string[]
  readonly superseding?: boolean
}

/** The line of a decision as the server writes it. */
function lineOf(request: AccessRequest, { redacted, superseding = false, ...made }: Made = {}): string {
  const rules = ruleSetThat(() => ({ effect: 'allow', rule: made.rule ?? rule, roles: made.roles ?? [] }))
  const decided = decide(request, rules, { decisionId: idOf(1), nowUs: () => 0, anonymous: 'pass' })
  const decision: Decision = { ...decided, ...('candidate' in made ? { candidate: made.candidate } : {}) }
  const event = decisionEvent(request, decision, superseding ? { id: idOf(2) } : undefined)
  const data = redacted === undefined ? event.data : { ...event.data, redacted }
  const place = { trail, sequence: 2, prevHash: 'a'.repeat(64), recordedAt: request.time }
  return sealRecord(encodeEvent({ ...event, data }), place).line
}

/** What JSON.parse gives; undefined where that is no JSON. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function expectSame(line: string): void {
  const usual = readUsualDecision(line)
  if (usual !== undefined) expect(usual).toStrictEqual(parsed(line))
}

const usualLine = lineOf(ordersRequest)

describe('a decision in the usual form', () => {
  const { method: _, ...connection } = { ...ordersRequest.action, protocol: 'tcp' as const }
  test.each<[string, string]>([
    ['of a request', usualLine],
    ['of a denial', makeTrail({ trail }, [decisionOf({ number: 1, deny: 'NO_MATCHING_RULE' })])[1]!.line],
    [
      'of a connection',
      lineOf({ ...ordersRequest, action: connection, resource: { query: [] }, context: {}, pep: { address: '' } }),
    ],
    [
      'of a gRPC call',
      lineOf({ ...ordersRequest, action: { protocol: 'grpc', method: 'POST', rpc: 'shop.Orders/Get' } }),
    ],
    ['without a principal', makeTrail({ trail }, [decisionOf({ number: 1, deny: 'PRINCIPAL_MISSING' })])[1]!.line],
    [
      'with roles and query names',
      lineOf({ ...ordersRequest, resource: { query: [',', '', ',,'] } }, { roles: ['a', ',', 'ä'] }),
    ],
    [
      'with a candidate',
      lineOf(ordersRequest, { candidate: { effect: 'deny', reason: 'NO_MATCHING_RULE', policyVersion: null } }),
    ],
    ['whose candidate was not asked', lineOf(ordersRequest, { candidate: null })],
    ['that was masked', lineOf(ordersRequest, { redacted: ['resource.path', 'context.userAgent'] })],
    ['that supersedes another', lineOf(ordersRequest, { superseding: true })],
    [
      'by a rule with quotes and a regular expression',
      lineOf(ordersRequest, { rule: { ...rule, text: 'p, "a", ^/\\d+\\\\$, \\"' } }),
    ],
  ])('%s is read, as JSON.parse reads it', (_, line) => {
    expect(readUsualDecision(line)).toStrictEqual(JSON.parse(line))
  })
})

describe('what is read in the usual form is what JSON.parse gives', () => {
  test('whatever was asked and decided', () => {
    const texts = fc.array(hostileText, { maxLength: 4 })
    const made = fc.record(
      {
        rule: fc.record({ file: hostileText, line: fc.nat(), text: hostileText }),
        roles: texts,
        redacted: texts,
        candidate: fc.option(
          fc.record({
            effect: fc.constantFrom('allow', 'deny'),
            reason: fc.constantFrom('ALLOWED_BY_RULE', 'NO_MATCHING_RULE'),
            policyVersion: fc.option(hostileText),
          }),
        ),
        superseding: fc.boolean(),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(anyRequest, made, (request, others) => expectSame(lineOf(request, others))),
      { numRuns: 500 },
    )
  })

  test('whatever befell the line', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '"',
        '\\',
        '\\"',
        '\\\\',
        '\\u0041',
        ',',
        '","',
        ':',
        '{',
        '}',
        '[',
        ']',
        'null',
        'true',
        '0',
        '-1',
        '01',
        '1e3',
        ' ',
      ),
      fc.constantFrom(
        '\u0000',
        '\u001f',
        '\t',
        '\n',
        '\u007f',
        '\u2028',
        '\ud800',
        'ä',
        '"data":{}',
        ',"trail":"x"',
        '"__proto__":{}',
      ),
      hostileText,
      fc.tuple(fc.nat(usualLine.length), fc.nat(300)).map(([from, length]) => usualLine.slice(from, from + length)),
    )
    const line = fc.constantFrom(
      usualLine,
      lineOf(ordersRequest, { roles: ['a', 'b'], redacted: ['x'], candidate: null, rule: { ...rule, text: '"\\' } }),
    )
    const edits = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(12), piece), {
      minLength: 1,
      maxLength: 3,
    })
    fc.assert(
      fc.property(line, edits, (start, made) => {
        let edited = start
        for (const [share, length, text] of made) {
          const at = Math.floor(share * edited.length)
          edited = edited.slice(0, at) + text + edited.slice(at + length)
        }
        expectSame(edited)
      }),
      { numRuns: 5000 },
    )
  })

  test('with each character of it taken out, doubled, or replaced', () => {
    const line = lineOf(ordersRequest, { roles: ['a', 'b'], redacted: ['x'], rule: { ...rule, text: '"\\' } })
    for (let at = 0; at < line.length; at += 1) {
      const [head, tail] = [line.slice(0, at), line.slice(at + 1)]
      for (const put of ['', line[at]! + line[at]!, '"', '\\', '\n', '0', 'x']) expectSame(head + put + tail)
    }
  })
})

test('no other line is taken for one', () => {
  const [opened, access] = makeTrail({ trail }, [accessOf({ number: 1 })])
  for (const line of [
    opened!.line,
    access!.line,
    '',
    'null',
    '{}',
    usualLine + usualLine,
    ` ${usualLine}`,
    usualLine.slice(0, -1),
  ]) {
    expect(readUsualDecision(line)).toBeUndefined()
  }
})

test('a line as long as any may be, which nearly is one, is read without a fault', () => {
  const long = [
    usualLine.replace('"policy.csv"', `"${'a'.repeat(250_000)}"`),
    usualLine.replace('"page"', `${'"",'.repeat(80_000)}"c"`),
    usualLine.replace('{id}', () => '\\\\'.repeat(60_000)),
  ]
  for (const line of long) {
    expect(readUsualDecision(line)).toStrictEqual(JSON.parse(line))
    expect(readUsualDecision(`${line} `)).toBeUndefined()
  }
})
