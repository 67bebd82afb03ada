/** Why a request was allowed or denied; the closed list of `docs/reasons.md`. */
export const reasons = {
  ALLOWED_BY_RULE: 'A rule of the policy in force allows the access.',
  DENIED_BY_RULE: 'A rule of the policy in force denies the access.',
  NO_MATCHING_RULE: 'No rule of the policy in force allows the access.',
  PRINCIPAL_MISSING: 'The caller presented no certificate to the Envoy that asked.',
  PRINCIPAL_INVALID: 'The caller’s certificate names no valid SPIFFE ID of a workload.',
  TRUST_DOMAIN_UNKNOWN: 'The caller’s trust domain is not one of identity.trustDomains.',
  USER_TOKEN_INVALID: 'The user’s token could not be verified.',
  USER_TOKEN_EXPIRED: 'The user’s token has expired.',
  REQUEST_MALFORMED: 'The request, or the message that describes it, is not well formed.',
  PATH_SUSPICIOUS: 'The path is written so that the application may read another one than the policy.',
  POLICY_UNAVAILABLE: 'No usable policy has been loaded yet.',
  AUDIT_UNAVAILABLE: 'The decision could not be recorded in time.',
  OVERLOADED: 'More requests are waiting than can be answered in time.',
  DECISION_FAULT: 'The decision itself failed.',
} as const

export type Reason = keyof typeof reasons
export type DenyReason = Exclude<Reason, 'ALLOWED_BY_RULE'>

/** The policy line that settled a decision. */
export interface Rule {
  /** Name of the file in the policy folder. */
  readonly file: string
  /** 1-based. */
  readonly line: number
  /** The line as it stands in the file, trimmed. */
  readonly text: string
}

/** An allow asks for its evidence: there is none without a rule and a policy version. */
export interface Allow {
  readonly effect: 'allow'
  readonly reason: 'ALLOWED_BY_RULE'
  readonly rule: Rule
  /** The roles that lead from the subject to the rule, nearest first; empty where the rule names the subject itself. */
  readonly roles: readonly string[]
  readonly policyVersion: string
}

export interface Deny {
  readonly effect: 'deny'
  readonly reason: DenyReason
  readonly rule: Rule | null
  readonly roles: readonly string[]
  readonly policyVersion: string | null
  /** For the operational log and the answer's reader, not for the trail. */
  readonly detail?: string
}

/** What a candidate policy would have decided of the same request; nobody acts on it. */
export interface CandidateDecision {
  readonly effect: 'allow' | 'deny'
  readonly reason: Reason
  /** The candidate's. */
  readonly policyVersion: string | null
}

/** The PDP's answer to one Check. */
export type Decision = (Allow | Deny) & {
  /** UUIDv7; travels through Envoy and comes back in the access log. */
  readonly decisionId: string
  /** Time spent deciding, in whole microseconds; a candidate's time is not part of it. */
  readonly durationUs: number
  /** Left out where no candidate is loaded; null where the candidate was too slow to be asked. */
  readonly candidate?: CandidateDecision | null
}
