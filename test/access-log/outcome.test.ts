import { describe, expect, test } from '@jest/globals'
import { flagsOf, httpOutcome, tcpOutcome } from '../../src/access-log/outcome.ts'
import type { AccessLogCommon } from '../../src/wire/envoy/data/accesslog/v3/AccessLogCommon.ts'
import type { HTTPResponseProperties } from '../../src/wire/envoy/data/accesslog/v3/HTTPResponseProperties.ts'
import type { ResponseFlags, ResponseFlags__Output } from '../../src/wire/envoy/data/accesslog/v3/ResponseFlags.ts'
import { methodOf, loadOurs } from '../contract/proto-schema.ts'
import { httpAccess, servedEntry, tcpAccess } from './entries.ts'

const httpFinal = (response: HTTPResponseProperties, response_flags: ResponseFlags = {}): unknown =>
  httpAccess(servedEntry({ response_flags }, { response })).outcome.final

const answered = (value: number, response_code_details: string, grpcStatus?: string): HTTPResponseProperties => ({
  response_code: { value },
  response_code_details,
  ...(grpcStatus === undefined ? {} : { response_headers: { 'grpc-status': grpcStatus } }),
})

const external: ResponseFlags = { unauthorized_details: { reason: 'EXTERNAL_SERVICE' } }

describe('how an HTTP request ended', () => {
  test.each<[string, HTTPResponseProperties, ResponseFlags, string]>([
    ['the upstream answered', answered(200, 'via_upstream'), {}, 'served'],
    ['the upstream answered an error of its own', answered(500, 'via_upstream'), {}, 'served'],
    ['the upstream itself refused', answered(403, 'via_upstream'), {}, 'served'],
    [
      'the upstream answered after a retry',
      answered(200, 'via_upstream'),
      { upstream_retry_limit_exceeded: true },
      'served',
    ],
    ['Envoy answered by itself', answered(200, 'direct_response'), {}, 'served'],
    [
      'the client left during the answer',
      answered(200, 'downstream_remote_disconnect'),
      { downstream_connection_termination: true },
      'served',
    ],
    ['we denied', answered(403, 'ext_authz_denied'), external, 'refused'],
    ['we denied a gRPC call', answered(200, 'ext_authz_denied', '7'), external, 'refused'],
    ['Envoy failed closed', answered(503, 'ext_authz_error'), external, 'refused'],
    ['Istio’s RBAC denied', answered(403, 'rbac_access_denied_matched_policy[ns[a]]'), {}, 'refused'],
    ['Istio’s RBAC denied a gRPC call', answered(200, 'rbac_access_denied_matched_policy[none]', '7'), {}, 'refused'],
    ['Istio found no valid token', answered(401, 'jwt_authn_access_denied{Jwt_is_missing}'), {}, 'refused'],
    ['a rate limit held', answered(429, 'request_rate_limited'), { rate_limited: true }, 'refused'],
    ['another filter refused', answered(403, 'csrf_origin_mismatch'), {}, 'refused'],
    ['another filter refused a gRPC call', answered(200, 'lua_response', '16'), {}, 'refused'],
    ['another filter failed a gRPC call', answered(200, 'lua_response', '13'), {}, 'failed'],
    ['the path was not accepted', answered(400, 'path_normalization_failed'), {}, 'refused'],
    ['there was no route', answered(404, 'route_not_found'), { no_route_found: true }, 'failed'],
    ['there was no route for a gRPC call', answered(200, 'route_not_found', '12'), { no_route_found: true }, 'failed'],
    ['there was no healthy upstream', answered(503, 'no_healthy_upstream'), { no_healthy_upstream: true }, 'failed'],
    ['the upstream was too slow', answered(504, 'response_timeout'), { upstream_request_timeout: true }, 'failed'],
    [
      'the upstream broke off',
      answered(200, 'upstream_reset_after_response_started{x}'),
      { upstream_remote_reset: true },
      'failed',
    ],
    ['Envoy was overloaded', answered(503, 'overload'), { overload_manager: true }, 'failed'],
    ['a fault was injected', answered(503, 'fault_filter_abort'), { fault_injected: true }, 'failed'],
    [
      'the client left before an answer',
      { response_code_details: 'downstream_remote_disconnect' },
      { downstream_connection_termination: true },
      'failed',
    ],
    [
      'the client left, and Envoy wrote 499',
      answered(499, 'downstream_remote_disconnect'),
      { downstream_connection_termination: true },
      'failed',
    ],
    [
      'the client reset the stream',
      answered(499, 'downstream_remote_disconnect'),
      { downstream_remote_reset: true },
      'failed',
    ],
    ['nothing was said', {}, {}, 'failed'],
    ['no details were said', { response_code: { value: 200 } }, {}, 'served'],
  ])('%s: %4$s', (_, response, flags, final) => {
    expect(httpFinal(response, flags)).toBe(final)
  })

  test.each([0, 7, 99, 1000, 0xffff_ffff])('has no status where Envoy writes %d', (value) => {
    expect(httpAccess(servedEntry({}, { response: { response_code: { value } } })).outcome.status).toBeNull()
  })

  test('is not told of an entry that is not the last', () => {
    expect(httpOutcome({ response: { response_code: { value: 200 } } }, 'start').final).toBeNull()
    expect(tcpOutcome({}, 'periodic').final).toBeNull()
  })
})

describe('how a TCP connection ended', () => {
  test.each<[string, AccessLogCommon, string]>([
    ['in order', {}, 'served'],
    ['because the client left', { response_flags: { downstream_connection_termination: true } }, 'served'],
    ['because we denied', { response_flags: external }, 'refused'],
    ['because a rate limit held', { response_flags: { rate_limited: true } }, 'refused'],
    [
      'because Istio’s RBAC denied',
      { connection_termination_details: 'rbac_access_denied_matched_policy[none]' },
      'refused',
    ],
    ['because the authorizer closed it', { connection_termination_details: 'ext_authz_close' }, 'refused'],
    ['because the upstream could not be reached', { response_flags: { upstream_connection_failure: true } }, 'failed'],
    ['because there was no route', { response_flags: { no_route_found: true } }, 'failed'],
  ])('%s: %2$s', (_, common_properties, final) => {
    expect(tcpAccess({ common_properties }).outcome.final).toBe(final)
  })
})

describe('the status of a gRPC call', () => {
  const status = (response: HTTPResponseProperties): unknown => httpAccess({ response }).outcome.grpcStatus

  test('stands in the trailers, or in the headers of an answer that has no body', () => {
    expect(status({ response_trailers: { 'grpc-status': '0' } })).toBe(0)
    expect(status({ response_headers: { 'grpc-status': '7' } })).toBe(7)
    expect(status({ response_headers: { 'grpc-status': '0' }, response_trailers: { 'grpc-status': '13' } })).toBe(13)
  })

  test.each(['', '-1', 'x', '1.5', '99999', '0,0', ' 7'])('is none where the header has %j', (text) => {
    expect(status({ response_trailers: { 'grpc-status': text } })).toBeNull()
  })

  test('is none where nobody logs it', () => {
    expect(status({})).toBeNull()
  })
})

describe('the duration', () => {
  const ms = (common_properties: AccessLogCommon): unknown => httpAccess({ common_properties }).outcome.durationMs

  test('is in milliseconds, to the microsecond', () => {
    expect(ms({ duration: { seconds: 2, nanos: 1_234_567 } })).toBe(2001.235)
    expect(ms({ duration: {} })).toBe(0)
  })

  test('is the time to the last byte where Envoy does not say the whole', () => {
    expect(ms({ time_to_last_downstream_tx_byte: { nanos: 5_000_000 } })).toBe(5)
    expect(ms({})).toBeNull()
  })

  test('is none where it would be negative', () => {
    expect(ms({ duration: { seconds: -1 } })).toBeNull()
    expect(ms({ duration: { nanos: -1_000_000 } })).toBeNull()
  })
})

describe('the flags', () => {
  test('have Envoy’s short names', () => {
    expect(flagsOf({ unauthorized_details: {}, no_route_found: true, fault_injected: false })).toEqual(['UAEX', 'NR'])
    expect(flagsOf(undefined)).toEqual([])
  })

  test('are known for each that proto/ defines, and no two have the same name', () => {
    const all: ResponseFlags__Output = {}
    const log = methodOf<object, object>(loadOurs(), 'envoy.service.accesslog.v3.AccessLogService', 'StreamAccessLogs')
    // Every number up to the last, set: a bool's true and an empty message are told apart by what the field is.
    for (let field = 1; field <= 28; field += 1) {
      const flags = field === 13 ? Buffer.from([0x6a, 0]) : Buffer.from([...varint(field << 3), 1])
      const common = Buffer.from([0x82, 0x01, flags.length, ...flags])
      const entry = Buffer.from([0x0a, common.length, ...common])
      const list = Buffer.from([0x0a, entry.length, ...entry])
      const message = log.requestDeserialize(Buffer.from([0x12, list.length, ...list])) as {
        http_logs: { log_entry: { common_properties: { response_flags: ResponseFlags__Output } }[] }
      }
      Object.assign(all, message.http_logs.log_entry[0]?.common_properties.response_flags)
    }
    const names = flagsOf(all)
    expect(names).toHaveLength(28)
    expect(new Set(names).size).toBe(28)
    expect(names.filter((name) => typeof name !== 'string')).toEqual([])
  })
})

describe('the upstream', () => {
  test.each<[AccessLogCommon, string | null]>([
    [{ upstream_remote_address: { socket_address: { address: '10.1.2.9', port_value: 8080 } } }, '10.1.2.9:8080'],
    [{ upstream_remote_address: { socket_address: { address: '2001:db8::1', port_value: 80 } } }, '[2001:db8::1]:80'],
    [{ upstream_remote_address: { socket_address: { address: '10.1.2.9' } } }, '10.1.2.9'],
    [{ upstream_remote_address: { pipe: { path: '/run/app.sock' } } }, '/run/app.sock'],
    [{ upstream_remote_address: { envoy_internal_address: { server_listener_name: 'inner' } } }, null],
    [{ upstream_remote_address: { socket_address: {} } }, null],
    [{}, null],
  ])('of %j is %j', (common_properties, address) => {
    expect(httpAccess({ common_properties }).outcome.upstream.address).toBe(address)
  })
})

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, value >> 7]
}
