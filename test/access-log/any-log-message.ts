import fc from 'fast-check'
import type { AccessLogCommon } from '../../src/wire/envoy/data/accesslog/v3/AccessLogCommon.ts'
import type { HTTPAccessLogEntry } from '../../src/wire/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts'
import type { TCPAccessLogEntry } from '../../src/wire/envoy/data/accesslog/v3/TCPAccessLogEntry.ts'
import type { StreamAccessLogsMessage } from '../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import type { Value } from '../../src/wire/google/protobuf/Value.ts'
import { hostileText } from '../cases/access-requests.ts'
import { policyVersion } from '../cases/rule-sets.ts'
import { answer, decisionId, httpFilter, orders, tcpFilter, web } from './entries.ts'

const some = { requiredKeys: [] }

const text = (...usual: string[]): fc.Arbitrary<string> => fc.oneof(fc.constantFrom('', ...usual), hostileText)

/** Also values that no encoder in order gives, and numbers of enums that nobody has named. */
const uint32 = fc.nat(0xffff_ffff)
const uint64 = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, 2 ** 63))
const enumNumber = fc.integer({ min: -1, max: 300 }) as fc.Arbitrary<never>

const address = fc.record(
  {
    socket_address: fc.record({ address: text('10.1.2.3', '::1'), port_value: uint32 }, some),
    pipe: fc.record({ path: hostileText }),
  },
  some,
)

const span = fc.record({ seconds: fc.oneof(fc.maxSafeInteger(), fc.integer()), nanos: fc.integer() }, some)

const value: fc.Arbitrary<Value> = fc.oneof(
  text(decisionId, policyVersion, 'allow', 'grpc', 'istio-ext-authz').map((stringValue) => ({ stringValue })),
  fc.double().map((numberValue) => ({ numberValue })),
  fc.boolean().map((boolValue) => ({ boolValue })),
)

const rule = fc
  .record({ file: value, line: value, text: value }, some)
  .map((fields) => ({ structValue: { fields: fields } }))

const fields = fc.oneof(
  fc.constant(answer),
  fc.record(
    { decisionId: value, effect: value, reason: value, rule, policyVersion: value, protocol: value, path: value },
    some,
  ) as fc.Arbitrary<Record<string, Value>>,
  fc.dictionary(hostileText, value, { maxKeys: 4 }),
)

const metadata = fc.record({
  filter_metadata: fc.dictionary(
    fc.oneof(
      fc.constantFrom(httpFilter, tcpFilter, 'envoy.filters.http.rbac', '__proto__', 'constructor'),
      hostileText,
    ),
    fields.map((all) => ({ fields: all })),
    { maxKeys: 3 },
  ),
})

const certificate = fc.record({
  subject_alt_name: fc.array(
    fc.oneof(
      text(web, orders).map((uri) => ({ uri })),
      hostileText.map((dns) => ({ dns })),
    ),
    { maxLength: 3 },
  ),
})

const common = fc.record(
  {
    access_log_type: enumNumber,
    intermediate_log_entry: fc.boolean(),
    start_time: span,
    duration: span,
    time_to_last_downstream_tx_byte: span,
    downstream_remote_address: address,
    downstream_direct_remote_address: address,
    downstream_local_address: address,
    upstream_remote_address: address,
    upstream_cluster: text('inbound|80||', 'outbound|80||x', 'PassthroughCluster'),
    upstream_request_attempt_count: uint32,
    stream_id: hostileText,
    connection_termination_details: text('ext_authz_close'),
    response_flags: fc.record({ unauthorized_details: fc.constant({}), no_route_found: fc.boolean() }, some),
    tls_properties: fc.record(
      { peer_certificate_properties: certificate, local_certificate_properties: certificate },
      some,
    ),
    metadata,
  },
  some,
) as fc.Arbitrary<AccessLogCommon>

const headers = fc.dictionary(
  fc.oneof(fc.constantFrom('grpc-status', 'content-type', 'traceparent', '__proto__', 'constructor'), hostileText),
  text('0', '7', 'application/grpc'),
  { maxKeys: 4 },
)

const http = fc.record(
  {
    common_properties: common,
    protocol_version: enumNumber,
    request: fc.record(
      {
        request_method: enumNumber,
        authority: hostileText,
        path: text('/orders/1?a=b', '*'),
        original_path: hostileText,
        user_agent: hostileText,
        request_id: hostileText,
        request_body_bytes: uint64,
        request_headers: headers,
      },
      some,
    ),
    response: fc.record(
      {
        response_code: fc.record({ value: uint32 }, some),
        response_body_bytes: uint64,
        response_code_details: text('via_upstream', 'ext_authz_error'),
        response_headers: headers,
        response_trailers: headers,
      },
      some,
    ),
  },
  some,
) as fc.Arbitrary<HTTPAccessLogEntry>

const tcp = fc.record(
  {
    common_properties: common,
    connection_properties: fc.record({ received_bytes: uint64, sent_bytes: uint64 }, some),
  },
  some,
) as fc.Arbitrary<TCPAccessLogEntry>

const identifier = fc.record(
  { log_name: hostileText, node: fc.record({ id: hostileText, cluster: hostileText }, some) },
  some,
)

/** Any message that the types allow, hostile ones among them. */
export const anyLogMessage: fc.Arbitrary<StreamAccessLogsMessage> = fc.oneof(
  fc.record({ identifier, http_logs: fc.record({ log_entry: fc.array(http, { maxLength: 3 }) }) }, some),
  fc.record({ identifier, tcp_logs: fc.record({ log_entry: fc.array(tcp, { maxLength: 3 }) }) }, some),
)
