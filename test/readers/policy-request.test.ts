import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decisionEvent } from '../../src/audit/event.ts'
import { encodeEvent } from '../../src/audit/record.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { decide, policyRequest } from '../../src/decision/decide.ts'
import { reasons } from '../../src/decision/decision.ts'
import { policyTokens, type PolicyToken } from '../../src/decision/rule-set.ts'
import type { ParsedRecord } from '../../src/audit/chain.ts'
import { identifyPeer } from '../../src/identity/principal.ts'
import { readCheckRequest } from '../../src/check/read-request.ts'
import { recordedRequest, stageOf } from '../../src/readers/policy-request.ts'
import type { CheckRequest__Output } from '../../src/wire/envoy/service/auth/v3/CheckRequest.ts'
import { acceptedDomains, anyRequest, ordersRequest } from '../cases/access-requests.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'
import { anyCheckRequest } from '../check/any-check-request.ts'
import { idOf } from '../archive/trails.ts'

const tokens = Object.keys(policyTokens) as PolicyToken[]
const all: ReadonlySet<PolicyToken> = new Set(tokens)
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl'

/** Decides a request, records it, and reads the record's data as a reader does. */
function recorded(request: AccessRequest) {
  const rules = ruleSetThat(() => allowed)
  const decision = decide(request, rules, { decisionId: idOf(1), nowUs: () => 0, anonymous: 'pass' })
  const { data } = JSON.parse(`${encodeEvent(decisionEvent(request, decision))}}`) as ParsedRecord
  return { data, asked: rules.asked[0] }
}

function withPath(path: string): AccessRequest {
  return { ...ordersRequest, resource: { ...ordersRequest.resource, path } }
}

describe('what policy saw, read back from a record', () => {
  test('is what policy was asked, token by token', () => {
    const { data, asked } = recorded(ordersRequest)
    expect(recordedRequest(data, all)).toEqual({ request: asked })
    expect(asked).toMatchObject({ port: '8443', obj: '/orders/1', sub: 'spiffe://cluster.local/ns/shop/sa/web' })
  })

  test('names the anonymous subject', () => {
    const { data } = recorded({ ...ordersRequest, subject: { peer: identifyPeer('', acceptedDomains) } })
    expect(recordedRequest(data, all)).toMatchObject({ request: { sub: 'anonymous' } })
  })

  test('has the user, as the contract names it', () => {
    const { data } = recorded(ordersRequest)
    const subject = {
      ...(data['subject'] as object),
      user: { id: 'alice', issuer: 'https://login.example', claims: {} },
    }
    expect(recordedRequest({ ...data, subject }, all)).toMatchObject({ request: { user: 'alice' } })
  })

  test('is not to be had where a token that is read was masked, and is where nothing reads it', () => {
    const { data, asked } = recorded(withPath(`/reset/${jwt}`))
    expect(data['redacted']).toEqual(['resource.path'])
    expect(recordedRequest(data, all)).toEqual({ unreplayable: ['obj'] })
    const { obj: _, ...others } = asked ?? {}
    expect(recordedRequest(data, new Set<PolicyToken>(['sub', 'act']))).toEqual({ request: others })
  })

  test('is not to be had where a token that is read was cut', () => {
    const { data } = recorded(withPath(`/${'a/'.repeat(4000)}`))
    expect(recordedRequest(data, all)).toEqual({ unreplayable: ['obj'] })
  })

  test('does not mind a masked member that is no token', () => {
    const { data, asked } = recorded({ ...ordersRequest, resource: { ...ordersRequest.resource, query: [jwt] } })
    expect(data['redacted']).toEqual(['resource.query'])
    expect(recordedRequest(data, all)).toEqual({ request: asked })
  })

  test.each([
    [['resource'], ['dst', 'host', 'obj', 'port']],
    [['resource.*'], ['dst', 'host', 'obj', 'port']],
    [['subject.user'], ['user']],
    [['subject.principalName', 'resource.pathological'], undefined],
    [Array<string>(64).fill('context'), tokens],
    [['context', 'redacted'], tokens],
    ['resource.path', tokens],
  ])('takes the names %j for the tokens %j', (redacted, unreplayable) => {
    const { data } = recorded(ordersRequest)
    const read = recordedRequest({ ...data, redacted }, all)
    if (unreplayable === undefined) expect(read).toHaveProperty('request')
    else expect(read).toEqual({ unreplayable })
  })

  test.each([{}, { subject: null, action: 'GET', resource: [] }, { subject: { principal: {} } }])(
    'does not fail on data that is none of a decision: %j',
    (data) => {
      expect(recordedRequest(data, all)).toEqual({ request: {} })
    },
  )
})

/** Whether the record can hold a value of a token as policy saw it: short, and of whole characters. */
function isKept(value: string): boolean {
  return Buffer.byteLength(value) <= 4096 && value.isWellFormed()
}

/** A record that keeps every value gives back the same request; else exactly the changed tokens are named. */
function expectInverse(request: AccessRequest): void {
  const { data, asked } = recorded(request)
  if (asked === undefined) return
  const read = recordedRequest(data, all)
  const redacted = (data['redacted'] ?? []) as readonly string[]
  if ('request' in read) {
    expect(read.request).toEqual(asked)
    return
  }
  expect(redacted.length).toBeGreaterThan(0)
  const unkept = tokens.filter((token) => asked[token] !== undefined && !isKept(asked[token]))
  expect(read.unreplayable).toEqual(expect.arrayContaining(unkept))
  // What is left of the request, when nothing reads the changed tokens, is what policy saw.
  const others = new Set(tokens.filter((token) => !read.unreplayable.includes(token)))
  const rest = Object.fromEntries(Object.entries(asked).filter(([token]) => others.has(token as PolicyToken)))
  expect(recordedRequest(data, others)).toEqual({ request: rest })
}

describe('whatever is asked', () => {
  const peers = fc.constantFrom('', 'spiffe://cluster.local/ns/shop/sa/web', 'spiffe://cluster.local/db')
  const decidable = fc.tuple(anyRequest, peers).map(([{ refusal: _, ...request }, peer]) => {
    return { ...request, subject: { ...request.subject, peer: identifyPeer(peer, acceptedDomains) } }
  })

  test('the record gives back what policy saw, or names the tokens that were changed', () => {
    fc.assert(fc.property(decidable, expectInverse), { numRuns: 1000 })
  }, 180_000)

  test('so does the record of whatever Envoy sends', () => {
    const reading = { trustDomains: acceptedDomains, allowedPaths: new Set<never>(), now: () => new Date(0) }
    const envoys = anyCheckRequest.map((message) => {
      return readCheckRequest({ message: message as CheckRequest__Output, pep: { address: '10.0.0.1' } }, reading)
    })
    fc.assert(fc.property(envoys, expectInverse), { numRuns: 1000 })
  }, 180_000)

  test('a token is called changed exactly where the record does not hold it as policy saw it', () => {
    fc.assert(
      fc.property(decidable, (request) => {
        const { data } = recorded(request)
        const read = recordedRequest(data, all)
        const lost: readonly PolicyToken[] = 'unreplayable' in read ? read.unreplayable : []
        const { resource, action } = data as Record<string, Record<string, unknown> | null>
        const asked = policyRequest(request)
        const shown = {
          obj: resource?.['path'],
          host: resource?.['host'],
          dst: resource?.['principal'],
          act: action?.['method'],
          rpc: action?.['rpc'],
        }
        // A part that had to be left out as a whole takes its absent members with it.
        if (resource === null || action === null) return
        for (const [token, value] of Object.entries(shown)) {
          const same = (value ?? '') === (asked[token as PolicyToken] ?? '')
          expect([token, lost.includes(token as PolicyToken)]).toEqual([token, !same])
        }
      }),
      { numRuns: 1000 },
    )
  }, 180_000)
})

describe('who decided', () => {
  test('is known of every reason', () => {
    const stages = Object.keys(reasons).map(stageOf)
    expect(new Set(stages)).toEqual(new Set(['policy', 'before-policy', 'no-answer']))
  })

  test('is not guessed of others', () => {
    expect(['NEW_REASON', 'toString', null, 7].map(stageOf)).toEqual([undefined, undefined, undefined, undefined])
  })
})
