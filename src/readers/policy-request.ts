import type { Reason } from '../decision/decision.ts'
import type { PolicyRequest, PolicyToken } from '../decision/rule-set.ts'

/** What policy saw of a recorded request, or the tokens of which the record no longer holds what policy saw. */
export type RecordedRequest =
  { readonly request: PolicyRequest } | { readonly unreplayable: readonly [PolicyToken, ...PolicyToken[]] }

/** Where each token stands in a decision's data: the inverse of `policyRequest` and `decisionEvent`. */
const places: { readonly [token in PolicyToken]: readonly [string, string, string?] } = {
  sub: ['subject', 'principal'],
  user: ['subject', 'user', 'id'],
  dst: ['resource', 'principal'],
  host: ['resource', 'host'],
  obj: ['resource', 'path'],
  act: ['action', 'method'],
  rpc: ['action', 'rpc'],
  port: ['resource', 'port'],
  protocol: ['action', 'protocol'],
}
const tokens = Object.keys(places) as readonly PolicyToken[]

/** `redacted` holds no more names than this (`audit/redact.ts`): a list that is full may lack some. */
const fullList = 64

/**
 * Reads what policy saw back from the data of a decision that a policy decided (`stageOf`). A token of `reads` that was masked
 * or cut makes it unreplayable; any other such token is left out of the request, because nothing reads it.
 */
export function recordedRequest(
  data: Readonly<Record<string, unknown>>,
  reads: ReadonlySet<PolicyToken>,
): RecordedRequest {
  const changed = changedTokens(data['redacted'])
  const [first, ...others] = changed.filter((token) => reads.has(token))
  if (first !== undefined) return { unreplayable: [first, ...others] }
  const values = valuesOf(data)
  const request: { [token in PolicyToken]?: string } = {}
  for (const token of tokens) {
    const value = changed.length > 0 && changed.includes(token) ? undefined : textOf(values[token])
    if (value !== undefined) request[token] = value
  }
  return { request }
}

const nothing: readonly PolicyToken[] = []

function changedTokens(redacted: unknown): readonly PolicyToken[] {
  if (redacted === undefined) return nothing
  const names = Array.isArray(redacted) ? redacted.filter((name) => typeof name === 'string') : ['redacted']
  if (names.length >= fullList || names.includes('redacted')) return tokens
  return tokens.filter((token) => names.some((name) => covers(name, places[token].join('.'))))
}

/** A name stands for the member, for all below it, or, as `resource.*`, for some member that was left out there. */
function covers(name: string, member: string): boolean {
  return (
    member === name || member.startsWith(`${name}.`) || (name.endsWith('*') && member.startsWith(name.slice(0, -1)))
  )
}

type Members = Readonly<Record<string, unknown>>

/** The values at `places`, member by member: to look the places up would take longer than to parse the record. */
function valuesOf(data: Members): { readonly [token in PolicyToken]: unknown } {
  const [subject, resource, action] = [
    membersOf(data['subject']),
    membersOf(data['resource']),
    membersOf(data['action']),
  ]
  return {
    sub: subject['principal'],
    user: membersOf(subject['user'])['id'],
    dst: resource['principal'],
    host: resource['host'],
    obj: resource['path'],
    act: action['method'],
    rpc: action['rpc'],
    port: resource['port'],
    protocol: action['protocol'],
  }
}

const noMembers: Members = {}

function membersOf(value: unknown): Members {
  return typeof value === 'object' && value !== null ? (value as Members) : noMembers
}

/** An empty text is an absent token; the port is a number in the record and text in policy. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/**
 * Who decided: `policy`; `before-policy`, where the answer is the same under any policy; or `no-answer`, where the record
 * does not hold what a policy answered.
 */
export type Stage = 'policy' | 'before-policy' | 'no-answer'

const stages: { readonly [reason in Reason]: Stage } = {
  ALLOWED_BY_RULE: 'policy',
  DENIED_BY_RULE: 'policy',
  NO_MATCHING_RULE: 'policy',
  PRINCIPAL_MISSING: 'before-policy',
  PRINCIPAL_INVALID: 'before-policy',
  TRUST_DOMAIN_UNKNOWN: 'before-policy',
  USER_TOKEN_INVALID: 'before-policy',
  USER_TOKEN_EXPIRED: 'before-policy',
  REQUEST_MALFORMED: 'before-policy',
  PATH_SUSPICIOUS: 'before-policy',
  POLICY_UNAVAILABLE: 'no-answer',
  AUDIT_UNAVAILABLE: 'no-answer',
  OVERLOADED: 'no-answer',
  DECISION_FAULT: 'no-answer',
}

const stagesByReason: ReadonlyMap<unknown, Stage> = new Map(Object.entries(stages))

/** Who decided, by the reason of a decision; undefined where this version does not know the reason. */
export function stageOf(reason: unknown): Stage | undefined {
  return stagesByReason.get(reason)
}
