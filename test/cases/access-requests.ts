import fc from 'fast-check'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { identifyPeer } from '../../src/identity/principal.ts'
import type { TrustDomain } from '../../src/identity/trust-domain.ts'

export const acceptedDomains: ReadonlySet<TrustDomain> = new Set(['cluster.local' as TrustDomain])

/** A GET of orders by the web workload, the request of the documentation's examples. */
export const ordersRequest: AccessRequest = {
  time: new Date('2026-11-22T10:00:00.123Z'),
  subject: { peer: identifyPeer('spiffe://cluster.local/ns/shop/sa/web', acceptedDomains), address: '10.1.2.3' },
  action: { protocol: 'http', method: 'GET' },
  resource: {
    principal: 'spiffe://cluster.local/ns/shop/sa/orders',
    host: 'orders.shop',
    path: '/orders/1',
    port: 8443,
    query: ['page'],
  },
  context: {
    requestId: '5ff3a4a4-25b8-4d5c-a0f6-1f0d1ef65b2b',
    traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
    spanId: '00f067aa0ba902b7',
    userAgent: 'curl/8.9.1',
  },
  pep: { principal: 'spiffe://cluster.local/ns/shop/sa/orders', address: '10.1.2.9' },
}

/** The orders request from a caller that presents `principal`. */
export function requestFrom(principal: string): AccessRequest {
  return { ...ordersRequest, subject: { peer: identifyPeer(principal, acceptedDomains) } }
}

/** Text that somebody hostile may send: any UTF-16, lone surrogates and line separators included, at times very long. */
export const hostileText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('\ud800', '\udfff', '\u2028', '\u0085', '\ufffd', '"', '\\', '\n', '\0', '😀', 'ä', '/') }),
  fc.tuple(fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }), fc.integer({ min: 1, max: 20_000 })).map(
    ([text, times]) => text.repeat(times),
  ),
)

/** Any request that the types allow, hostile ones among them. */
export const anyRequest: fc.Arbitrary<AccessRequest> = fc.record(
  {
    time: fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true }),
    subject: fc.record(
      { peer: anyPrincipal().map((text) => identifyPeer(text, acceptedDomains)), address: hostileText },
      { requiredKeys: ['peer'] },
    ),
    action: fc.record(
      { protocol: fc.constantFrom('http', 'grpc', 'tcp'), method: hostileText, rpc: hostileText },
      { requiredKeys: ['protocol'] },
    ),
    resource: fc.record(
      {
        principal: hostileText,
        host: hostileText,
        path: hostileText,
        port: fc.integer({ min: 0, max: 65_535 }),
        query: fc.oneof(
          fc.array(hostileText, { maxLength: 20 }),
          fc.tuple(hostileText, fc.integer({ min: 1, max: 3000 })).map(([name, times]) => Array<string>(times).fill(name.slice(0, 300))),
        ),
      },
      { requiredKeys: ['query'] },
    ),
    context: fc.record(
      { requestId: hostileText, traceparent: hostileText, traceId: hostileText, spanId: hostileText, userAgent: hostileText },
      { requiredKeys: [] },
    ),
    pep: fc.record({ principal: hostileText, address: hostileText }, { requiredKeys: ['address'] }),
    refusal: fc.record({ reason: fc.constantFrom('REQUEST_MALFORMED', 'PATH_SUSPICIOUS'), detail: hostileText }),
  },
  { requiredKeys: ['time', 'subject', 'action', 'resource', 'context', 'pep'] },
)

function anyPrincipal(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('', 'anonymous', 'spiffe://cluster.local/ns/shop/sa/web', 'spiffe://foreign.example/web', 'spiffe://cluster.local'),
    hostileText,
  )
}
