import type { AccessRequest } from '../decision/access-request.ts'
import { anonymousSubject } from '../decision/decide.ts'
import type { Decision, DenyReason, Rule } from '../decision/decision.ts'
import type { HeaderValueOption } from '../wire/envoy/config/core/v3/HeaderValueOption.ts'
import type { CheckResponse } from '../wire/envoy/service/auth/v3/CheckResponse.ts'
import type { StatusCode } from '../wire/envoy/type/v3/StatusCode.ts'
import type { Struct } from '../wire/google/protobuf/Struct.ts'
import type { Value } from '../wire/google/protobuf/Value.ts'

/** Header, on the allowed request and on the denied answer, that carries the decision id. */
export const decisionIdHeader = 'x-countersign-decision-id'
/** Header on the allowed request that carries the caller's SPIFFE ID, or `anonymous`. */
export const principalHeader = 'x-countersign-principal'

/** HTTP status of a denial, and the gRPC status (google.rpc.Code) that goes with it. */
interface DenialStatus {
  readonly http: StatusCode
  readonly grpc: number
}

const forbidden: DenialStatus = { http: 'Forbidden', grpc: 7 }
const unauthorized: DenialStatus = { http: 'Unauthorized', grpc: 16 }
const unavailable: DenialStatus = { http: 'ServiceUnavailable', grpc: 14 }

/**
 * Writes the answer for Envoy. `status.code` alone decides there: 0 for an allow and nothing else. Allow and deny alike carry
 * the decision in `dynamic_metadata`, which Envoy repeats in the access log.
 */
export function writeCheckResponse(decision: Decision, request: AccessRequest): CheckResponse {
  const metadata = { dynamic_metadata: metadataOf(decision, request) }
  if (decision.effect === 'allow') {
    const headers = [
      setHeader(decisionIdHeader, decision.decisionId),
      setHeader(principalHeader, principalOf(request) ?? anonymousSubject),
    ]
    return { status: { code: 0 }, ok_response: { headers }, http_response: 'ok_response', ...metadata }
  }
  const { http, grpc } = statusOf(decision.reason)
  return {
    status: { code: grpc, message: decision.reason },
    denied_response: {
      status: { code: http },
      headers: [setHeader('content-type', 'application/json'), setHeader(decisionIdHeader, decision.decisionId)],
      body: `${JSON.stringify({ decisionId: decision.decisionId, reason: decision.reason })}\n`,
    },
    http_response: 'denied_response',
    ...metadata,
  }
}

function statusOf(reason: DenyReason): DenialStatus {
  switch (reason) {
    case 'USER_TOKEN_INVALID':
    case 'USER_TOKEN_EXPIRED':
      return unauthorized
    case 'AUDIT_UNAVAILABLE':
    case 'POLICY_UNAVAILABLE':
    case 'OVERLOADED':
      return unavailable
    case 'DENIED_BY_RULE':
    case 'NO_MATCHING_RULE':
    case 'PRINCIPAL_MISSING':
    case 'PRINCIPAL_INVALID':
    case 'TRUST_DOMAIN_UNKNOWN':
    case 'REQUEST_MALFORMED':
    case 'PATH_SUSPICIOUS':
    case 'DECISION_FAULT':
      return forbidden
  }
}

/** The caller's SPIFFE ID, or `anonymous`; undefined where the caller presented what is no SPIFFE ID. */
function principalOf({ subject: { peer } }: AccessRequest): string | undefined {
  switch (peer.kind) {
    case 'proved':
    case 'unknown-trust-domain':
      return peer.principal.id.uri
    case 'missing':
      return anonymousSubject
    case 'invalid':
      return undefined
  }
}

/** `append: false`, always: where it is left out, Envoy appends the value to what the client sent. */
function setHeader(key: string, value: string): HeaderValueOption {
  return { header: { key, value }, append: { value: false } }
}

/** Longest path that the metadata repeats, in bytes: Envoy drops access-log entries once its buffer (16 KiB) is full. */
const maxRepeatedPathBytes = 1024

function metadataOf(decision: Decision, request: AccessRequest): Struct {
  const principal = principalOf(request)
  const { path } = request.resource
  const fields: Record<string, Value> = {
    decisionId: text(decision.decisionId),
    effect: text(decision.effect),
    reason: text(decision.reason),
    protocol: text(request.action.protocol),
  }
  if (principal !== undefined) fields['principal'] = text(principal)
  // The entry's own path may have been rewritten, and the header that keeps the original one is the caller's to forge.
  if (path !== undefined && Buffer.byteLength(path) <= maxRepeatedPathBytes) fields['path'] = text(path)
  if (decision.policyVersion !== null) fields['policyVersion'] = text(decision.policyVersion)
  if (decision.rule !== null) fields['rule'] = { structValue: ruleOf(decision.rule) }
  return { fields }
}

function ruleOf(rule: Rule): Struct {
  return { fields: { file: text(rule.file), line: { numberValue: rule.line }, text: text(rule.text) } }
}

function text(value: string): Value {
  return { stringValue: value }
}
