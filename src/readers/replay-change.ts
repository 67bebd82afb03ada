import type { ParsedRecord } from '../audit/chain.ts'
import type { Rule } from '../decision/decision.ts'
import type { PolicyRequest, PolicyToken, RuleSet } from '../decision/rule-set.ts'
import { messageOf } from '../errors.ts'
import { numberAt, textAt } from './members.ts'
import { recordedRequest } from './policy-request.ts'

/** A policy that decisions are put to. */
export interface ReplayPolicy {
  readonly ruleSet: RuleSet
  /** The tokens that its matcher reads. */
  readonly reads: ReadonlySet<PolicyToken>
}

/** What a policy says of a request; `rule` is null where no rule settles it, `fault` tells why evaluating it failed. */
export interface Answer {
  readonly effect: 'allow' | 'deny'
  readonly rule: Rule | null
  readonly fault?: string
}

/** `allow`, `deny`: what the effect becomes; `rule`: the effect stays, and another rule settles it, or none. */
export type ChangeKind = 'allow' | 'deny' | 'rule'

export interface Change {
  readonly kind: ChangeKind
  readonly decisionId: string
  /** When the request was decided (RFC 3339). */
  readonly time: string
  readonly principal: string
  /** What was asked for: the gRPC method, or the HTTP method with the path pattern of the rule, or the port. */
  readonly route: string
  readonly before: Answer
  readonly after: Answer
}

export type Replayed =
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'changed'; readonly change: Change }
  | { readonly kind: 'unreplayable'; readonly tokens: readonly PolicyToken[] }

const unchanged: Replayed = { kind: 'unchanged' }

/** Puts one recorded decision, which a policy decided, to another policy. */
export function replayDecision(record: ParsedRecord, { ruleSet, reads }: ReplayPolicy): Replayed {
  const recorded = recordedRequest(record.data, reads)
  if ('unreplayable' in recorded) return { kind: 'unreplayable', tokens: recorded.unreplayable }
  const before = recordedAnswer(record)
  const after = answerOf(ruleSet, recorded.request)
  if (before.effect === after.effect && isSameRule(record, before, after)) return unchanged
  const change: Change = {
    kind: before.effect === after.effect ? 'rule' : after.effect,
    before,
    after,
    time: ownCopy(record.time),
    decisionId: ownCopy(textAt(record, 'decisionId') ?? record.id),
    principal: ownCopy(textAt(record, 'subject', 'principal') ?? '-'),
    route: routeOf(record, before, after),
  }
  return { kind: 'changed', change }
}

/** A text that was cut out of a line keeps the whole line in memory; some of these texts are kept to the end. */
function ownCopy(text: string): string {
  return Buffer.from(text, 'utf16le').toString('utf16le')
}

function recordedAnswer(record: ParsedRecord): Answer {
  const effect = textAt(record, 'reason') === 'ALLOWED_BY_RULE' ? 'allow' : 'deny'
  const [file, text] = [textAt(record, 'rule', 'file'), textAt(record, 'rule', 'text')]
  if (file === undefined || text === undefined) return { effect, rule: null }
  return { effect, rule: { file, text, line: numberAt(record, 'rule', 'line') ?? 0 } }
}

/** Whatever goes wrong is a denial, as it is where requests are decided (`decide`). */
function answerOf(ruleSet: RuleSet, request: PolicyRequest): Answer {
  try {
    return ruleSet.evaluate(request)
  } catch (fault) {
    return { effect: 'deny', rule: null, fault: messageOf(fault) }
  }
}

/** A rule is its text, whatever the spaces about its commas: it may have moved to another line or file. */
function isSameRule(record: ParsedRecord, before: Answer, after: Answer): boolean {
  if (after.fault !== undefined) return false
  if (before.rule?.text === after.rule?.text) return true
  if (before.rule === null || after.rule === null) return false
  const [old, now] = [before.rule.text, after.rule.text].map((text) => text.replace(/\s*,\s*/g, ',')) as [
    string,
    string,
  ]
  const { redacted } = record.data
  const isCut = Array.isArray(redacted) && redacted.includes('rule.text')
  return old === now || (isCut && now.startsWith(old))
}

function routeOf(record: ParsedRecord, before: Answer, after: Answer): string {
  const rpc = textAt(record, 'action', 'rpc')
  if (rpc !== undefined) return rpc
  const method = textAt(record, 'action', 'method')
  if (method !== undefined) return `${method} ${patternOf(before, after) ?? textAt(record, 'resource', 'path') ?? ''}`
  const port = numberAt(record, 'resource', 'port')
  return `${textAt(record, 'action', 'protocol') ?? '?'} port ${port === undefined ? '?' : String(port)}`
}

/** The path pattern of the rule that settles the request, before or after: of two, the one that says more. */
function patternOf(before: Answer, after: Answer): string | undefined {
  const [old, now] = [before.rule, after.rule].map((rule) => (rule === null ? undefined : pathIn(rule.text)))
  return literals(now) > literals(old) ? now : old
}

/** The first value of a rule that begins as a path does, or as a regular expression of one. */
function pathIn(rule: string): string | undefined {
  return /,\s*"?(\^?\/[^,"]*)/.exec(rule)?.[1]?.trimEnd()
}

function literals(pattern: string | undefined): number {
  return pattern === undefined ? -1 : pattern.replace(/\{[^}]*\}|:[^/]*|[*^$.?+\\]/g, '').length
}
