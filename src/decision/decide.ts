import type { AccessRequest } from './access-request.ts'
import type { Allow, Decision, Deny, DenyReason } from './decision.ts'
import { policyTokens, type PolicyRequest, type PolicyToken, type RuleSet } from './rule-set.ts'

export interface DecideOptions {
  readonly decisionId: string
  /** Monotonic clock, in microseconds. */
  readonly nowUs: () => number
  /** What a request without a principal gets: a denial, or the subject `anonymous`. */
  readonly anonymous: 'deny' | 'pass'
}

/**
 * Decides one access. MUST NOT throw, wait or record. Without rules it denies with `POLICY_UNAVAILABLE`; whatever goes
 * wrong inside is a denial with `DECISION_FAULT`.
 */
export function decide(request: AccessRequest, rules: RuleSet | undefined, options: DecideOptions): Decision {
  const startUs = options.nowUs()
  const answer = answerTo(request, rules, options.anonymous)
  return { ...answer, decisionId: options.decisionId, durationUs: Math.max(0, Math.round(options.nowUs() - startUs)) }
}

/**
 * The decision that is answered when the record of another one came too late: same id and policy, never an allow. By a
 * candidate it would have been the same denial.
 */
export function auditUnavailable(decision: Decision): Decision {
  const { decisionId, durationUs, policyVersion, candidate } = decision
  const denial = { ...deny('AUDIT_UNAVAILABLE', policyVersion), decisionId, durationUs }
  if (candidate === undefined) return denial
  return {
    ...denial,
    candidate: candidate && { effect: 'deny', reason: 'AUDIT_UNAVAILABLE', policyVersion: candidate.policyVersion },
  }
}

function answerTo(request: AccessRequest, rules: RuleSet | undefined, anonymous: 'deny' | 'pass'): Allow | Deny {
  const version = rules?.policyVersion ?? null
  if (request.refusal !== undefined) return deny(request.refusal.reason, version, request.refusal.detail)
  const { peer } = request.subject
  if (peer.kind === 'invalid') return deny('PRINCIPAL_INVALID', version, peer.problem)
  if (peer.kind === 'unknown-trust-domain') return deny('TRUST_DOMAIN_UNKNOWN', version)
  if (peer.kind === 'missing' && anonymous === 'deny') return deny('PRINCIPAL_MISSING', version)
  if (rules === undefined) return deny('POLICY_UNAVAILABLE', null)
  try {
    return evaluate(request, rules)
  } catch (fault) {
    return deny('DECISION_FAULT', version, fault instanceof Error ? fault.message : 'the rules threw what is no error')
  }
}

function evaluate(request: AccessRequest, rules: RuleSet): Allow | Deny {
  const evaluation = rules.evaluate(policyRequest(request))
  const { rule, roles } = evaluation
  const { policyVersion } = rules
  if (evaluation.effect === 'allow') {
    if (!rule) throw new TypeError('the rules allow without naming the rule')
    return { effect: 'allow', reason: 'ALLOWED_BY_RULE', rule, roles, policyVersion }
  }
  return { effect: 'deny', reason: rule === null ? 'NO_MATCHING_RULE' : 'DENIED_BY_RULE', rule, roles, policyVersion }
}

/** The tokens of a request, by the names that policy knows. */
export function policyRequest(request: AccessRequest): PolicyRequest {
  const { peer } = request.subject
  const { action, resource } = request
  const tokens: { [token in PolicyToken]?: string | undefined } = {
    sub: peer.kind === 'proved' ? peer.principal.id.uri : peer.kind === 'missing' ? anonymousSubject : undefined,
    dst: resource.principal,
    host: resource.host,
    obj: resource.path,
    act: action.method,
    rpc: action.rpc,
    port: resource.port === undefined ? undefined : String(resource.port),
    protocol: action.protocol,
  }
  const present: { [token in PolicyToken]?: string } = {}
  for (const token of tokenNames) {
    const value = tokens[token]
    if (value !== undefined && value !== '') present[token] = value
  }
  return present
}

const tokenNames = Object.keys(policyTokens) as readonly PolicyToken[]

/** What policy sees as `sub` where `identity.anonymous` lets a request without a principal pass. */
export const anonymousSubject = 'anonymous'

function deny(reason: DenyReason, policyVersion: string | null, detail?: string): Deny {
  const denial = { effect: 'deny', reason, rule: null, roles: [], policyVersion } as const
  return detail === undefined ? denial : { ...denial, detail }
}
