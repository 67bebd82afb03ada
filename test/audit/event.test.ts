import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { DecisionData } from '../../src/audit/event-data.ts'
import { accessEvent, decisionEvent, eventTypes, type AccessFacts } from '../../src/audit/event.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { auditUnavailable, decide } from '../../src/decision/decide.ts'
import { anyRequest, ordersRequest, requestFrom } from '../cases/access-requests.ts'
import { recordLine } from '../cases/place.ts'
import { allowed, policyVersion, readRule, ruleSetThat } from '../cases/rule-sets.ts'
import { expectValidRecord } from '../contract/event-schema.ts'

const decisionId = '019aa5d5-76fb-7000-8000-000000000001'
const ownId = '019aa5d5-76fb-7000-8000-000000000002'
const secret = '9f86d081884c7d659a2feaa0c55ad015'
const allowing = ruleSetThat(() => allowed)

function decisionOn(request: AccessRequest, anonymous: 'deny' | 'pass' = 'deny') {
  return decide(request, allowing, { decisionId, nowUs: () => 0, anonymous })
}

function dataOf(request: AccessRequest, anonymous: 'deny' | 'pass' = 'deny'): DecisionData {
  const event = decisionEvent(request, decisionOn(request, anonymous))
  expectValidRecord(recordLine(event))
  return event.data as DecisionData
}

function withResource(resource: Partial<AccessRequest['resource']>): AccessRequest {
  return { ...ordersRequest, resource: { ...ordersRequest.resource, ...resource } }
}

describe('decisionEvent', () => {
  test('has the decision id as its id, and the caller as its subject', () => {
    expect(decisionEvent(ordersRequest, decisionOn(ordersRequest))).toMatchObject({
      id: decisionId,
      type: eventTypes.decision,
      subject: 'spiffe://cluster.local/ns/shop/sa/web',
      time: ordersRequest.time,
      traceparent: ordersRequest.context.traceparent,
      data: { decisionId, effect: 'allow', rule: readRule, policyVersion, supersedes: false, anomalies: [] },
    })
  })

  test('has an id of its own where it supersedes another', () => {
    const late = auditUnavailable(decisionOn(ordersRequest))
    const event = decisionEvent(ordersRequest, late, { id: ownId })
    expect(event).toMatchObject({ id: ownId, data: { decisionId, supersedes: true, effect: 'deny', rule: null } })
    expectValidRecord(recordLine(event))
  })

  test('says null for everything that Envoy did not say', () => {
    const request: AccessRequest = {
      time: ordersRequest.time,
      subject: { peer: { kind: 'missing' } },
      action: { protocol: 'tcp' },
      resource: { query: [] },
      context: {},
      pep: { address: '10.1.2.9' },
    }
    expect(dataOf(request)).toMatchObject({
      subject: { trustDomain: null, namespace: null, serviceAccount: null, user: null, via: null, address: null },
      pep: { principal: null },
      action: { method: null, rpc: null },
      resource: { principal: null, host: null, path: null, port: null, query: [] },
      context: { requestId: null, traceId: null, spanId: null, userAgent: null, extensions: {} },
    })
  })

  test('names the subject of a foreign trust domain, as far as it is known', () => {
    const request = requestFrom('spiffe://foreign.example/ns/shop/sa/web')
    expect(decisionEvent(request, decisionOn(request)).subject).toBe('spiffe://foreign.example/ns/shop/sa/web')
    expect(dataOf(request).subject).toMatchObject({ trustDomain: 'foreign.example', namespace: 'shop' })
  })

  test.each([
    ['', 'anonymous'],
    ['CN=web', 'CN=web'],
    ['spiffe://cluster.local', 'spiffe://cluster.local'],
  ])('has no subject for a caller that presents %j, and %j as its principal', (presented, principal) => {
    const request = requestFrom(presented)
    expect(decisionEvent(request, decisionOn(request))).not.toHaveProperty('subject')
    expect(dataOf(request).subject).toMatchObject({ principal, trustDomain: null })
  })

  test('masks a secret in the path, and says so', () => {
    const data = dataOf(withResource({ path: `/reset/${secret}` }))
    expect(data).toMatchObject({ resource: { path: '/reset/[masked]' }, redacted: ['resource.path'] })
  })

  test('masks a secret in the gRPC method, and says so', () => {
    const data = dataOf({ ...ordersRequest, action: { protocol: 'grpc', rpc: `shop.Orders/${secret}` } })
    expect(data).toMatchObject({ action: { rpc: 'shop.Orders/[masked]' }, redacted: ['action.rpc'] })
  })

  test('masks a secret that stands for the name of a query parameter, and says so', () => {
    const data = dataOf(withResource({ query: ['page', secret] }))
    expect(data).toMatchObject({ resource: { query: ['page', '[masked]'] }, redacted: ['resource.query'] })
  })

  test('names nothing as redacted where nothing is', () => {
    expect(dataOf(ordersRequest)).not.toHaveProperty('redacted')
  })

  test.each([
    '',
    '00',
    `00-${'a'.repeat(32)}-${'b'.repeat(16)}`,
    `00-${'A'.repeat(32)}-${'b'.repeat(16)}-01`,
    'x'.repeat(70_000),
  ])('leaves out the traceparent %j, which is not well formed', (traceparent) => {
    const request = { ...ordersRequest, context: { traceparent } }
    expect(decisionEvent(request, decisionOn(request))).not.toHaveProperty('traceparent')
  })

  test('keeps what is only for the operational log out of the trail', () => {
    const request: AccessRequest = {
      ...ordersRequest,
      refusal: { reason: 'PATH_SUSPICIOUS', detail: 'not for the trail' },
    }
    expect(recordLine(decisionEvent(request, decisionOn(request)))).not.toContain('not for the trail')
  })

  test('holds every token that the policy saw as it saw it, or names it as redacted', () => {
    fc.assert(
      fc.property(anyRequest, (request) => {
        const rules = ruleSetThat(() => allowed)
        const decision = decide(request, rules, { decisionId, nowUs: () => 0, anonymous: 'pass' })
        const { data } = expectValidRecord(recordLine(decisionEvent(request, decision))) as { data: DecisionData }
        const { sub, dst, host, obj, act, rpc, port, protocol } = rules.asked[0] ?? {}
        const seen = { sub, dst, host, obj, act, rpc, port, protocol }
        for (const [token, value] of Object.entries(seen)) {
          if (value !== undefined) expect([value, 'redacted']).toContain(valueOf(data, token as keyof typeof seen))
        }
      }),
      { numRuns: 50 },
    )
  })
})

function valueOf(data: DecisionData, token: 'sub' | 'dst' | 'host' | 'obj' | 'act' | 'rpc' | 'port' | 'protocol') {
  const { subject, action, resource } = data
  const [path, value] = {
    sub: ['subject.principal', subject.principal],
    dst: ['resource.principal', resource.principal],
    host: ['resource.host', resource.host],
    obj: ['resource.path', resource.path],
    act: ['action.method', action.method],
    rpc: ['action.rpc', action.rpc],
    port: ['resource.port', String(resource.port)],
    protocol: ['action.protocol', action.protocol],
  }[token] as [string, string | null]
  return data.redacted?.includes(path) === true ? 'redacted' : value
}

describe('accessEvent', () => {
  const facts: AccessFacts = {
    ...ordersRequest,
    id: ownId,
    peer: ordersRequest.subject.peer,
    joined: { decisionId: null, mediation: null, effect: null, reason: null, rule: null, policyVersion: null },
    phase: 'end',
    outcome: {
      status: null,
      grpcStatus: null,
      flags: [],
      details: null,
      final: null,
      bytesReceived: 0,
      bytesSent: 0,
      durationMs: null,
      upstream: { cluster: null, address: null, attempts: null },
    },
    envoy: { node: null, cluster: null, logName: null, direction: 'outbound', streamId: null, entry: 'DownstreamEnd' },
  }

  test('is valid where Envoy said almost nothing', () => {
    const event = accessEvent({ ...facts, peer: { kind: 'missing' }, resource: { query: [] }, context: {} })
    expect(expectValidRecord(recordLine(event))).not.toHaveProperty('subject')
  })

  test('takes over the decision that it is joined with', () => {
    const joined = {
      decisionId,
      mediation: 'checked',
      effect: 'allow',
      reason: 'ALLOWED_BY_RULE',
      rule: readRule,
      policyVersion,
    } as const
    expect(expectValidRecord(recordLine(accessEvent({ ...facts, joined })))).toMatchObject({ id: ownId, data: joined })
  })

  test('masks secrets as a decision does', () => {
    const event = accessEvent({ ...facts, resource: { path: `/reset/${secret}`, query: [secret] } })
    expect(event.data).toMatchObject({ redacted: ['resource.path', 'resource.query'] })
    expect(recordLine(event)).not.toContain(secret)
  })
})
