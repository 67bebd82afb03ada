import type { RuleSet } from '../decision/rule-set.ts'
import { messageOf } from '../errors.ts'
import { buildCasbinRuleSet } from './oracle/casbin-rule-set.ts'
import { Pace } from './pace.ts'
import type { PolicyRow } from './parse/parse-rules.ts'
import { problem, type PolicyProblem } from './problem.ts'
import { modelFile, readSource, type Snapshot } from './source/source.ts'
import { checkPolicy } from './validate/validate.ts'

/** A policy that can be put in force. */
export interface LoadedPolicy {
  readonly ok: true
  readonly snapshot: Snapshot
  readonly ruleSet: RuleSet
  /** Rules and role links. */
  readonly rows: readonly PolicyRow[]
}

export interface RefusedPolicy {
  readonly ok: false
  /** Left out where the files could not be read. */
  readonly snapshot?: Snapshot
  readonly problems: readonly PolicyProblem[]
}

export type LoadOutcome = LoadedPolicy | RefusedPolicy

/** Reads, checks and builds the policy of a folder. Whatever is wrong with it is a problem; never throws for it. */
export async function loadPolicy(folder: string): Promise<LoadOutcome> {
  const { snapshot, problems } = await readSource(folder)
  if (snapshot === undefined) return { ok: false, problems }
  return problems.length > 0 ? { ok: false, snapshot, problems } : buildPolicy(snapshot)
}

/** Checks and builds a policy that has been read. */
export async function buildPolicy(snapshot: Snapshot): Promise<LoadOutcome> {
  try {
    const checked = await checkPolicy(snapshot, new Pace())
    if (!checked.ok) return { ok: false, snapshot, problems: checked.problems }
    const { policy } = checked
    return { ok: true, snapshot, ruleSet: await buildCasbinRuleSet(policy), rows: policy.rows }
  } catch (fault) {
    return { ok: false, snapshot, problems: [problem(modelFile, null, 'CASBIN_REFUSED', messageOf(fault))] }
  }
}
