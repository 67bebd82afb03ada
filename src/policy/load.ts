import { messageOf } from '../errors.ts'
import { compile } from './compile.ts'
import type { CompiledRuleSet } from './compiled/rule-set.ts'
import { startOracle, type AskCounts, type Oracle } from './oracle/ask.ts'
import { readingProblem } from './oracle/same-reading.ts'
import { Pace } from './pace.ts'
import type { PolicyRow } from './parse/parse-rules.ts'
import { parseTests, type PolicyTest } from './parse/parse-tests.ts'
import { problem, shown, warning, type PolicyProblem } from './problem.ts'
import { verifyManifest, type ManifestVerdict, type PolicyAuthor, type PublicSigner } from './source/manifest.ts'
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
  /** How many requests node-casbin was asked as well; null where it was not. */
  readonly compared: AskCounts | null
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
  const { signers = [], requireSignature = false, minPatternSegments = 0, signal } = options
  const signed = verifyManifest(snapshot.manifest, snapshot, signers, requireSignature)
  if (signed.problems.length > 0) return { ok: false, snapshot, problems: signed.problems }
  const checked = await checkPolicy(snapshot, pace, { minPatternSegments })
  if (!checked.ok) return { ok: false, snapshot, problems: checked.problems }
  const otherReading = readingProblem(checked.policy.model)
  if (otherReading !== undefined) {
    return { ok: false, snapshot, problems: [problem(modelFile, null, 'CASBIN_REFUSED', otherReading)] }
  }
  // Casbin reads the policy in its own thread meanwhile.
  const oracle = options.compareWithCasbin === false ? undefined : startOracle(snapshot, { signal })
  try {
    return await compileAndTry(snapshot, checked.policy, signed, oracle, pace)
  } finally {
    await oracle?.end()
  }
}

async function compileAndTry(
  snapshot: Snapshot,
  policy: CheckedPolicy,
  signed: ManifestVerdict,
  oracle: Oracle | undefined,
  pace: Pace,
): Promise<LoadOutcome> {
  const compiled = await compile(policy, pace)
  if (!compiled.ok) return { ok: false, snapshot, problems: compiled.problems }
  const { ruleSet } = compiled
  const { cases, problems } = await testsOf(snapshot, policy, pace)
  if (problems.length > 0) return { ok: false, snapshot, problems }
  const tests = cases === null ? null : await runTests(ruleSet, cases, pace)
  const failed = tests !== null && tests.failed > 0
  const comparing = failed ? undefined : oracle?.compare(cases ?? [], (request) => ruleSet.evaluate(request))
  const [compared, found] = await Promise.all([comparing, warningsOf(policy, pace, ruleSet.rules)])
  const scans = scanWarnings(policy.model, ruleSet.scans)
  const warnings = [...ignoredFiles(snapshot), ...signed.warnings, ...scans, ...found, ...(compared?.warnings ?? [])]
  if (failed) return { ok: false, snapshot, problems: failuresOf(tests), warnings, tests }
  if (compared !== undefined && compared.problems.length > 0) {
    return { ok: false, snapshot, problems: compared.problems, warnings }
  }
  const { rows } = policy
  const { author } = signed
  return { ok: true, snapshot, policy, ruleSet, rows, warnings, tests, compared: compared?.counts ?? null, author }
}

function ignoredFiles({ ignored = [] }: Snapshot): readonly PolicyProblem[] {
  return ignored.map((name) =>
    warning(
      shown(name),
      null,
      'FILE_IGNORED',
      'this is no part of the policy: model.conf, *.csv and tests.yaml are, in the folder itself',
    ),
  )
}

async function testsOf(
  snapshot: Snapshot,
  policy: CheckedPolicy,
  pace: Pace,
): Promise<{ readonly cases: readonly PolicyTest[] | null; readonly problems: readonly PolicyProblem[] }> {
  const file = snapshot.files.find(({ name }) => name === testsFile)
  return file === undefined ? { cases: null, problems: [] } : parseTests(file, policy, pace)
}
