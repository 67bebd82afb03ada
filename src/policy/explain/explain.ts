import type { Reason, Rule } from '../../decision/decision.ts'
import type { Evaluation, PolicyRequest, PolicyToken } from '../../decision/rule-set.ts'
import { messageOf } from '../../errors.ts'
import type { CompiledRuleSet } from '../compiled/rule-set.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { effectOf, valueOf } from './model-shape.ts'
import { nearMisses, type NearMiss } from './near-misses.ts'
import { RolePaths, type RolePath } from './role-paths.ts'

/** What a policy answers to one request, and why. */
export interface Explanation {
  readonly policyVersion: string
  readonly request: PolicyRequest
  readonly effect: 'allow' | 'deny'
  readonly reason: Extract<Reason, 'ALLOWED_BY_RULE' | 'DENIED_BY_RULE' | 'NO_MATCHING_RULE' | 'DECISION_FAULT'>
  /** For DECISION_FAULT: what went wrong. */
  readonly fault: string | null
  /** The rule that settled it; null where none allows. */
  readonly rule: Rule | null
  /** As a decision records them. */
  readonly roles: readonly string[]
  readonly rolePaths: readonly RolePath[]
  /** Every rule whose matcher holds, in the order in which the effect sees them. */
  readonly eligible: readonly EligibleRule[]
  /** Where no rule allows: those that nearly would, the nearest first. */
  readonly nearMisses: readonly NearMiss[]
  /** Tokens that the matcher reads and the request does not have. */
  readonly absent: readonly PolicyToken[]
  /** Tokens that the request has and the matcher does not read. */
  readonly unread: readonly PolicyToken[]
}

export interface EligibleRule {
  readonly rule: Rule
  readonly effect: 'allow' | 'deny'
  readonly settles: boolean
  /** What became of it, in a few words. */
  readonly why: string
  readonly rolePaths: readonly RolePath[]
}

export interface ExplainOptions {
  /** Near misses at the most; 5 where it is left out. */
  readonly misses?: number
}

/** What there is to explain: a compiled policy, and its rows with their role links. */
export interface ExplainedPolicy {
  readonly ruleSet: CompiledRuleSet
  readonly rows: readonly PolicyRow[]
}

/** Explains what a policy answers to a request. Never throws for what stands in either. */
export function explain(
  { ruleSet, rows }: ExplainedPolicy,
  request: PolicyRequest,
  { misses = 5 }: ExplainOptions = {},
): Explanation {
  const { model, policyVersion } = ruleSet
  const read = model.reads.tokens
  const isGiven = (token: PolicyToken) => (request[token] ?? '') !== ''
  const about = {
    policyVersion,
    request,
    absent: model.tokens.filter((token) => read.has(token) && !isGiven(token)),
    unread: (Object.keys(request) as PolicyToken[]).filter((token) => !read.has(token) && isGiven(token)),
  }
  try {
    return { ...about, fault: null, ...answered(ruleSet, rows, request, misses) }
  } catch (thrown) {
    const nothing = { rule: null, roles: [], rolePaths: [], eligible: [], nearMisses: [] }
    return { ...about, effect: 'deny', reason: 'DECISION_FAULT', fault: messageOf(thrown), ...nothing }
  }
}

function answered(
  ruleSet: CompiledRuleSet,
  rows: readonly PolicyRow[],
  request: PolicyRequest,
  misses: number,
): Omit<Explanation, 'policyVersion' | 'request' | 'fault' | 'absent' | 'unread'> {
  const { model } = ruleSet
  const evaluation = ruleSet.evaluate(request)
  const matching = ruleSet.matching(request)
  const paths = new RolePaths(ruleSet, request, rows)
  const settling = matching.find(({ rule }) => samePlace(rule, evaluation.rule))
  return {
    effect: evaluation.effect,
    reason: reasonOf(evaluation),
    rule: evaluation.rule,
    roles: evaluation.roles,
    rolePaths: settling === undefined ? [] : paths.of(settling),
    eligible: matching.map((row) => ({
      rule: row.rule,
      effect: effectOf(model, row),
      settles: row === settling,
      why: fateOf(row, settling, model),
      rolePaths: paths.of(row),
    })),
    nearMisses: nearMisses(ruleSet, request, couldHaveAllowed(ruleSet, evaluation, settling), misses),
  }
}

function reasonOf({ effect, rule }: Evaluation): 'ALLOWED_BY_RULE' | 'DENIED_BY_RULE' | 'NO_MATCHING_RULE' {
  if (effect === 'allow') return 'ALLOWED_BY_RULE'
  return rule === null ? 'NO_MATCHING_RULE' : 'DENIED_BY_RULE'
}

function samePlace(a: Rule, b: Rule | null): boolean {
  return a.file === b?.file && a.line === b.line
}

/** Rules that would have changed a denial, had they matched: behind a rule that settled it there are none. */
function couldHaveAllowed(
  { model, rules }: CompiledRuleSet,
  { effect, rule }: Evaluation,
  settling: PolicyRow | undefined,
): readonly PolicyRow[] {
  if (effect === 'allow') return []
  if (rule === null || settling === undefined) return rules
  return model.effect === 'allow-and-deny' ? [] : rules.slice(0, rules.indexOf(settling))
}

/** Why a rule that matches did, or did not, settle the request. */
function fateOf(row: PolicyRow, settling: PolicyRow | undefined, model: PolicyModel): string {
  if (row === settling) return 'settles it'
  if (settling === undefined) return 'does not allow'
  const place = `${settling.rule.file}:${String(settling.rule.line)}`
  switch (model.effect) {
    case 'allow-override':
      return `comes after ${place}`
    case 'allow-and-deny':
      return fateBesideDenial(row, settling, model, place)
    case 'priority': {
      if (!model.columns.includes('priority')) return `comes after ${place}`
      const [own, other] = [row, settling].map((one) => valueOf(model, one, 'priority'))
      if (own === other) return `comes after ${place}, with the same priority`
      return `comes after ${place}: priority ${String(own)}, after ${String(other)}`
    }
    case 'subject-priority':
      return `comes after ${place} in the order of subjects`
  }
}

function fateBesideDenial(row: PolicyRow, settling: PolicyRow, model: PolicyModel, place: string): string {
  if (effectOf(model, settling) === 'allow') return `allows too; of several the last is named, ${place}`
  return effectOf(model, row) === 'allow' ? `overridden by the denial of ${place}` : `denies too, after ${place}`
}
