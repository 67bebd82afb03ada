import { openSnapshot, type OpenedPolicy } from '../../../src/policy/explain/open-policy.ts'
import { explain, type Explanation } from '../../../src/policy/explain/explain.ts'
import type { ComparedPolicy } from '../../../src/policy/explain/diff.ts'
import type { PolicyRequest } from '../../../src/decision/rule-set.ts'
import { snapshot } from '../policies.ts'

/** A policy that is expected to be good, of a model and the lines of one file. */
export async function opened(model: string, csv: string): Promise<OpenedPolicy> {
  const outcome = await openSnapshot(snapshot({ 'model.conf': model, 'policy.csv': csv }))
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.problems))
  return outcome
}

export async function explained(model: string, csv: string, request: PolicyRequest): Promise<Explanation> {
  const { ruleSet, policy } = await opened(model, csv)
  return explain({ ruleSet, rows: policy.rows }, request)
}

export async function compared(model: string, csv: string): Promise<ComparedPolicy> {
  const { ruleSet, policy } = await opened(model, csv)
  return { ...policy, rules: ruleSet.rules }
}
