import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { writeCheckResponse } from '../../src/check/write-response.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { type Decision, type DenyReason, reasons } from '../../src/decision/decision.ts'
import type { CheckResponse__Output } from '../../src/wire/envoy/service/auth/v3/CheckResponse.ts'
import { anyRequest, ordersRequest, requestFrom } from '../cases/access-requests.ts'
import { policyVersion, readRule } from '../cases/rule-sets.ts'
import { asEnvoyReads, web } from './calls.ts'

const decisionId = '019aa5d5-0000-7000-8000-000000000001'

const allow: Decision = {
  ...{ effect: 'allow', reason: 'ALLOWED_BY_RULE', rule: readRule, roles: ['orders-reader'], policyVersion },
  ...{ decisionId, durationUs: 37 },
}

function deny(reason: DenyReason): Decision {
  return { effect: 'deny', reason, rule: null, roles: [], policyVersion: null, decisionId, durationUs: 1 }
}

const answer = (decision: Decision, request: AccessRequest = ordersRequest): CheckResponse__Output =>
  asEnvoyReads(writeCheckResponse(decision, request))

function headersOf({ ok_response, denied_response }: CheckResponse__Output): Record<string, string | undefined> {
  const headers = [...(ok_response?.headers ?? []), ...(denied_response?.headers ?? [])]
  return Object.fromEntries(headers.map(({ header }) => [header?.key ?? '', header?.value]))
}

function metadataOf({ dynamic_metadata }: CheckResponse__Output): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(dynamic_metadata?.fields ?? {}).map(([name, value]) => [
      name,
      value.stringValue ?? value.structValue,
    ]),
  )
}

const ruleMetadata = {
  fields: {
    file: { kind: 'stringValue', stringValue: 'policy.csv' },
    line: { kind: 'numberValue', numberValue: 12 },
    text: { kind: 'stringValue', stringValue: readRule.text },
  },
}

describe('an allow', () => {
  test('has code 0, and tells the service who called', () => {
    const read = answer(allow)
    expect(read.status).toEqual({ code: 0 })
    expect(read.http_response).toBe('ok_response')
    expect(headersOf(read)).toEqual({ 'x-countersign-decision-id': decisionId, 'x-countersign-principal': web })
    expect(read).not.toHaveProperty('denied_response')
  })

  test('names an anonymous caller', () => {
    expect(headersOf(answer(allow, requestFrom('')))['x-countersign-principal']).toBe('anonymous')
  })
})

/** HTTP status as `StatusCode` names it, and code of google.rpc.Code. */
const statuses: Readonly<Record<DenyReason, readonly [string, number]>> = {
  DENIED_BY_RULE: ['Forbidden', 7],
  NO_MATCHING_RULE: ['Forbidden', 7],
  PRINCIPAL_MISSING: ['Forbidden', 7],
  PRINCIPAL_INVALID: ['Forbidden', 7],
  TRUST_DOMAIN_UNKNOWN: ['Forbidden', 7],
  REQUEST_MALFORMED: ['Forbidden', 7],
  PATH_SUSPICIOUS: ['Forbidden', 7],
  DECISION_FAULT: ['Forbidden', 7],
  USER_TOKEN_INVALID: ['Unauthorized', 16],
  USER_TOKEN_EXPIRED: ['Unauthorized', 16],
  POLICY_UNAVAILABLE: ['ServiceUnavailable', 14],
  AUDIT_UNAVAILABLE: ['ServiceUnavailable', 14],
  OVERLOADED: ['ServiceUnavailable', 14],
}

describe('a deny', () => {
  test('is known for every reason', () => {
    expect([...Object.keys(statuses), 'ALLOWED_BY_RULE'].sort()).toEqual(Object.keys(reasons).sort())
  })

  test.each(Object.entries(statuses) as [DenyReason, [string, number]][])('%s: %j', (reason, [http, grpc]) => {
    const read = answer(deny(reason))
    expect(read.status).toEqual({ code: grpc, message: reason })
    expect(read.http_response).toBe('denied_response')
    expect(read.denied_response?.status).toEqual({ code: http })
    expect(headersOf(read)).toEqual({ 'content-type': 'application/json', 'x-countersign-decision-id': decisionId })
    expect(JSON.parse(read.denied_response?.body ?? '')).toEqual({ decisionId, reason })
    expect(read).not.toHaveProperty('ok_response')
  })

  test('keeps its detail and its rule from the client', () => {
    const read = answer({ ...deny('DENIED_BY_RULE'), rule: readRule, detail: 'secret detail' } as Decision)
    expect(JSON.stringify(read.denied_response)).not.toMatch(/policy\.csv|secret detail/)
    expect(JSON.stringify(read)).not.toContain('secret detail')
  })
})

describe('the dynamic metadata', () => {
  test('of an allow holds all of the decision', () => {
    expect(metadataOf(answer(allow))).toEqual({
      ...{ decisionId, effect: 'allow', reason: 'ALLOWED_BY_RULE', principal: web, protocol: 'http', policyVersion },
      ...{ path: '/orders/1', rule: ruleMetadata },
    })
  })

  test('of a deny leaves out what there is not', () => {
    expect(metadataOf(answer(deny('POLICY_UNAVAILABLE'), { ...ordersRequest, resource: { query: [] } }))).toEqual({
      ...{ decisionId, effect: 'deny', reason: 'POLICY_UNAVAILABLE', principal: web, protocol: 'http' },
    })
  })

  test.each([
    ['', 'PRINCIPAL_MISSING', 'anonymous'],
    ['spiffe://foreign.example/web', 'TRUST_DOMAIN_UNKNOWN', 'spiffe://foreign.example/web'],
    ['CN=web', 'PRINCIPAL_INVALID', undefined],
    ['spiffe://cluster.local', 'PRINCIPAL_INVALID', undefined],
  ] as const)('of a caller that presents %j (%s) names %j', (principal, reason, expected) => {
    expect(metadataOf(answer(deny(reason), requestFrom(principal)))['principal']).toBe(expected)
  })

  test('repeats no path that would fill Envoy’s buffer', () => {
    const path = `/${'é'.repeat(600)}`
    const request = { ...ordersRequest, resource: { ...ordersRequest.resource, path } }
    expect(metadataOf(answer(deny('NO_MATCHING_RULE'), request))).not.toHaveProperty('path')
  })
})

const anyDecision: fc.Arbitrary<Decision> = fc.oneof(
  fc.constant(allow),
  fc.constantFrom(...(Object.keys(statuses) as DenyReason[])).map(deny),
)

describe('any answer', () => {
  test('overwrites headers instead of adding to what the client sent', () => {
    fc.assert(
      fc.property(anyDecision, anyRequest, (decision, request) => {
        const { ok_response, denied_response } = answer(decision, request)
        const headers = [...(ok_response?.headers ?? []), ...(denied_response?.headers ?? [])]
        expect(headers).toHaveLength(2)
        // A false BoolValue has no content: what matters is that it is there.
        expect(headers.map(({ append }) => append?.value ?? false)).toEqual([false, false])
        expect(headers.every(({ append }) => append !== undefined)).toBe(true)
      }),
    )
  })

  test('can be encoded, has code 0 for an allow and nothing else, and carries the decision id three times', () => {
    fc.assert(
      fc.property(anyDecision, anyRequest, (decision, request) => {
        const read = answer(decision, request)
        expect((read.status?.code ?? 0) === 0).toBe(decision.effect === 'allow')
        expect(metadataOf(read)).toMatchObject({ decisionId, effect: decision.effect, reason: decision.reason })
        expect(headersOf(read)['x-countersign-decision-id']).toBe(decisionId)
      }),
    )
  })

  test('has only header values that Envoy takes', () => {
    fc.assert(
      fc.property(anyDecision, anyRequest, (decision, request) => {
        for (const value of Object.values(headersOf(answer(decision, request)))) expect(value).toMatch(/^[!-~]+$/)
      }),
    )
  })
})
