import type { Rule } from './decision.ts'

/** The tokens that a model's request definition may name. Nothing else can be decided upon. */
export const policyTokens = {
  sub: 'SPIFFE ID of the calling workload, or "anonymous"',
  user: 'verified user behind the workload',
  dst: 'SPIFFE ID of the called workload',
  host: 'host that was asked for',
  obj: 'path without query',
  act: 'HTTP method',
  rpc: 'gRPC method, such as shop.Orders/Get',
  port: 'port of the called workload',
  protocol: 'http, grpc or tcp',
} as const

export type PolicyToken = keyof typeof policyTokens

/** What policy sees of a request. A token that is left out is absent: it equals nothing. Never an empty string. */
export type PolicyRequest = { readonly [token in PolicyToken]?: string }

/** What the rules say of one request. `rule` of a denial is the rule that denies, or null where no rule allows. */
export type Evaluation =
  | { readonly effect: 'allow'; readonly rule: Rule; readonly roles: readonly string[] }
  | { readonly effect: 'deny'; readonly rule: Rule | null; readonly roles: readonly string[] }

/** An immutable, loaded policy. */
export interface RuleSet {
  /** `sha256:` and 64 hex digits: digest of the policy's files, as `docs/events.md` defines it. */
  readonly policyVersion: string
  /** Evaluates one request. MUST NOT wait, change state, or allow without naming the rule. May throw: the caller denies. */
  evaluate(request: PolicyRequest): Evaluation
}
