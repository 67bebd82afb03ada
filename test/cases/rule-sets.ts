import type { Rule } from '../../src/decision/decision.ts'
import type { Evaluation, PolicyRequest, RuleSet } from '../../src/decision/rule-set.ts'

export const policyVersion = `sha256:${'5f'.repeat(32)}`

export const readRule: Rule = { file: 'policy.csv', line: 12, text: 'p, orders-reader, /orders/**, GET, allow' }

export const allowed: Evaluation = { effect: 'allow', rule: readRule, roles: ['orders-reader'] }

/** Rules that answer every request alike, and keep what they were asked. */
export function ruleSetThat(answers: () => Evaluation): RuleSet & { readonly asked: PolicyRequest[] } {
  const asked: PolicyRequest[] = []
  return {
    asked,
    policyVersion,
    evaluate: (request) => {
      asked.push(request)
      return answers()
    },
  }
}
