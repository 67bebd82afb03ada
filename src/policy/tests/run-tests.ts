import type { Rule } from '../../decision/decision.ts'
import type { Evaluation, PolicyRequest, PolicyToken } from '../../decision/rule-set.ts'
import { messageOf } from '../../errors.ts'
import type { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyTest } from '../parse/parse-tests.ts'
import type { PolicyModel } from '../policy-model.ts'
import { problem, shown, type PolicyProblem } from '../problem.ts'

/** What is asked of the rules that are tested. */
export interface TestedRules {
  readonly model: Pick<PolicyModel, 'reads'>
  /** Rules (type p), duplicates dropped. */
  readonly rules: readonly PolicyRow[]
  evaluate(request: PolicyRequest): Evaluation
  /** Every rule whose matcher holds for the request, whatever its effect. */
  matching(request: PolicyRequest): readonly PolicyRow[]
}

/** What a request got. */
export interface TestAnswer {
  readonly effect: 'allow' | 'deny'
  readonly rule: Rule | null
  readonly roles: readonly string[]
  /** Why the rules could not be evaluated; such a request is denied. */
  readonly fault: string | null
}

export interface TestResult {
  readonly test: PolicyTest
  readonly passed: boolean
  readonly got: TestAnswer
  /** Tokens that the matcher reads and the test leaves out. */
  readonly absent: readonly PolicyToken[]
}

export interface TestCoverage {
  /** Rules of the policy, each counted once where it stands twice. */
  readonly rules: number
  /** Rules that match the request of at least one test. */
  readonly touched: number
  /** Rules that settle the request of at least one test. */
  readonly settling: number
  /** Rules that no test touches, in the order in which the effect sees them. */
  readonly untouched: readonly Rule[]
}

export interface TestReport {
  /** In the order of the file. */
  readonly results: readonly TestResult[]
  readonly passed: number
  readonly failed: number
  readonly coverage: TestCoverage
}

/** Puts the request of each test to the rules. A test passes where the effect, and the rule if one is named, are the expected ones. */
export async function runTests(rules: TestedRules, cases: readonly PolicyTest[], pace: Pace): Promise<TestReport> {
  const results: TestResult[] = []
  const touched = new Set<string>()
  const settling = new Set<string>()
  for (const test of cases) {
    const { got, matching } = answerTo(rules, test.request)
    results.push({ test, passed: isExpected(test, got), got, absent: absentFrom(test.request, rules.model) })
    for (const { rule } of matching) touched.add(placeOf(rule))
    if (got.rule !== null) settling.add(placeOf(got.rule))
    if (pace.due) await pace.rest()
  }
  const passed = results.filter((result) => result.passed).length
  const coverage = await coverageOf(rules.rules, touched, settling, pace)
  return { results, passed, failed: results.length - passed, coverage }
}

function answerTo(
  rules: TestedRules,
  request: PolicyRequest,
): { readonly got: TestAnswer; readonly matching: readonly PolicyRow[] } {
  try {
    return { got: { ...rules.evaluate(request), fault: null }, matching: rules.matching(request) }
  } catch (fault) {
    return { got: { effect: 'deny', rule: null, roles: [], fault: messageOf(fault) }, matching: [] }
  }
}

/** A denial by a fault is none that anybody can expect. */
function isExpected(test: PolicyTest, got: TestAnswer): boolean {
  if (got.fault !== null || got.effect !== test.expect) return false
  return test.rule === null || (got.rule !== null && placeOf(got.rule) === placeOf(test.rule.rule))
}

function absentFrom(request: PolicyRequest, { reads }: Pick<PolicyModel, 'reads'>): readonly PolicyToken[] {
  return [...reads.tokens].filter((token) => !Object.hasOwn(request, token))
}

async function coverageOf(
  rules: readonly PolicyRow[],
  touched: ReadonlySet<string>,
  settling: ReadonlySet<string>,
  pace: Pace,
): Promise<TestCoverage> {
  const untouched: Rule[] = []
  for (const { rule } of rules) {
    const place = placeOf(rule)
    if (!touched.has(place) && !settling.has(place)) untouched.push(rule)
    if (pace.due) await pace.rest()
  }
  const count = rules.length
  return { rules: count, touched: count - untouched.length, settling: settling.size, untouched }
}

function placeOf({ file, line }: Rule): string {
  return `${String(line)} ${file}`
}

/** Each test that failed as a problem at the test's place: what was expected, what it got, and what to look at. */
export function failuresOf(report: TestReport): PolicyProblem[] {
  return report.results.filter(({ passed }) => !passed).map(failureOf)
}

function failureOf(result: TestResult): PolicyProblem {
  const { file, line, column, name } = result.test
  const hint = hintOf(result)
  const message = `the test ${shown(name)} expects ${expectedText(result.test)}, and got ${gotText(result.got)}`
  return problem(file, line, 'TEST_FAILED', hint === null ? message : `${message}; ${hint}`, column)
}

/** What a test wants, for people. */
export function expectedText({ expect, rule }: PolicyTest): string {
  return rule === null ? expect : `${expect} by ${ruleText(rule.rule)}`
}

/** What a request got, for people. */
export function gotText({ effect, rule, roles, fault }: TestAnswer): string {
  if (fault !== null) return `a denial because the rules failed: ${fault}`
  if (rule === null) return `${effect}: no rule matches`
  const through = roles.length === 0 ? '' : `, over the role ${roles.map(shown).join(' → ')}`
  return `${effect} by ${ruleText(rule)}${through}`
}

function ruleText({ file, line, text }: Rule): string {
  return `${shown(text)} (${file}:${String(line)})`
}

/** What may be the cause; null where nothing can be said. */
export function hintOf({ test, got, absent }: TestResult): string | null {
  if (got.fault !== null || got.rule !== null || test.expect === 'deny' || absent.length === 0) return null
  return `the test leaves out ${absent.join(', ')}, which a rule may need: what is absent equals nothing`
}
