import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { auditUnavailable, decide, policyRequest } from '../../src/decision/decide.ts'
import type { Evaluation, RuleSet } from '../../src/decision/rule-set.ts'
import { anyRequest, ordersRequest, requestFrom } from '../cases/access-requests.ts'
import { allowed, policyVersion, readRule, ruleSetThat } from '../cases/rule-sets.ts'

const decisionId = '019aa5d5-76fb-7000-8000-000000000001'
const allowing = ruleSetThat(() => allowed)
const denial = { effect: 'deny', rule: null, roles: [], policyVersion, decisionId, durationUs: 0 }

function decided(request: AccessRequest, rules: RuleSet | undefined = allowing, anonymous: 'deny' | 'pass' = 'deny') {
  return decide(request, rules, { decisionId, nowUs: () => 0, anonymous })
}

describe('decide', () => {
  test('allows by a rule, and carries the evidence', () => {
    expect(decided(ordersRequest)).toEqual({
      effect: 'allow',
      reason: 'ALLOWED_BY_RULE',
      rule: readRule,
      roles: ['orders-reader'],
      policyVersion,
      decisionId,
      durationUs: 0,
    })
  })

  test('denies by a rule, and names it', () => {
    const rules = ruleSetThat(() => ({ effect: 'deny', rule: readRule, roles: ['orders-reader'] }))
    const settled = { reason: 'DENIED_BY_RULE', rule: readRule, roles: ['orders-reader'] }
    expect(decided(ordersRequest, rules)).toEqual({ ...denial, ...settled })
  })

  test('denies where no rule allows', () => {
    const rules = ruleSetThat(() => ({ effect: 'deny', rule: null, roles: [] }))
    expect(decided(ordersRequest, rules)).toEqual({ ...denial, reason: 'NO_MATCHING_RULE' })
  })

  test('denies a caller without a principal', () => {
    expect(decided(requestFrom(''))).toEqual({ ...denial, reason: 'PRINCIPAL_MISSING' })
  })

  test('asks policy about "anonymous" where anonymous callers pass', () => {
    const rules = ruleSetThat(() => allowed)
    expect(decided(requestFrom(''), rules, 'pass')).toMatchObject({ effect: 'allow' })
    expect(rules.asked).toEqual([expect.objectContaining({ sub: 'anonymous' })])
  })

  test.each(['deny', 'pass'] as const)('denies an invalid principal, also where anonymous callers %s', (anonymous) => {
    const invalid = { ...denial, reason: 'PRINCIPAL_INVALID', detail: 'a SPIFFE ID begins with spiffe://' }
    expect(decided(requestFrom('anonymous'), allowing, anonymous)).toEqual(invalid)
  })

  test.each(['deny', 'pass'] as const)(
    'denies a foreign trust domain, also where anonymous callers %s',
    (anonymous) => {
      const decision = decided(requestFrom('spiffe://foreign.example/web'), allowing, anonymous)
      expect(decision).toEqual({ ...denial, reason: 'TRUST_DOMAIN_UNKNOWN' })
    },
  )

  test.each(['REQUEST_MALFORMED', 'PATH_SUSPICIOUS'] as const)('denies what the message forbids: %s', (reason) => {
    const refusal = { reason, detail: 'the path has a backslash' }
    expect(decided({ ...ordersRequest, refusal })).toEqual({ ...denial, ...refusal })
  })

  test('denies without a policy', () => {
    expect(decide(ordersRequest, undefined, { decisionId, nowUs: () => 0, anonymous: 'deny' })).toEqual({
      ...denial,
      reason: 'POLICY_UNAVAILABLE',
      policyVersion: null,
    })
  })

  test('denies where the rules throw', () => {
    const rules = ruleSetThat(() => {
      throw new Error('no such function')
    })
    expect(decided(ordersRequest, rules)).toEqual({ ...denial, reason: 'DECISION_FAULT', detail: 'no such function' })
  })

  test('denies where the rules throw what is no error', () => {
    const rules = ruleSetThat(() => {
      throw Object.create(null)
    })
    expect(decided(ordersRequest, rules)).toMatchObject({ effect: 'deny', reason: 'DECISION_FAULT' })
  })

  test.each([null, undefined])('denies where the rules allow and name %p as the rule', (rule) => {
    const rules = ruleSetThat(() => ({ effect: 'allow', rule, roles: [] }) as unknown as Evaluation)
    expect(decided(ordersRequest, rules)).toMatchObject({ effect: 'deny', reason: 'DECISION_FAULT', rule: null })
  })

  test('looks at the message first, then at the principal, then at the policy', () => {
    const refusal = { reason: 'PATH_SUSPICIOUS', detail: 'x' } as const
    const options = { decisionId, nowUs: () => 0, anonymous: 'deny' } as const
    const reasons = [
      decide({ ...requestFrom(''), refusal }, undefined, options),
      decide(requestFrom('CN=web'), undefined, options),
      decide(requestFrom('spiffe://foreign.example/web'), undefined, options),
      decide(requestFrom(''), undefined, options),
      decide(ordersRequest, undefined, options),
    ].map(({ reason }) => reason)
    expect(reasons).toEqual([
      'PATH_SUSPICIOUS',
      'PRINCIPAL_INVALID',
      'TRUST_DOMAIN_UNKNOWN',
      'PRINCIPAL_MISSING',
      'POLICY_UNAVAILABLE',
    ])
  })

  test('does not ask the policy about a request that is refused before it', () => {
    const rules = ruleSetThat(() => allowed)
    decided(requestFrom(''), rules)
    decided({ ...ordersRequest, refusal: { reason: 'REQUEST_MALFORMED', detail: 'x' } }, rules)
    expect(rules.asked).toEqual([])
  })

  test.each([
    [[100.2, 137.9], 38],
    [[100, 100.4], 0],
    [[100, 99], 0],
  ])('measures %j on the clock as %i whole microseconds', (ticks, durationUs) => {
    const clock = [...ticks]
    const decision = decide(ordersRequest, allowing, {
      decisionId,
      nowUs: () => clock.shift() ?? NaN,
      anonymous: 'deny',
    })
    expect(decision.durationUs).toBe(durationUs)
  })

  test('denies every request where the rules deny or throw', () => {
    const answers = fc.oneof(
      fc.constant(() => ({ effect: 'deny', rule: null, roles: [] }) as const),
      fc.constant(() => ({ effect: 'deny', rule: readRule, roles: ['r'] }) as const),
      fc.anything().map((thrown) => () => {
        throw thrown
      }),
    )
    fc.assert(
      fc.property(anyRequest, answers, fc.constantFrom('deny', 'pass'), (request, answer, anonymous) => {
        expect(decided(request, ruleSetThat(answer), anonymous).effect).toBe('deny')
      }),
    )
  })

  test('allows no request of an unproved caller, whatever the rules say', () => {
    fc.assert(
      fc.property(anyRequest, (request) => {
        const { effect } = decided(request)
        expect(effect).toBe(request.subject.peer.kind === 'proved' && !request.refusal ? 'allow' : 'deny')
      }),
    )
  })
})

describe('policyRequest', () => {
  test('names each token that the request has', () => {
    const action = { protocol: 'grpc', method: 'POST', rpc: 'shop.Orders/Get' } as const
    expect(policyRequest({ ...ordersRequest, action })).toEqual({
      sub: 'spiffe://cluster.local/ns/shop/sa/web',
      dst: 'spiffe://cluster.local/ns/shop/sa/orders',
      host: 'orders.shop',
      obj: '/orders/1',
      act: 'POST',
      rpc: 'shop.Orders/Get',
      port: '8443',
      protocol: 'grpc',
    })
  })

  test('leaves out what is absent or empty, instead of naming it as an empty text', () => {
    const resource = { principal: '', host: '', path: '', query: [] }
    const tokens = policyRequest({ ...ordersRequest, action: { protocol: 'tcp', method: '' }, resource })
    expect(Object.keys(tokens)).toEqual(['sub', 'protocol'])
  })

  test('has port 0 as a token like any other', () => {
    expect(policyRequest({ ...ordersRequest, resource: { port: 0, query: [] } })).toMatchObject({ port: '0' })
  })

  test.each(['CN=web', 'spiffe://foreign.example/web'])('names no subject for the unproved %s', (principal) => {
    expect(policyRequest(requestFrom(principal))).not.toHaveProperty('sub')
  })

  test('holds texts that are not empty, and nothing else', () => {
    fc.assert(
      fc.property(anyRequest, (request) => {
        for (const value of Object.values(policyRequest(request))) expect(value).toEqual(expect.stringMatching(/[^]/))
      }),
    )
  })
})

describe('auditUnavailable', () => {
  test('answers with a denial of the same id and policy, and without the evidence of the allow', () => {
    const late = auditUnavailable({ ...decided(ordersRequest), durationUs: 37 })
    expect(late).toEqual({ ...denial, reason: 'AUDIT_UNAVAILABLE', durationUs: 37 })
  })

  test('is a denial whatever was decided', () => {
    fc.assert(
      fc.property(anyRequest, fc.boolean(), (request, loaded) => {
        const decision = decide(request, loaded ? allowing : undefined, {
          decisionId,
          nowUs: () => 0,
          anonymous: 'pass',
        })
        expect(auditUnavailable(decision)).toMatchObject({ effect: 'deny', policyVersion: decision.policyVersion })
      }),
    )
  })
})
