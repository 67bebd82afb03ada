import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { unknownLogger } from '../../src/access-log/logger.ts'
import { normalizeHttp, normalizeTcp } from '../../src/access-log/normalize.ts'
import type { AccessLogCommon } from '../../src/wire/envoy/data/accesslog/v3/AccessLogCommon.ts'
import type { HTTPRequestProperties } from '../../src/wire/envoy/data/accesslog/v3/HTTPRequestProperties.ts'
import { policyVersion, readRule } from '../cases/rule-sets.ts'
import { anyLogMessage } from './any-log-message.ts'
import {
  answer,
  decisionId,
  entryId,
  httpAccess,
  metadata,
  now,
  onTheWire,
  orders,
  parts,
  servedEntry,
  sidecar,
  tcpAccess,
  tcpFilter,
  text,
  validData,
  web,
} from './entries.ts'

const withRequest = (request: HTTPRequestProperties, common: AccessLogCommon = {}) =>
  httpAccess(servedEntry(common, { request }))

describe('an HTTP entry', () => {
  test('becomes the access with its decision, its outcome and its Envoy', () => {
    expect(httpAccess(servedEntry())).toEqual({
      decisionId,
      phase: 'end',
      mediation: 'checked',
      effect: 'allow',
      reason: 'ALLOWED_BY_RULE',
      rule: readRule,
      policyVersion,
      subject: {
        ...{ principal: web, trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
        ...{ user: null, via: null, address: '10.1.2.3' },
      },
      action: { protocol: 'http', method: 'GET', rpc: null },
      resource: { principal: orders, host: 'orders.shop', path: '/orders/1', port: 8443, query: ['fields'] },
      context: {
        ...{ requestId: '5ff3a4a4-25b8-4d5c-a0f6-1f0d1ef65b2b', traceId: null, spanId: null },
        ...{ userAgent: 'curl/8', extensions: {} },
      },
      outcome: {
        ...{ status: 200, grpcStatus: null, flags: [], details: 'via_upstream', final: 'served' },
        ...{ bytesReceived: 160, bytesSent: 156, durationMs: 1033.9 },
        upstream: { cluster: 'inbound|8443||', address: '10.1.2.9:8080', attempts: 1 },
      },
      envoy: {
        ...sidecar,
        ...{ direction: 'inbound', streamId: '5ff3a4a4-25b8-4d5c-a0f6-1f0d1ef65b2b', entry: 'DownstreamEnd' },
      },
    })
  })

  test('that says nothing at all becomes an access of which nothing is known', () => {
    expect(httpAccess({}, unknownLogger)).toEqual({
      ...{ decisionId: null, phase: 'end', mediation: 'unchecked', effect: null, reason: null, rule: null },
      policyVersion: null,
      subject: {
        ...{ principal: 'anonymous', trustDomain: null, namespace: null, serviceAccount: null },
        ...{ user: null, via: null, address: null },
      },
      action: { protocol: 'http', method: null, rpc: null },
      resource: { principal: null, host: null, path: null, port: null, query: [] },
      context: { requestId: null, traceId: null, spanId: null, userAgent: null, extensions: {} },
      outcome: {
        ...{ status: null, grpcStatus: null, flags: [], details: null, final: 'failed' },
        ...{ bytesReceived: 0, bytesSent: 0, durationMs: null },
        upstream: { cluster: null, address: null, attempts: null },
      },
      envoy: {
        ...{ node: null, cluster: null, logName: null },
        ...{ direction: 'inbound', streamId: null, entry: 'NotSet' },
      },
    })
  })

  test('tells when the request began, and who says so', () => {
    const [entry = {}] = onTheWire({ http_logs: { log_entry: [servedEntry()] } }).http_logs?.log_entry ?? []
    const event = normalizeHttp(entry, sidecar, parts)
    expect(event).toMatchObject({ id: entryId, time: new Date('2026-11-22T10:00:00.123Z'), subject: web })
    expect(normalizeHttp({}, sidecar, parts)).toMatchObject({ id: entryId, time: now })
    const late = { common_properties: { start_time: { seconds: 253_402_300_800 } } }
    expect(normalizeHttp(late, sidecar, parts).time).toEqual(now)
  })

  test('takes the physical peer for the caller’s address, and the forwarded one only where there is no other', () => {
    expect(httpAccess(servedEntry()).subject.address).toBe('10.1.2.3')
    const forwarded = { socket_address: { address: '203.0.113.9', port_value: 1 } }
    const only = { common_properties: { downstream_remote_address: forwarded } }
    expect(httpAccess(only).subject.address).toBe('203.0.113.9')
  })

  test('names a caller by the first URI of its certificate', () => {
    const names = [{ dns: 'web.shop' }, { uri: web }, { uri: 'spiffe://cluster.local/ns/shop/sa/admin' }]
    const tls_properties = { peer_certificate_properties: { subject_alt_name: names } }
    expect(httpAccess(servedEntry({ tls_properties })).subject).toMatchObject({ principal: web, serviceAccount: 'web' })
    expect(httpAccess(servedEntry({ tls_properties })).resource.principal).toBeNull()
  })

  test('of a gRPC call is known by its decision, or by its logged content type', () => {
    const request: HTTPRequestProperties = { request_method: 'POST', path: '/shop.Orders/Get' }
    const action = { protocol: 'grpc', method: 'POST', rpc: 'shop.Orders/Get' }
    const decided = { ...answer, protocol: text('grpc'), path: text('/shop.Orders/Get') }
    expect(withRequest(request, { metadata: metadata(decided) }).action).toEqual(action)
    const logged = { ...request, request_headers: { 'content-type': 'application/grpc' } }
    expect(withRequest(logged, { metadata: {} }).action).toEqual(action)
    expect(withRequest(request, { metadata: {} }).action).toEqual({ protocol: 'http', method: 'POST', rpc: null })
  })

  test.each([
    ['a method that Envoy has no name for', 0],
    ['a method that proto/ has no name for', 77],
  ])('keeps no name of %s', (_, request_method) => {
    expect(withRequest({ request_method: request_method as 0 }).action.method).toBeNull()
  })

  test('takes the request id from the entry, from the logged header, or from the stream', () => {
    const request_headers = { 'x-request-id': 'header' }
    expect(withRequest({ request_id: 'entry', request_headers }, { stream_id: 'stream' }).context.requestId).toBe(
      'entry',
    )
    expect(withRequest({ request_headers }, { stream_id: 'stream' }).context.requestId).toBe('header')
    expect(withRequest({}, { stream_id: 'stream' }).context.requestId).toBe('stream')
  })

  test('ties itself to a trace by the logged traceparent', () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    expect(withRequest({ request_headers: { traceparent } }).context).toMatchObject({
      traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
      spanId: '00f067aa0ba902b7',
    })
  })

  test('never carries a value of the query, nor a header that is not on the list', () => {
    const request: HTTPRequestProperties = {
      path: '/orders?token=hunter2',
      forwarded_for: 'secret-for',
      request_headers: { authorization: 'Bearer secret', cookie: 'a=secret', 'x-api-key': 'secret' },
    }
    expect(JSON.stringify(withRequest(request))).not.toMatch(/hunter2|secret/)
  })
})

describe('the path of an access', () => {
  test('is the one that was decided upon, whatever Envoy’s routing made of it', () => {
    const request = { path: '/internal/orders/1?a=b', original_path: '/orders/1?a=b' }
    expect(withRequest(request).resource).toMatchObject({ path: '/orders/1', query: ['a'] })
  })

  // Envoy takes it from x-envoy-original-path, which sidecars (use_remote_address: false) leave as the caller sent it.
  test('is never taken from original_path, which a caller can forge', () => {
    const request = { path: '/admin/delete', original_path: '/orders/1' }
    expect(withRequest(request, { metadata: {} }).resource.path).toBe('/admin/delete')
    const { path: _, ...withoutPath } = answer
    expect(withRequest(request, { metadata: metadata(withoutPath) }).resource.path).toBe('/admin/delete')
  })

  test('is not taken from the metadata where that is no decision of ours', () => {
    const foreign = { decisionId: text('theirs'), path: text('/forged') }
    expect(withRequest({ path: '/real' }, { metadata: metadata(foreign) }).resource.path).toBe('/real')
  })
})

describe('a TCP entry', () => {
  const common: AccessLogCommon = {
    ...servedEntry().common_properties,
    access_log_type: 'TcpConnectionEnd',
    metadata: metadata({ ...answer, protocol: text('tcp') }, tcpFilter),
  }

  test('becomes the access with its decision and its bytes', () => {
    const entry = { common_properties: common, connection_properties: { received_bytes: 5, sent_bytes: 7 } }
    expect(tcpAccess(entry)).toMatchObject({
      ...{ decisionId, phase: 'end', mediation: 'checked', effect: 'allow', rule: readRule },
      subject: { principal: web, address: '10.1.2.3' },
      action: { protocol: 'tcp', method: null, rpc: null },
      resource: { principal: orders, host: null, path: null, port: 8443, query: [] },
      context: { requestId: null, userAgent: null },
      outcome: { status: null, grpcStatus: null, bytesReceived: 5, bytesSent: 7, final: 'served', durationMs: 1033.9 },
      envoy: { entry: 'TcpConnectionEnd', direction: 'inbound' },
    })
  })

  test.each([
    ['by its type', { ...common, metadata: metadata({}, tcpFilter) }],
    ['by its decision', { ...common, access_log_type: 'NotSet' as const }],
  ])('is known for one %s where a logger for HTTP sent it, as in Istio', (_, common_properties) => {
    const bytes = { request: { request_body_bytes: 5 }, response: { response_body_bytes: 7 } }
    expect(httpAccess({ common_properties, ...bytes })).toMatchObject({
      action: { protocol: 'tcp', method: null, rpc: null },
      resource: { principal: orders, host: null, path: null, port: 8443 },
      outcome: { status: null, bytesReceived: 5, bytesSent: 7, final: 'served' },
    })
  })

  test('that says nothing at all becomes an access of which nothing is known', () => {
    expect(tcpAccess({}, unknownLogger)).toMatchObject({
      ...{ decisionId: null, phase: 'end', mediation: 'unchecked' },
      action: { protocol: 'tcp' },
      outcome: { status: null, details: null, bytesReceived: 0, bytesSent: 0, durationMs: null },
      envoy: { node: null, entry: 'NotSet' },
    })
  })
})

const phases = [
  ['NotSet', 'end'],
  ['TcpUpstreamConnected', 'start'],
  ['TcpPeriodic', 'periodic'],
  ['TcpConnectionEnd', 'end'],
  ['DownstreamStart', 'start'],
  ['DownstreamPeriodic', 'periodic'],
  ['DownstreamEnd', 'end'],
  ['UpstreamPoolReady', 'start'],
  ['UpstreamPeriodic', 'periodic'],
  ['UpstreamEnd', 'periodic'],
  ['DownstreamTunnelSuccessfullyEstablished', 'start'],
  ['UdpTunnelUpstreamConnected', 'start'],
  ['UdpPeriodic', 'periodic'],
  ['UdpSessionEnd', 'end'],
] as const

describe('the phase of an entry', () => {
  test.each(phases)('of type %s is %s', (access_log_type, phase) => {
    const access = httpAccess(servedEntry({ access_log_type }))
    expect(access).toMatchObject({ phase, envoy: { entry: access_log_type } })
    expect(access.outcome.final === null).toBe(phase !== 'end')
    expect(tcpAccess({ common_properties: { access_log_type } }).phase).toBe(phase)
  })

  test.each([
    [true, 'periodic'],
    [false, 'end'],
  ])('of an Envoy that says only intermediate_log_entry: %j is %s', (intermediate_log_entry, phase) => {
    expect(httpAccess({ common_properties: { intermediate_log_entry } }).phase).toBe(phase)
  })

  test('of a type that is not known yet is end, so that no access is hidden', () => {
    const access = httpAccess(servedEntry({ access_log_type: 99 as 0 }))
    expect(access).toMatchObject({ phase: 'end', envoy: { entry: '99' } })
  })
})

test('any message becomes valid records, one for each entry', () => {
  fc.assert(
    fc.property(anyLogMessage, (message) => {
      const { http_logs, tcp_logs } = onTheWire(message)
      const events = [
        ...(http_logs?.log_entry ?? []).map((entry) => normalizeHttp(entry, sidecar, parts)),
        ...(tcp_logs?.log_entry ?? []).map((entry) => normalizeTcp(entry, sidecar, parts)),
      ]
      for (const data of events.map(validData)) {
        expect(data.mediation === 'checked').toBe(data.decisionId !== null && data.envoy.direction !== 'outbound')
        expect(data.outcome.final === null).toBe(data.phase !== 'end')
        if (data.decisionId === null) expect(data).toMatchObject({ effect: null, reason: null, rule: null })
      }
    }),
  )
})
