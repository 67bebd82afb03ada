import type { AccessData, EnvoyData, Mediation } from '../audit/event-data.ts'
import type { Protocol } from '../decision/access-request.ts'
import type { Rule } from '../decision/decision.ts'
import type { Metadata__Output } from '../wire/envoy/config/core/v3/Metadata.ts'
import type { Struct__Output } from '../wire/google/protobuf/Struct.ts'

/** What an access-log entry tells about its decision. */
export interface Joined extends Pick<AccessData, 'decisionId' | 'effect' | 'reason' | 'rule' | 'policyVersion'> {
  /** The protocol as the decision saw it; an entry by itself does not tell gRPC from HTTP. */
  readonly protocol: Protocol | null
  /** The path as the decision saw it, where the answer repeated it. */
  readonly path: string | null
}

const authorizers = ['envoy.filters.http.ext_authz', 'envoy.filters.network.ext_authz']
const istioRbac = ['envoy.filters.http.rbac', 'envoy.filters.network.rbac']
const istioDemand = 'istio_ext_authz_shadow_effective_policy_id'

const unjoined: Joined = {
  decisionId: null,
  effect: null,
  reason: null,
  rule: null,
  policyVersion: null,
  protocol: null,
  path: null,
}

/**
 * Reads the decision that came back in Envoy's dynamic metadata; all null where there was none. Another authorizer may write
 * there too: only what has a decision id of our form is a decision of ours.
 */
export function joinDecision(metadata: Metadata__Output | undefined): Joined {
  const answer = authorizers.map((name) => structOf(metadata, name)).find((found) => decisionIdOf(found) !== null)
  if (answer === undefined) return unjoined
  const effect = textOf(answer, 'effect')
  const protocol = textOf(answer, 'protocol')
  const policyVersion = textOf(answer, 'policyVersion')
  return {
    decisionId: decisionIdOf(answer),
    effect: effect === 'allow' || effect === 'deny' ? effect : null,
    reason: textOf(answer, 'reason'),
    rule: ruleOf(answer),
    policyVersion: policyVersion !== null && /^sha256:[0-9a-f]{64}$/.test(policyVersion) ? policyVersion : null,
    protocol: protocol === 'http' || protocol === 'grpc' || protocol === 'tcp' ? protocol : null,
    path: textOf(answer, 'path'),
  }
}

const uuidv7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

function decisionIdOf(answer: Struct__Output | undefined): string | null {
  const id = textOf(answer, 'decisionId')
  return id !== null && uuidv7.test(id) ? id : null
}

/** What of an entry tells whether Envoy asked. */
export interface MediationSigns {
  readonly decisionId: string | null
  readonly phase: AccessData['phase']
  readonly direction: EnvoyData['direction']
  readonly flags: readonly string[]
  readonly details: string | null
  /** Value of the request header `x-envoy-auth-failure-mode-allowed`, where it is logged. */
  readonly failureModeAllowed: string | undefined
  readonly metadata: Metadata__Output | undefined
}

/** Tells whether the access was checked. Null where that is not to be asked: outbound, or before Envoy could have asked. */
export function mediationOf(signs: MediationSigns): Mediation | null {
  if (signs.direction === 'outbound') return null
  if (signs.decisionId !== null) return 'checked'
  if (signs.phase === 'start') return null
  return askedInVain(signs) ? 'authorizer-error' : 'unchecked'
}

function askedInVain({ flags, details, failureModeAllowed, metadata }: MediationSigns): boolean {
  if (details?.startsWith('ext_authz_error') === true || failureModeAllowed === 'true') return true
  // Every answer of ours carries a decision id, so an authorizer's refusal without one was no answer.
  if (flags.includes('UAEX')) return true
  return istioRbac.some((name) => textOf(structOf(metadata, name), istioDemand)?.startsWith('istio-ext-authz') === true)
}

function structOf(metadata: Metadata__Output | undefined, name: string): Struct__Output | undefined {
  const filters = metadata?.filter_metadata ?? {}
  return Object.hasOwn(filters, name) ? filters[name] : undefined
}

function textOf(struct: Struct__Output | undefined, name: string): string | null {
  const fields = struct?.fields ?? {}
  return Object.hasOwn(fields, name) ? (fields[name]?.stringValue ?? null) : null
}

function ruleOf(answer: Struct__Output | undefined): Rule | null {
  const fields = answer?.fields ?? {}
  const rule = Object.hasOwn(fields, 'rule') ? fields['rule']?.structValue : undefined
  const file = textOf(rule, 'file')
  const text = textOf(rule, 'text')
  const line = rule?.fields?.['line']?.numberValue ?? 0
  return file === null || file === '' || text === null || !(Number.isSafeInteger(line) && line > 0)
    ? null
    : { file, line, text }
}
