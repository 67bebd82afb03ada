import { normalizeHttp, normalizeTcp, type NormalizeParts } from '../../src/access-log/normalize.ts'
import type { Logger } from '../../src/access-log/logger.ts'
import type { AccessData } from '../../src/audit/event-data.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { accessLogService, type Decoded } from '../../src/grpc/services.ts'
import type { AccessLogCommon } from '../../src/wire/envoy/data/accesslog/v3/AccessLogCommon.ts'
import type { HTTPAccessLogEntry } from '../../src/wire/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts'
import type { TCPAccessLogEntry } from '../../src/wire/envoy/data/accesslog/v3/TCPAccessLogEntry.ts'
import type {
  StreamAccessLogsMessage,
  StreamAccessLogsMessage__Output,
} from '../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import type { Struct } from '../../src/wire/google/protobuf/Struct.ts'
import type { Value } from '../../src/wire/google/protobuf/Value.ts'
import { acceptedDomains } from '../cases/access-requests.ts'
import { recordLine } from '../cases/place.ts'
import { policyVersion, readRule } from '../cases/rule-sets.ts'
import { expectValidRecord } from '../contract/event-schema.ts'

export const web = 'spiffe://cluster.local/ns/shop/sa/web'
export const orders = 'spiffe://cluster.local/ns/shop/sa/orders'
export const decisionId = '019aa5d5-0000-7000-8000-000000000001'
export const entryId = '019aa5d5-0000-7000-8000-0000000000ff'
export const now = new Date('2026-11-22T10:00:09.000Z')

export const parts: NormalizeParts = { trustDomains: acceptedDomains, newId: () => entryId, now: () => now }

export const sidecar: Logger = { node: 'sidecar~10.1.2.9~orders-0.shop~x', cluster: 'orders.shop', logName: 'audit' }

/** The method as the server has it. */
export const logMethod = accessLogService['StreamAccessLogs'] as unknown as {
  requestSerialize(message: StreamAccessLogsMessage): Buffer
  requestDeserialize(bytes: Buffer): Decoded<StreamAccessLogsMessage__Output>
}

/** A message as the server reads it. */
export function onTheWire(message: StreamAccessLogsMessage): StreamAccessLogsMessage__Output {
  const read = logMethod.requestDeserialize(logMethod.requestSerialize(message)).message
  if (read === undefined) throw new Error('the message cannot be decoded')
  return read
}

/** What an HTTP entry, encoded and decoded on its way, becomes; its record is validated. */
export function httpAccess(entry: HTTPAccessLogEntry, logger: Logger = sidecar): AccessData {
  const read = onTheWire({ http_logs: { log_entry: [entry] } }).http_logs?.log_entry?.[0] ?? {}
  return validData(normalizeHttp(read, logger, parts))
}

export function tcpAccess(entry: TCPAccessLogEntry, logger: Logger = sidecar): AccessData {
  const read = onTheWire({ tcp_logs: { log_entry: [entry] } }).tcp_logs?.log_entry?.[0] ?? {}
  return validData(normalizeTcp(read, logger, parts))
}

/** The data of an event, as its record has it. */
export function validData(event: AuditEvent): AccessData {
  return expectValidRecord(recordLine(event))['data'] as AccessData
}

export function text(stringValue: string): Value {
  return { stringValue }
}

/** What an answer of ours puts into Envoy's metadata. */
export const answer: Readonly<Record<string, Value>> = {
  decisionId: text(decisionId),
  effect: text('allow'),
  reason: text('ALLOWED_BY_RULE'),
  principal: text(web),
  protocol: text('http'),
  path: text('/orders/1'),
  policyVersion: text(policyVersion),
  rule: {
    structValue: {
      fields: { file: text(readRule.file), line: { numberValue: readRule.line }, text: text(readRule.text) },
    },
  },
}

export const httpFilter = 'envoy.filters.http.ext_authz'
export const tcpFilter = 'envoy.filters.network.ext_authz'

export function metadata(fields: Record<string, Value>, filter = httpFilter): NonNullable<AccessLogCommon['metadata']> {
  return { filter_metadata: { [filter]: { fields } satisfies Struct } }
}

/** An entry of a request that was checked, allowed and served, changed where `common` and `entry` say so. */
export function servedEntry(common: AccessLogCommon = {}, entry: HTTPAccessLogEntry = {}): HTTPAccessLogEntry {
  return {
    common_properties: {
      access_log_type: 'DownstreamEnd',
      start_time: { seconds: Date.parse('2026-11-22T10:00:00Z') / 1000, nanos: 123_456_789 },
      duration: { seconds: 1, nanos: 33_900_400 },
      downstream_direct_remote_address: { socket_address: { address: '10.1.2.3', port_value: 40_000 } },
      downstream_remote_address: { socket_address: { address: '203.0.113.9', port_value: 1 } },
      downstream_local_address: { socket_address: { address: '10.1.2.9', port_value: 8443 } },
      upstream_remote_address: { socket_address: { address: '10.1.2.9', port_value: 8080 } },
      upstream_cluster: 'inbound|8443||',
      upstream_request_attempt_count: 1,
      stream_id: '5ff3a4a4-25b8-4d5c-a0f6-1f0d1ef65b2b',
      tls_properties: {
        peer_certificate_properties: { subject_alt_name: [{ uri: web }] },
        local_certificate_properties: { subject_alt_name: [{ uri: orders }] },
      },
      metadata: metadata(answer),
      ...common,
    },
    request: {
      request_method: 'GET',
      authority: 'Orders.shop:8443',
      path: '/orders/1?fields=total',
      user_agent: 'curl/8',
      request_id: '5ff3a4a4-25b8-4d5c-a0f6-1f0d1ef65b2b',
      request_body_bytes: 160,
    },
    response: { response_code: { value: 200 }, response_body_bytes: 156, response_code_details: 'via_upstream' },
    ...entry,
  }
}
