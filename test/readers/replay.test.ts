import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { AuditEvent } from '../../src/audit/event.ts'
import { decisionEvent } from '../../src/audit/event.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { auditUnavailable, decide } from '../../src/decision/decide.ts'
import { reasons, type DenyReason } from '../../src/decision/decision.ts'
import { policyTokens, type PolicyToken, type RuleSet } from '../../src/decision/rule-set.ts'
import { identifyPeer } from '../../src/identity/principal.ts'
import { buildPolicy } from '../../src/policy/load.ts'
import { parseFilter, type FilterText } from '../../src/readers/filter.ts'
import { replay, type Replay } from '../../src/readers/replay.ts'
import type { ReplayPolicy } from '../../src/readers/replay-change.ts'
import { maxGroups } from '../../src/readers/replay-tally.ts'
import { accessOf, decisionOf, idOf, makeTrail, type MadeRecord } from '../archive/trails.ts'
import { acceptedDomains, ordersRequest } from '../cases/access-requests.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'
import { modelText, snapshot } from '../policy/policies.ts'
import { TestData, textOf } from './data-folder.ts'

const trail = `web-0-${idOf(1)}`
const web = 'spiffe://cluster.local/ns/shop/sa/web'
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl'
const model = modelText({
  p: 'sub, obj, act, eft',
  e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  m: 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act',
})
const before = [
  'p, reader, /orders/{id}, GET, allow',
  'p, reader, /orders/secret, GET, deny',
  'p, reader, /prices, GET, allow',
  `g, ${web}, reader`,
]

async function policyOf(rules: readonly string[]): Promise<ReplayPolicy> {
  const outcome = await buildPolicy(snapshot({ 'model.conf': model, 'policy.csv': `${rules.join('\n')}\n` }), {
    compareWithCasbin: false,
  })
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.problems))
  return { ruleSet: outcome.ruleSet, reads: outcome.ruleSet.model.reads.tokens }
}

interface Asked {
  readonly path?: string
  readonly method?: string
  readonly principal?: string
}

function requestOf({ path = '/orders/1', method = 'GET', principal = web }: Asked): AccessRequest {
  return {
    ...ordersRequest,
    subject: { peer: identifyPeer(principal, acceptedDomains) },
    action: { protocol: 'http', method },
    resource: { ...ordersRequest.resource, path },
  }
}

/** The events of decisions, as the server would record them by these rules. */
function decidedBy(ruleSet: RuleSet | undefined, asked: readonly Asked[], from = 100): AuditEvent[] {
  return asked.map((one, index) => {
    const request = requestOf(one)
    const options = { decisionId: idOf(from + index), nowUs: () => 0, anonymous: 'deny' } as const
    return decisionEvent(request, decide(request, ruleSet, options))
  })
}

interface Replaying {
  readonly filter?: FilterText
  readonly onProgress?: (bytes: number, ofBytes: number) => void
}

async function replayed(
  data: TestData,
  policy: ReplayPolicy,
  { filter = {}, ...others }: Replaying = {},
): Promise<Replay> {
  const parsed = parseFilter(filter, new Date('2026-11-22T12:00:00Z'))
  if (!parsed.ok) throw new Error(parsed.problem)
  const openSpool = () => ({
    after: (position: number, limit: number) => {
      void data.onSpoolRead(position)
      return data.spooled.filter((record) => record.position > position).slice(0, limit)
    },
    close: () => undefined,
  })
  return replay(data.dir, parsed.value, policy, { openSpool, ...others })
}

function countsOf({ decisions, replayed: compared, unchanged, changes }: Replay): Record<string, number> {
  const [allow, deny, rule] = [changes.allow.count, changes.deny.count, changes.rule.count]
  return { decisions, compared, unchanged, allow, deny, rule }
}

const some: readonly Asked[] = [
  { path: '/orders/1' },
  { path: '/orders/2' },
  { path: '/orders/secret' },
  { path: '/prices' },
  { path: '/prices', principal: 'spiffe://cluster.local/ns/shop/sa/report' },
  { path: '/orders/1', method: 'DELETE' },
]

describe('a policy that is put to recorded decisions', () => {
  test('changes nothing where it is the one that decided', async () => {
    using data = new TestData()
    const policy = await policyOf(before)
    await data.archive(makeTrail({ trail }, decidedBy(policy.ruleSet, some)))
    const result = await replayed(data, policy)
    expect(countsOf(result)).toEqual({ decisions: 6, compared: 6, unchanged: 6, allow: 0, deny: 0, rule: 0 })
    expect(result.decidedBy).toEqual({ [policy.ruleSet.policyVersion]: 6 })
  })

  test('changes nothing where rules have only moved, or are spaced otherwise', async () => {
    using data = new TestData()
    await data.archive(makeTrail({ trail }, decidedBy((await policyOf(before)).ruleSet, some)))
    const moved = await policyOf(['# new first line', ...before.toReversed().map((rule) => rule.replaceAll(', ', ','))])
    expect(countsOf(await replayed(data, moved))).toMatchObject({ unchanged: 6, allow: 0, deny: 0, rule: 0 })
  })

  test('tells what becomes allowed, what becomes denied, and what another rule settles', async () => {
    using data = new TestData()
    await data.archive(makeTrail({ trail }, decidedBy((await policyOf(before)).ruleSet, some)))
    const after = await policyOf([
      'p, reader, /orders/**, GET, allow',
      'p, reader, /orders/{id}, DELETE, allow',
      `g, ${web}, reader`,
    ])
    const { changes } = await replayed(data, after)
    const rule = (line: number, text: string) => ({ file: 'policy.csv', line, text })
    const time = '2026-11-22T10:00:00.123Z'
    const group = { count: 1, first: time, last: time }
    expect(changes.allow).toEqual({
      count: 2,
      principals: {
        groups: [{ principal: web, ...group, count: 2, examples: [idOf(102), idOf(105)] }],
        ungrouped: 0,
      },
      routes: {
        groups: [
          { route: 'GET /orders/secret', ...group, examples: [idOf(102)] },
          { route: 'DELETE /orders/{id}', ...group, examples: [idOf(105)] },
        ],
        ungrouped: 0,
      },
      rules: {
        groups: [
          {
            ...group,
            before: { effect: 'deny', rule: rule(2, 'p, reader, /orders/secret, GET, deny') },
            after: expect.objectContaining({ effect: 'allow', rule: rule(1, 'p, reader, /orders/**, GET, allow') }),
            examples: [idOf(102)],
          },
          {
            ...group,
            before: { effect: 'deny', rule: null },
            after: expect.objectContaining({ rule: rule(2, 'p, reader, /orders/{id}, DELETE, allow') }),
            examples: [idOf(105)],
          },
        ],
        ungrouped: 0,
      },
    })
    expect(changes.deny).toMatchObject({ count: 1, routes: { groups: [{ route: 'GET /prices' }] } })
    expect(changes.rule).toMatchObject({ count: 2, routes: { groups: [{ route: 'GET /orders/{id}', count: 2 }] } })
  })

  test('changes nothing where the record has but the beginning of the same rule', async () => {
    using data = new TestData()
    const policy = await policyOf(before)
    const [event] = decidedBy(policy.ruleSet, [{}])
    const rule = { file: 'policy.csv', line: 1, text: 'p, reader, /ord' }
    const cut = { ...event!, data: { ...event!.data, rule, redacted: ['rule.text'] } }
    await data.archive(makeTrail({ trail }, [cut, { ...event!, data: { ...event!.data, rule } }]))
    expect(countsOf(await replayed(data, policy))).toMatchObject({ unchanged: 1, rule: 1 })
  })

  test('tells of the most frequent changes first, and when they were met', async () => {
    using data = new TestData()
    const events = decidedBy((await policyOf(before)).ruleSet, [some[3]!, some[0]!, some[0]!, some[1]!])
    const times = [5, 2, 1, 3].map((minute) => new Date(`2026-11-22T10:0${minute}:00.000Z`))
    await data.archive(
      makeTrail(
        { trail },
        events.map((event, index) => ({ ...event, time: times[index]! })),
      ),
    )
    const { routes } = (await replayed(data, nothingAllowed)).changes.deny
    expect(routes.groups).toMatchObject([
      { route: 'GET /orders/{id}', count: 3, first: times[2]!.toISOString(), last: times[3]!.toISOString() },
      { route: 'GET /prices', count: 1 },
    ])
  })

  test('denies where its evaluation fails', async () => {
    using data = new TestData()
    await data.archive(makeTrail({ trail }, decidedBy((await policyOf(before)).ruleSet, some.slice(3))))
    const ruleSet = ruleSetThat(() => {
      throw new Error('no such role')
    })
    const result = await replayed(data, { ruleSet, reads: new Set() })
    expect(countsOf(result)).toMatchObject({ deny: 1, rule: 2, unchanged: 0 })
    expect(result.faults).toBe(3)
    expect(result.changes.deny.rules.groups[0]?.after).toEqual({ effect: 'deny', rule: null, fault: 'no such role' })
  })
})

describe('decisions that cannot be compared are counted apart:', () => {
  test('those of which a token that the policy reads was masked or cut', async () => {
    using data = new TestData()
    const policy = await policyOf(before)
    const asked = [{ path: `/orders/${jwt}` }, { path: `/${'x'.repeat(5000)}` }, { path: '/orders/1' }]
    await data.archive(makeTrail({ trail }, decidedBy(policy.ruleSet, asked)))
    const result = await replayed(data, policy)
    expect(countsOf(result)).toMatchObject({ decisions: 3, compared: 1, unchanged: 1 })
    expect(result.unreplayable).toEqual({ count: 2, tokens: { obj: 2 } })
    const { reads: _, ...others } = policy
    const blind = await replayed(data, { ...others, reads: new Set<PolicyToken>(['sub']) })
    expect(blind.unreplayable.count).toBe(0)
  })

  test('those that are the same under any policy, and those that no policy answered', async () => {
    using data = new TestData()
    const denials = Object.keys(reasons).filter((reason) => reason !== 'ALLOWED_BY_RULE') as DenyReason[]
    const events = denials.map((deny, index) => decisionOf({ number: 100 + index, deny }))
    const unknown = decisionOf({ number: 99, deny: 'NEWER_REASON' as DenyReason })
    await data.archive(makeTrail({ trail }, [...events, unknown]))
    const result = await replayed(data, { ruleSet: ruleSetThat(() => allowed), reads: new Set() })
    expect(result.beforePolicy).toEqual({
      count: 7,
      reasons: Object.fromEntries(
        [
          'PRINCIPAL_MISSING',
          'PRINCIPAL_INVALID',
          'TRUST_DOMAIN_UNKNOWN',
          'USER_TOKEN_INVALID',
          'USER_TOKEN_EXPIRED',
          'REQUEST_MALFORMED',
          'PATH_SUSPICIOUS',
        ].map((reason) => [reason, 1]),
      ),
    })
    expect(Object.keys(result.noAnswer.reasons).sort()).toEqual([
      'AUDIT_UNAVAILABLE',
      'DECISION_FAULT',
      'NEWER_REASON',
      'OVERLOADED',
      'POLICY_UNAVAILABLE',
    ])
    expect(countsOf(result)).toMatchObject({ decisions: denials.length + 1, compared: 2, allow: 2 })
  })

  test('the denial that replaced an answer whose record came too late; what the policy had decided is compared', async () => {
    using data = new TestData()
    const policy = await policyOf(before)
    const request = requestOf({})
    const decision = decide(request, policy.ruleSet, { decisionId: idOf(7), nowUs: () => 0, anonymous: 'deny' })
    const late = decisionEvent(request, auditUnavailable(decision), { id: idOf(8) })
    await data.archive(makeTrail({ trail }, [decisionEvent(request, decision), late]))
    const result = await replayed(data, policy)
    expect(countsOf(result)).toMatchObject({ decisions: 1, compared: 1, unchanged: 1 })
    expect(result).toMatchObject({ superseded: 1, noAnswer: { count: 0 } })
  })
})

/** What is met, however it lies; every decision is one that no rule allows now. */
const nothingAllowed: ReplayPolicy = {
  ruleSet: ruleSetThat(() => ({ effect: 'deny', rule: null, roles: [] })),
  reads: new Set(Object.keys(policyTokens) as PolicyToken[]),
}

function manyDecisions(count: number, from = 100): AuditEvent[] {
  return Array.from({ length: count }, (_, index) => decisionOf({ number: from + index, path: `/orders/${index}` }))
}

describe('each decision is met once', () => {
  test('wherever it lies, however its trail is spread over segments and spool, and doubled', async () => {
    const pieces = fc.array(fc.tuple(fc.nat(12), fc.integer({ min: 1, max: 6 })), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(pieces, fc.nat(13), async (spread, spooledFrom) => {
        using data = new TestData()
        const records = makeTrail({ trail }, manyDecisions(12))
        const kept = new Set<MadeRecord>(records.slice(spooledFrom))
        for (const [copy, [from, length]] of spread.entries()) {
          const part = records.slice(from, from + length)
          data.segment(trail, from + 1, textOf(part), copy)
          for (const record of part) kept.add(record)
        }
        data.spooled = records.slice(spooledFrom)
        const decisions = [...kept].filter(({ sequence }) => sequence > 1).length
        expect(countsOf(await replayed(data, nothingAllowed))).toMatchObject({ decisions, deny: decisions })
      }),
      { numRuns: 60 },
    )
  })

  test('and both of a fork', async () => {
    using data = new TestData()
    const [records, forked] = [makeTrail({ trail }, manyDecisions(3)), makeTrail({ trail }, manyDecisions(3, 900))]
    await data.archive(records)
    await data.archive(forked.slice(3))
    expect((await replayed(data, nothingAllowed)).decisions).toBe(4)
  })

  test.each([
    ['with the first sequence and hash that can be written, too', '1', 2],
    ['and none where its sequence is no place in a trail', '0', 1],
  ])('%s', async (_, sequence, decisions) => {
    using data = new TestData()
    const [, { line } = { line: '' }] = makeTrail({ trail }, manyDecisions(1))
    const first = line
      .replace(/"sequence":"[0-9]+"/, `"sequence":"${sequence.padStart(16, '0')}"`)
      .replace(/"hash":"[0-9a-f]+"/, `"hash":"${'0'.repeat(64)}"`)
    data.segment(trail, 1, `${first}\n${first}\n${line}\n`)
    expect((await replayed(data, nothingAllowed)).decisions).toBe(decisions)
  })

  test('also where it moves from the spool to the archive meanwhile', async () => {
    using data = new TestData()
    const records = makeTrail({ trail }, manyDecisions(600))
    await data.archive(records.slice(0, 100))
    data.spooled = records.slice(100)
    data.onSpoolRead = async (position) => {
      if (position < 300) return
      data.onSpoolRead = () => undefined
      // In the archive before it leaves the spool, as it is delivered.
      data.segment(trail, 101, textOf(records.slice(100)))
      data.spooled = []
    }
    expect((await replayed(data, nothingAllowed)).decisions).toBe(600)
  })

  test('among the records of several trails and types', async () => {
    using data = new TestData()
    const events = [1, 2, 3].flatMap((number) => [decisionOf({ number }), accessOf({ number })])
    await data.archive(makeTrail({ trail }, events))
    await data.archive(makeTrail({ trail: `web-1-${idOf(2)}` }, manyDecisions(4)))
    expect((await replayed(data, nothingAllowed)).decisions).toBe(7)
  })
})

describe('of a time', () => {
  test('only its decisions are met, and the folders of other days are not opened', async () => {
    using data = new TestData()
    const records = makeTrail({ trail, stepMs: 6 * 3600_000 }, manyDecisions(8))
    await data.archive(records)
    const path = join(data.dir, `archive/2026-11-22/${trail}.${'1'.padStart(16, '0')}.ndjson`)
    writeFileSync(path, readFileSync(path, 'utf8').slice(10))
    const result = await replayed(data, nothingAllowed, {
      filter: { since: '2026-11-23', until: '2026-11-23T12:00:00Z' },
    })
    expect(result).toMatchObject({ decisions: 2, unreadable: { count: 0 } })
    expect((await replayed(data, nothingAllowed, { filter: { since: '2026-11-24' } })).decisions).toBe(2)
  })
})

describe('lines that cannot be read', () => {
  test('are counted and named, in the archive and in the spool', async () => {
    using data = new TestData()
    const records = makeTrail({ trail }, manyDecisions(4))
    const [opened = '', first = '', second = ''] = records.map(({ line }) => line)
    const name = data.segment(trail, 1, `${opened}\n${first}\n${second.slice(0, 200)}\n${'x'.repeat(3_000_000)}\n`)
    data.spooled = records.slice(3).map((record) => ({ ...record, line: record.line.replace('"data"', 'data') }))
    const result = await replayed(data, nothingAllowed)
    expect(result).toMatchObject({ decisions: 1, torn: 0 })
    expect(result.unreadable).toEqual({
      count: 4,
      places: [
        { file: 'spool', line: 4, problem: 'the line is not JSON' },
        { file: 'spool', line: 5, problem: 'the line is not JSON' },
        { file: name, line: 3, problem: 'the line is not JSON' },
        { file: name, line: 4, problem: 'the line is longer than a record may be' },
      ],
    })
  })

  test('are named up to a number, and counted beyond', async () => {
    using data = new TestData()
    data.segment(trail, 1, '{}\n'.repeat(1000))
    const { count, places } = (await replayed(data, nothingAllowed)).unreadable
    expect([count, places.length]).toEqual([1000, 20])
  })

  test('are others than the end of a file that is being written', async () => {
    using data = new TestData()
    const text = textOf(makeTrail({ trail }, manyDecisions(4)))
    data.segment(trail, 1, text.slice(0, -100))
    expect(await replayed(data, nothingAllowed)).toMatchObject({ decisions: 3, torn: 1, unreadable: { count: 0 } })
  })
})

describe('a replay of much', () => {
  test('keeps a bounded number of groups apart, and says how many decisions it did not', async () => {
    using data = new TestData()
    const events = Array.from({ length: maxGroups + 5 }, (_, number) =>
      decisionOf({ number, principal: `spiffe://cluster.local/ns/n/sa/s${number}`, path: '/orders' }),
    )
    await data.archive(makeTrail({ trail, stepMs: 1 }, events))
    const { principals, routes } = (await replayed(data, nothingAllowed)).changes.deny
    expect([principals.groups.length, principals.ungrouped]).toEqual([maxGroups, 5])
    expect(routes).toMatchObject({ groups: [{ route: 'GET /orders/**', count: maxGroups + 5 }], ungrouped: 0 })
    expect(routes.groups[0]?.examples).toHaveLength(3)
  })

  test('tells how far it is', async () => {
    using data = new TestData()
    await data.archive(makeTrail({ trail, stepMs: 1 }, manyDecisions(2000)), 1024 * 1024)
    const shares: number[] = []
    await replayed(data, nothingAllowed, { onProgress: (bytes, ofBytes) => shares.push(bytes / ofBytes) })
    expect(shares.length).toBeGreaterThan(1)
    expect(shares).toEqual(shares.toSorted((a, b) => a - b))
    expect(shares.at(-1)).toBe(1)
  })
})

describe('what was asked for is named', () => {
  const route = async (request: Partial<AccessRequest>, text: string) => {
    using data = new TestData()
    const rules = ruleSetThat(() => ({ effect: 'allow', rule: { file: 'policy.csv', line: 1, text }, roles: [] }))
    const asked = { ...ordersRequest, ...request }
    const decision = decide(asked, rules, { decisionId: idOf(1), nowUs: () => 0, anonymous: 'deny' })
    await data.archive(makeTrail({ trail }, [decisionEvent(asked, decision)]))
    return (await replayed(data, nothingAllowed)).changes.deny.routes.groups[0]?.route
  }

  test('by method and the path pattern of the rule', async () => {
    expect(await route({}, 'p, x, "/orders/{id}", GET, allow')).toBe('GET /orders/{id}')
    expect(await route({}, 'p, x, ^/orders/[0-9]+$, GET, allow')).toBe('GET ^/orders/[0-9]+$')
  })

  test('by method and path where the rule has no path', async () => {
    expect(await route({}, 'p, x, GET, allow')).toBe('GET /orders/1')
  })

  test('by the method of a gRPC call, or the port of a connection', async () => {
    const rpc = { protocol: 'grpc', method: 'POST', rpc: 'shop.Orders/Get' } as const
    expect(await route({ action: rpc }, 'p, x, /**, allow')).toBe('shop.Orders/Get')
    expect(await route({ action: { protocol: 'tcp' } }, 'p, x, *, allow')).toBe('tcp port 8443')
  })
})
