import { compile } from '../compile.ts'
import { rulesInOrder } from '../compiled/rule-order.ts'
import type { CompiledRuleSet } from '../compiled/rule-set.ts'
import { Pace } from '../pace.ts'
import type { PolicyProblem } from '../problem.ts'
import { readSource, type Snapshot } from '../source/source.ts'
import { checkPolicy, type CheckedPolicy } from '../validate/validate.ts'
import type { ComparedPolicy } from './diff.ts'

/** A policy that can be explained. */
export interface OpenedPolicy {
  readonly ok: true
  readonly policy: CheckedPolicy
  readonly ruleSet: CompiledRuleSet
}

interface Unusable {
  readonly ok: false
  readonly problems: readonly PolicyProblem[]
}

/**
 * Reads, checks and compiles a policy folder. Its tests are not run: a policy that fails them is the one that has to be
 * explained. Never throws for what stands in the folder.
 */
export async function openPolicy(folder: string): Promise<OpenedPolicy | Unusable> {
  const { snapshot, problems } = await readSource(folder)
  return snapshot === undefined || problems.length > 0 ? { ok: false, problems } : openSnapshot(snapshot)
}

/** Checks and compiles a policy that has been read. */
export async function openSnapshot(snapshot: Snapshot): Promise<OpenedPolicy | Unusable> {
  const pace = new Pace()
  const checked = await checkPolicy(snapshot, pace)
  if (!checked.ok) return checked
  const compiled = await compile(checked.policy, pace)
  return compiled.ok ? { ok: true, policy: checked.policy, ruleSet: compiled.ruleSet } : compiled
}

/** Reads and checks a policy folder for a comparison, which takes no compiled rules. */
export async function openToCompare(folder: string): Promise<{ ok: true; policy: ComparedPolicy } | Unusable> {
  const { snapshot, problems } = await readSource(folder)
  if (snapshot === undefined || problems.length > 0) return { ok: false, problems }
  const pace = new Pace()
  const checked = await checkPolicy(snapshot, pace)
  if (!checked.ok) return checked
  const { model, rows } = checked.policy
  return { ok: true, policy: { ...checked.policy, rules: await rulesInOrder(model, rows, pace) } }
}
