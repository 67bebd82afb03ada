import { messageOf } from '../../errors.ts'
import { compile } from '../compile.ts'
import { Pace } from '../pace.ts'
import { parseTests } from '../parse/parse-tests.ts'
import type { PolicyModel } from '../policy-model.ts'
import { problem, type PolicyProblem } from '../problem.ts'
import { modelFile, readSource, testsFile, type Snapshot } from '../source/source.ts'
import { checkPolicy } from '../validate/validate.ts'
import { runTests, type TestReport } from './run-tests.ts'

/** A policy of which the tests have been run, whatever they gave. */
export interface TestedPolicy {
  readonly ok: true
  readonly policyVersion: string
  readonly model: PolicyModel
  /** Null where the folder has no tests.yaml. */
  readonly report: TestReport | null
}

export type TestOutcome = TestedPolicy | { readonly ok: false; readonly problems: readonly PolicyProblem[] }

/**
 * Reads, checks and compiles the policy of a folder as the server does, and runs its tests. Loading tells of a failing test
 * that it failed; this tells of all. Never throws for what stands in the folder.
 */
export async function testFolder(folder: string): Promise<TestOutcome> {
  const { snapshot, problems } = await readSource(folder)
  if (snapshot === undefined || problems.length > 0) return { ok: false, problems }
  try {
    return await testSnapshot(snapshot, new Pace())
  } catch (fault) {
    return { ok: false, problems: [problem(modelFile, null, 'LOAD_FAILED', messageOf(fault))] }
  }
}

async function testSnapshot(snapshot: Snapshot, pace: Pace): Promise<TestOutcome> {
  const checked = await checkPolicy(snapshot, pace)
  if (!checked.ok) return checked
  const { policyVersion, model } = checked.policy
  const compiled = await compile(checked.policy, pace)
  if (!compiled.ok) return compiled
  const file = snapshot.files.find(({ name }) => name === testsFile)
  if (file === undefined) return { ok: true, policyVersion, model, report: null }
  const { cases, problems } = await parseTests(file, checked.policy, pace)
  if (problems.length > 0) return { ok: false, problems }
  return { ok: true, policyVersion, model, report: await runTests(compiled.ruleSet, cases, pace) }
}
