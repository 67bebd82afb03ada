import type { Evaluation, PolicyRequest } from '../../decision/rule-set.ts'
import { differences, type Difference, type DifferenceName } from './differences.ts'
import type { AskedPolicy, CasbinAnswer, PlainCasbin } from './plain-casbin.ts'

/** What was answered here, or that it threw. */
export type OwnAnswer = Pick<Evaluation, 'effect' | 'rule'> | { readonly fault: string }

export type Comparison =
  | { readonly kind: 'same' }
  /** Casbin answers otherwise, and would answer the same with its differences taken away. */
  | { readonly kind: 'excused'; readonly casbin: CasbinAnswer }
  | { readonly kind: 'disagrees'; readonly casbin: CasbinAnswer }

/** Puts a request to Casbin, and compares effect and rule with what was answered here. Rules of equal values are the same. */
export function compareWithCasbin(casbin: PlainCasbin, request: PolicyRequest, own: OwnAnswer): Comparison {
  const answer = casbin.answer(request)
  const { policy } = casbin
  if (sameAnswer(policy, answer, own)) return { kind: 'same' }
  const excused = sameAnswer(policy, answerWithout(casbin, request, differences), own)
  return { kind: excused ? 'excused' : 'disagrees', casbin: answer }
}

/** The fewest differences that excuse an answer which `compareWithCasbin` found excused. */
export function namesOfExcuse(casbin: PlainCasbin, request: PolicyRequest, own: OwnAnswer): readonly DifferenceName[] {
  let needed: readonly (Difference & { readonly name: DifferenceName })[] = differences
  for (const difference of differences) {
    const fewer = needed.filter((other) => other !== difference)
    if (sameAnswer(casbin.policy, answerWithout(casbin, request, fewer), own)) needed = fewer
  }
  return needed.map(({ name }) => name)
}

/** What Casbin would answer with some of its differences taken away. */
function answerWithout(casbin: PlainCasbin, request: PolicyRequest, taken: readonly Difference[]): CasbinAnswer {
  const { policy } = casbin
  for (const { always } of taken) {
    const answer = always?.(policy)
    if (answer !== undefined) return answer
  }
  return casbin.answerWith(
    {
      calls: (own) => taken.reduce((changed, { calls }) => calls?.(changed, policy) ?? changed, own),
      rules: (own) => taken.reduce((changed, { rules }) => rules?.(changed) ?? changed, own),
    },
    request,
  )
}

function sameAnswer(policy: AskedPolicy, casbin: CasbinAnswer, own: OwnAnswer): boolean {
  if ('fault' in own || 'fault' in casbin || own.effect !== casbin.effect) return false
  if (own.rule === null || casbin.row === null) return own.rule === casbin.row
  const { file, line } = own.rule
  if (casbin.row.rule.file === file && casbin.row.rule.line === line) return true
  const row = policy.rows.find(({ rule }) => rule.file === file && rule.line === line)
  return row !== undefined && JSON.stringify(row.values) === JSON.stringify(casbin.row.values)
}
