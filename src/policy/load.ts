import type { PolicyRequest } from '../decision/rule-set.ts'
import { messageOf } from '../errors.ts'
import { compile } from './compile.ts'
import type { CompiledRuleSet } from './compiled/rule-set.ts'
import { askCasbin } from './oracle/ask.ts'
import { Pace } from './pace.ts'
import type { PolicyRow } from './parse/parse-rules.ts'
import { parseTests, type PolicyTest } from './parse/parse-tests.ts'
import { problem, type PolicyProblem } from './problem.ts'
import { verifyManifest, type PolicyAuthor, type PublicSigner } from './source/manifest.ts'
import { modelFile, readSource, testsFile, type Snapshot } from './source/source.ts'
import { failuresOf, runTests, type TestReport } from './tests/run-tests.ts'
import { checkPolicy, type CheckedPolicy } from './validate/validate.ts'
import { scanWarnings, warningsOf } from './validate/warnings.ts'

/** A policy that can be put in force. */
export interface LoadedPolicy {
  readonly ok: true
  readonly snapshot: Snapshot
  readonly policy: CheckedPolicy
  readonly ruleSet: CompiledRuleSet
  /** Rules and role links. */
  readonly rows: readonly PolicyRow[]
  readonly warnings: readonly PolicyProblem[]
  /** Null where there is no tests.yaml. */
  readonly tests: TestReport | null
  /** Who wrote it, where a listed key says so. */
  readonly author: PolicyAuthor | null
}

/** What a policy has to keep beyond what every policy has to. */
export interface LoadOptions {
  /** Whose signatures are believed, and whether a policy needs one. */
  readonly signers?: readonly PublicSigner[]
  readonly requireSignature?: boolean
  /** Segments that a pattern has to fix before its first wildcard. */
  readonly minPatternSegments?: number
  /** Whether requests are put to node-casbin as well; true where it is left out. */
  readonly compareWithCasbin?: boolean
  /** Nobody waits for the outcome any more: the work may end early. */
  readonly signal?: AbortSignal
}

export interface RefusedPolicy {
  readonly ok: false
  /** Left out where the files could not be read. */
  readonly snapshot?: Snapshot
  readonly problems: readonly PolicyProblem[]
  /** Left out where the check did not come so far. */
  readonly warnings?: readonly PolicyProblem[]
  /** There only where tests failed, and nothing else is wrong. */
  readonly tests?: TestReport
}

export type LoadOutcome = LoadedPolicy | RefusedPolicy

/**
 * Reads, checks, compiles and tests the policy of a folder, and puts it to Casbin. Whatever is wrong with it is a problem. Rejects only where
 * `options.signal` has given it up.
 */
export async function loadPolicy(folder: string, options: LoadOptions = {}): Promise<LoadOutcome> {
  const { snapshot, problems } = await readSource(folder)
  if (snapshot === undefined) return { ok: false, problems }
  return problems.length > 0 ? { ok: false, snapshot, problems } : buildPolicy(snapshot, options)
}

/** Does the same with a policy that has been read, in slices: nothing else waits for more than a few milliseconds. */
export async function buildPolicy(snapshot: Snapshot, options: LoadOptions = {}): Promise<LoadOutcome> {
  try {
    return await build(snapshot, options, new Pace(options.signal))
  } catch (fault) {
    options.signal?.throwIfAborted()
    return { ok: false, snapshot, problems: [problem(modelFile, null, 'LOAD_FAILED', messageOf(fault))] }
  }
}

async function build(snapshot: Snapshot, options: LoadOptions, pace: Pace): Promise<LoadOutcome> {
  const refused = (problems: readonly PolicyProblem[]): RefusedPolicy => ({ ok: false, snapshot, problems })
  const { signers = [], requireSignature = false } = options
  const signed = verifyManifest(snapshot.manifest, snapshot, signers, requireSignature)
  if (signed.problems.length > 0) return refused(signed.problems)
  const checked = await checkPolicy(snapshot, pace, { minPatternSegments: options.minPatternSegments ?? 0 })
  if (!checked.ok) return refused(checked.problems)
  const { policy } = checked
  const compiled = await compile(policy, pace)
  if (!compiled.ok) return refused(compiled.problems)
  const { ruleSet } = compiled
  const { author } = signed
  const warnings = [
    ...signed.warnings,
    ...scanWarnings(policy.model, ruleSet.scans),
    ...(await warningsOf(policy, pace, ruleSet.rules)),
  ]
  const { cases, problems } = await testsOf(snapshot, policy, pace)
  if (problems.length > 0) return { ...refused(problems), warnings }
  const tests = cases === null ? null : await runTests(ruleSet, cases, pace)
  if (tests !== null && tests.failed > 0) return { ...refused(failuresOf(tests)), warnings, tests }
  const disagreements = await compareWithCasbin(snapshot, policy, cases ?? [], ruleSet, options)
  if (disagreements.length > 0) return { ...refused(disagreements), warnings }
  return { ok: true, snapshot, policy, ruleSet, rows: policy.rows, warnings, tests, author }
}

async function testsOf(
  snapshot: Snapshot,
  policy: CheckedPolicy,
  pace: Pace,
): Promise<{ readonly cases: readonly PolicyTest[] | null; readonly problems: readonly PolicyProblem[] }> {
  const file = snapshot.files.find(({ name }) => name === testsFile)
  return file === undefined ? { cases: null, problems: [] } : parseTests(file, policy, pace)
}

async function compareWithCasbin(
  snapshot: Snapshot,
  policy: CheckedPolicy,
  cases: readonly PolicyTest[],
  ruleSet: CompiledRuleSet,
  options: LoadOptions,
): Promise<readonly PolicyProblem[]> {
  if (options.compareWithCasbin === false) return []
  const ask = (request: PolicyRequest) => ruleSet.evaluate(request)
  const { problems } = await askCasbin(snapshot, policy, cases, ask, { signal: options.signal })
  return problems
}
