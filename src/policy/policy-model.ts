import type { PolicyToken } from '../decision/rule-set.ts'
import type { MatcherReads } from './parse/matcher-reads.ts'
import type { Condition } from './parse/matcher.ts'
import type { Definition } from './parse/parse-model.ts'

/** How the rules that match become one answer. All deny where no rule allows. */
export const effects = {
  'some(where (p.eft == allow))': 'allow-override',
  'some(where (p.eft == allow)) && !some(where (p.eft == deny))': 'allow-and-deny',
  'priority(p.eft) || deny': 'priority',
  'subjectPriority(p.eft) || deny': 'subject-priority',
} as const

export type PolicyEffect = (typeof effects)[keyof typeof effects]

/** A checked model: what a compiler or Casbin's own enforcer may rely on. */
export interface PolicyModel {
  /** Text of model.conf. */
  readonly text: string
  readonly definitions: readonly Definition[]
  /** Of the request definition, in its order. */
  readonly tokens: readonly PolicyToken[]
  /** Of the policy definition, in its order. */
  readonly columns: readonly string[]
  /** Role definitions, with the number of values of a link: 2, or 3 with a domain. */
  readonly roles: ReadonlyMap<string, number>
  readonly effect: PolicyEffect
  readonly matcher: Condition
  readonly reads: MatcherReads
}
