import type { AccessData, Final, OutcomeData } from '../audit/event-data.ts'
import type { AccessLogCommon__Output } from '../wire/envoy/data/accesslog/v3/AccessLogCommon.ts'
import type { HTTPAccessLogEntry__Output } from '../wire/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts'
import type { ResponseFlags__Output } from '../wire/envoy/data/accesslog/v3/ResponseFlags.ts'
import type { TCPAccessLogEntry__Output } from '../wire/envoy/data/accesslog/v3/TCPAccessLogEntry.ts'
import type { Duration__Output } from '../wire/google/protobuf/Duration.ts'
import { addressOf } from './address.ts'

/** Envoy's short names for its response flags (Envoy, access logging, %RESPONSE_FLAGS%). */
const flagNames = {
  failed_local_healthcheck: 'LH',
  no_healthy_upstream: 'UH',
  upstream_request_timeout: 'UT',
  local_reset: 'LR',
  upstream_remote_reset: 'UR',
  upstream_connection_failure: 'UF',
  upstream_connection_termination: 'UC',
  upstream_overflow: 'UO',
  no_route_found: 'NR',
  delay_injected: 'DI',
  fault_injected: 'FI',
  rate_limited: 'RL',
  unauthorized_details: 'UAEX',
  rate_limit_service_error: 'RLSE',
  downstream_connection_termination: 'DC',
  upstream_retry_limit_exceeded: 'URX',
  stream_idle_timeout: 'SI',
  invalid_envoy_request_headers: 'IH',
  downstream_protocol_error: 'DPE',
  upstream_max_stream_duration_reached: 'UMSDR',
  response_from_cache_filter: 'RFCF',
  no_filter_config_found: 'NFCF',
  duration_timeout: 'DT',
  upstream_protocol_error: 'UPE',
  no_cluster_found: 'NC',
  overload_manager: 'OM',
  dns_resolution_failure: 'DF',
  downstream_remote_reset: 'DR',
} as const satisfies Record<keyof ResponseFlags__Output, string>

export function flagsOf(flags: ResponseFlags__Output | undefined): string[] {
  const set = Object.entries(flags ?? {}).filter(([, value]) => Boolean(value))
  return set.map(([name]) => flagNames[name as keyof ResponseFlags__Output])
}

/** How an HTTP request ended. */
export function httpOutcome(entry: HTTPAccessLogEntry__Output, phase: AccessData['phase']): OutcomeData {
  const { response, request } = entry
  const flags = flagsOf(entry.common_properties?.response_flags)
  // Envoy writes 0 where no response was sent.
  const status = response?.response_code?.value ?? 0
  const details = response?.response_code_details ?? null
  const grpcStatus = grpcStatusOf(response)
  return {
    status: status >= 100 && status <= 999 ? status : null,
    grpcStatus,
    flags,
    details,
    final: phase === 'end' ? httpFinal({ status, grpcStatus, flags, details }) : null,
    bytesReceived: request?.request_body_bytes ?? 0,
    bytesSent: response?.response_body_bytes ?? 0,
    ...commonOutcome(entry.common_properties),
  }
}

/** How a TCP connection ended, or how it stands. */
export function tcpOutcome(entry: TCPAccessLogEntry__Output, phase: AccessData['phase']): OutcomeData {
  const common = entry.common_properties
  const flags = flagsOf(common?.response_flags)
  const details = common?.connection_termination_details ?? null
  return {
    status: null,
    grpcStatus: null,
    flags,
    details,
    final: phase === 'end' ? tcpFinal(flags, details) : null,
    bytesReceived: entry.connection_properties?.received_bytes ?? 0,
    bytesSent: entry.connection_properties?.sent_bytes ?? 0,
    ...commonOutcome(common),
  }
}

const refusals = /^(?:ext_authz|rbac_access_denied|jwt_authn|request_rate_limited|rate_limited)/
const failures = new Set([
  'UH',
  'UT',
  'LR',
  'UR',
  'UF',
  'UC',
  'UO',
  'URX',
  'UPE',
  'NC',
  'NR',
  'DF',
  'UMSDR',
  'DT',
  'SI',
])

/** Envoy answers 499 to nobody where the client has gone. */
const hangUps = new Set(['DC', 'DR'])

type HttpSigns = Pick<OutcomeData, 'grpcStatus' | 'flags' | 'details'> & { readonly status: number }

function httpFinal({ status, grpcStatus, flags, details }: HttpSigns): Final {
  if (isRefusal(flags, details)) return 'refused'
  if (details === 'via_upstream' && status !== 0) return 'served'
  if (status === 0 || flags.some((flag) => failures.has(flag))) return 'failed'
  if (status >= 500) return 'failed'
  if (status >= 400) return flags.some((flag) => hangUps.has(flag)) ? 'failed' : 'refused'
  // What Envoy itself answers to a gRPC client has HTTP status 200.
  if (details === null || grpcStatus === null || grpcStatus === 0) return 'served'
  return grpcStatus === permissionDenied || grpcStatus === unauthenticated ? 'refused' : 'failed'
}

const permissionDenied = 7
const unauthenticated = 16

function isRefusal(flags: readonly string[], details: string | null): boolean {
  return flags.includes('UAEX') || flags.includes('RL') || refusals.test(details ?? '')
}

function tcpFinal(flags: readonly string[], details: string | null): Final {
  if (isRefusal(flags, details)) return 'refused'
  return flags.some((flag) => failures.has(flag)) ? 'failed' : 'served'
}

function grpcStatusOf(response: HTTPAccessLogEntry__Output['response']): number | null {
  const text =
    headerOf(response?.response_trailers, 'grpc-status') ?? headerOf(response?.response_headers, 'grpc-status')
  return text !== undefined && /^\d{1,3}$/.test(text) ? Number(text) : null
}

export function headerOf(headers: Record<string, string> | undefined, name: string): string | undefined {
  return headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined
}

function commonOutcome(common: AccessLogCommon__Output | undefined): Pick<OutcomeData, 'durationMs' | 'upstream'> {
  return {
    durationMs: millisecondsOf(common?.duration ?? common?.time_to_last_downstream_tx_byte),
    upstream: {
      cluster: common?.upstream_cluster ?? null,
      address: addressOf(common?.upstream_remote_address, 'with-port') ?? null,
      attempts: common?.upstream_request_attempt_count ?? null,
    },
  }
}

function millisecondsOf(duration: Duration__Output | undefined): number | null {
  if (duration === undefined) return null
  const ms = (duration.seconds ?? 0) * 1000 + Math.round((duration.nanos ?? 0) / 1000) / 1000
  return ms < 0 ? null : ms
}
