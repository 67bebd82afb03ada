import type { AccessData, EnvoyData } from '../audit/event-data.ts'
import { type AccessFacts, accessEvent, type AuditEvent } from '../audit/event.ts'
import type { Context } from '../decision/access-request.ts'
import { httpAction, isGrpcContent, resourceOf, splitTarget, timeOf } from '../decision/http.ts'
import { parseTraceparent } from '../decision/trace.ts'
import { identifyPeer } from '../identity/principal.ts'
import type { TrustDomain } from '../identity/trust-domain.ts'
import type { AccessLogCommon__Output } from '../wire/envoy/data/accesslog/v3/AccessLogCommon.ts'
import type { HTTPAccessLogEntry__Output } from '../wire/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts'
import type { HTTPRequestProperties__Output } from '../wire/envoy/data/accesslog/v3/HTTPRequestProperties.ts'
import type { TCPAccessLogEntry__Output } from '../wire/envoy/data/accesslog/v3/TCPAccessLogEntry.ts'
import type { _envoy_data_accesslog_v3_TLSProperties_CertificateProperties__Output as Certificate } from '../wire/envoy/data/accesslog/v3/TLSProperties.ts'
import { addressOf } from './address.ts'
import { joinDecision, type Joined, mediationOf } from './join.ts'
import type { Logger } from './logger.ts'
import { headerOf, httpOutcome, tcpOutcome } from './outcome.ts'

export interface NormalizeParts {
  readonly trustDomains: ReadonlySet<TrustDomain>
  readonly newId: () => string
  readonly now: () => Date
}

/** Makes the event of one HTTP entry. MUST NOT throw: what the entry does not say is null. */
export function normalizeHttp(entry: HTTPAccessLogEntry__Output, logger: Logger, parts: NormalizeParts): AuditEvent {
  const common = entry.common_properties ?? {}
  const request = entry.request ?? {}
  const joined = joinDecision(common.metadata)
  if (isConnection(common, joined)) return normalizeTcp(connectionOf(entry), logger, parts)
  const phase = phaseOf(common)
  const outcome = httpOutcome(entry, phase)
  // `original_path` is not read: it is a header of the request, and sidecars take it from the caller as it is.
  const target = request.path ?? ''
  const path = joined.path ?? splitTarget(target).path
  const isGrpc = joined.protocol === 'grpc' || isGrpcContent(headerOf(request.request_headers, 'content-type'))
  const method = methodOf(request)
  return accessEvent({
    ...commonFacts(common, parts),
    action: httpAction(method, isGrpc, path),
    resource: {
      ...resourceOf(localPrincipal(common), request.authority ?? '', target, localPort(common)),
      // As the decision saw it: Envoy's routing may have rewritten the path since.
      ...(path === '' ? {} : { path }),
    },
    context: contextOf(request, common),
    ...envoyFacts(common, logger, phase, joined, {
      outcome,
      failureModeAllowed: headerOf(request.request_headers, 'x-envoy-auth-failure-mode-allowed'),
    }),
  })
}

/** Makes the event of one TCP entry. MUST NOT throw. */
export function normalizeTcp(entry: TCPAccessLogEntry__Output, logger: Logger, parts: NormalizeParts): AuditEvent {
  const common = entry.common_properties ?? {}
  const joined = joinDecision(common.metadata)
  const phase = phaseOf(common)
  const outcome = tcpOutcome(entry, phase)
  return accessEvent({
    ...commonFacts(common, parts),
    action: { protocol: 'tcp' },
    resource: resourceOf(localPrincipal(common), '', '', localPort(common)),
    context: {},
    ...envoyFacts(common, logger, phase, joined, { outcome, failureModeAllowed: undefined }),
  })
}

/** Istio gives its TCP ports the same logger as its HTTP ports, and that one says HTTP of all. */
function isConnection(common: AccessLogCommon__Output, { protocol }: Joined): boolean {
  return protocol === 'tcp' || entryTypeOf(common).startsWith('Tcp')
}

function connectionOf({ common_properties, request, response }: HTTPAccessLogEntry__Output): TCPAccessLogEntry__Output {
  return {
    ...(common_properties === undefined ? {} : { common_properties }),
    connection_properties: {
      received_bytes: request?.request_body_bytes ?? 0,
      sent_bytes: response?.response_body_bytes ?? 0,
    },
  }
}

function commonFacts(
  common: AccessLogCommon__Output,
  parts: NormalizeParts,
): Pick<AccessFacts, 'id' | 'time' | 'peer' | 'address'> {
  const peer = firstUri(common.tls_properties?.peer_certificate_properties)
  const address = addressOf(common.downstream_direct_remote_address ?? common.downstream_remote_address, 'host')
  return {
    id: parts.newId(),
    time: timeOf(common.start_time) ?? parts.now(),
    peer: identifyPeer(peer, parts.trustDomains),
    ...(address === undefined ? {} : { address }),
  }
}

function envoyFacts(
  common: AccessLogCommon__Output,
  logger: Logger,
  phase: AccessData['phase'],
  joined: Joined,
  entry: { outcome: AccessData['outcome']; failureModeAllowed: string | undefined },
): Pick<AccessFacts, 'joined' | 'phase' | 'outcome' | 'envoy'> {
  const { decisionId, effect, reason, rule, policyVersion } = joined
  const { outcome, failureModeAllowed } = entry
  const { flags, details } = outcome
  const direction = directionOf(logger, outcome.upstream.cluster)
  const signs = { decisionId, phase, direction, flags, details, failureModeAllowed, metadata: common.metadata }
  return {
    joined: { decisionId, mediation: mediationOf(signs), effect, reason, rule, policyVersion },
    phase,
    outcome,
    envoy: { ...logger, direction, streamId: common.stream_id ?? null, entry: entryTypeOf(common) },
  }
}

function phaseOf(common: AccessLogCommon__Output): AccessData['phase'] {
  switch (entryTypeOf(common)) {
    case 'TcpUpstreamConnected':
    case 'DownstreamStart':
    case 'UpstreamPoolReady':
    case 'DownstreamTunnelSuccessfullyEstablished':
    case 'UdpTunnelUpstreamConnected':
      return 'start'
    case 'TcpPeriodic':
    case 'DownstreamPeriodic':
    case 'UpstreamPeriodic':
    case 'UdpPeriodic':
    // The end of one attempt upstream; the access itself ends with DownstreamEnd.
    case 'UpstreamEnd':
      return 'periodic'
    default:
      // Envoys that do not say the type say at least whether the entry is the last one.
      return common.intermediate_log_entry === true ? 'periodic' : 'end'
  }
}

function entryTypeOf(common: AccessLogCommon__Output): string {
  return String(common.access_log_type ?? 'NotSet')
}

/** Istio names its clusters by direction, and its gateways are routers; other Envoys are asked about what enters them. */
function directionOf(logger: Logger, cluster: string | null): EnvoyData['direction'] {
  if (logger.node?.startsWith('router~') === true) return 'gateway'
  const outbound = cluster?.startsWith('outbound|') === true || cluster === 'PassthroughCluster'
  return outbound || cluster === 'BlackHoleCluster' ? 'outbound' : 'inbound'
}

function contextOf(request: HTTPRequestProperties__Output, common: AccessLogCommon__Output): Context {
  const requestId = request.request_id ?? headerOf(request.request_headers, 'x-request-id') ?? common.stream_id
  return {
    ...(requestId === undefined ? {} : { requestId }),
    ...(request.user_agent === undefined ? {} : { userAgent: request.user_agent }),
    ...parseTraceparent(headerOf(request.request_headers, 'traceparent')),
  }
}

function methodOf(request: HTTPRequestProperties__Output): string | undefined {
  const method = request.request_method
  // Envoy names ten methods; of any other it says nothing, and a number is one that proto/ does not name.
  return typeof method === 'string' && method !== 'METHOD_UNSPECIFIED' ? method : undefined
}

function localPrincipal(common: AccessLogCommon__Output): string {
  return firstUri(common.tls_properties?.local_certificate_properties)
}

function localPort(common: AccessLogCommon__Output): number | undefined {
  return common.downstream_local_address?.socket_address?.port_value
}

/** The first URI SAN, which is what Envoy takes for the principal of a Check. */
function firstUri(certificate: Certificate | undefined): string {
  return certificate?.subject_alt_name?.find(({ uri }) => uri !== undefined)?.uri ?? ''
}
