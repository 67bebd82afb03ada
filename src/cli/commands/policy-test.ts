import { Command, InvalidArgumentError } from 'commander'
import { loadPolicy, type LoadedPolicy, type LoadOutcome } from '../../policy/load.ts'
import type { TestReport, TestResult } from '../../policy/tests/run-tests.ts'
import { commanderOutput, exitByUsage, type Io } from '../print.ts'
import { problemLines } from '../problem-text.ts'
import { coveragePercent, testReportText } from '../test-report-text.ts'

interface TestOptions {
  readonly coverage?: number
  readonly verbose?: true
  readonly json?: true
}

/** Columns where the output is no terminal. */
const defaultColumns = 120

const examples = `
The tests stand in tests.yaml, beside the rules: docs/policy-tests.md tells how they are written. The server runs them too,
and refuses a version of which one fails.

Examples:
  countersign policy test ./policy
  countersign policy test ./policy --coverage 100

Exit status: 0 all tests passed, 1 a test failed, too few rules are covered, there are no tests, or the policy has problems,
2 wrong usage.`

/**
 * `countersign policy test DIR`: runs the tests of a policy folder and says what failed and which rules no test touches. Sets
 * `process.exitCode`: 0 where all passed, and 1 also where there are none, since whoever runs it believes that there are.
 */
export function policyTestCommand(io: Io): Command {
  return new Command('test')
    .description('run the tests of a policy folder')
    .argument('<dir>', 'folder that holds model.conf, *.csv and tests.yaml')
    .option('--coverage <percent>', 'fail where tests touch less than so many percent of the rules', parsePercent)
    .option('--verbose', 'list the tests that passed, too')
    .option('--json', 'everything, as one JSON object')
    .addHelpText('after', examples)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (dir: string, options: TestOptions) => {
      const outcome = await loadPolicy(dir)
      process.exitCode = isGood(outcome, options.coverage) ? 0 : 1
      if (options.json === true) io.out(JSON.stringify(jsonOf(outcome, options.coverage)))
      else print(io, dir, outcome, options)
    })
}

function parsePercent(text: string): number {
  const percent = Number(text)
  if (/^\d+$/.test(text) && percent <= 100) return percent
  throw new InvalidArgumentError('allowed: a whole number from 0 to 100.')
}

function isGood(outcome: LoadOutcome, minimum = 0): boolean {
  if (!outcome.ok || outcome.tests === null || outcome.tests.results.length === 0) return false
  return coveragePercent(outcome.tests.coverage) >= minimum
}

function print(io: Io, dir: string, outcome: LoadOutcome, options: TestOptions): void {
  const { tests } = outcome
  if (tests !== undefined && tests !== null && tests.results.length > 0) {
    const { coverage: minimum, verbose = false } = options
    io.out(testReportText(tests, { folder: dir, minimum, verbose, columns: io.columns ?? defaultColumns }))
  } else if (outcome.ok) io.err(noTestsText(dir, outcome))
  else io.err(problemLines(dir, outcome.problems))
}

function noTestsText(dir: string, { ruleSet: { model }, tests }: LoadedPolicy): string {
  const why = tests === null ? 'has no tests.yaml' : 'has a tests.yaml without a test'
  return [
    `The policy in ${dir} ${why}: nothing was tested. Write what requests have to get:`,
    '',
    '- name: what this test is about',
    '  request:',
    ...model.tokens.map((token) => `    ${token}: …`),
    '  expect: allow',
    '',
    'A token that a request does not have is left out; docs/policy-tests.md tells the rest.',
  ].join('\n')
}

function jsonOf(outcome: LoadOutcome, minimum: number | undefined): object {
  const ok = isGood(outcome, minimum)
  const policyVersion = outcome.snapshot?.policyVersion ?? null
  const problems = outcome.ok ? [] : outcome.problems
  const { tests } = outcome
  const reason = ok ? null : reasonOf(outcome)
  if (tests === undefined || tests === null) return { ok, reason, policyVersion, problems, tests: [], coverage: null }
  return { ok, reason, policyVersion, problems, ...reportJson(tests) }
}

/** Why the exit status is 1. */
function reasonOf({ ok, tests }: LoadOutcome): 'PROBLEMS' | 'TEST_FAILED' | 'NO_TESTS' | 'COVERAGE_TOO_LOW' {
  if (!ok) return tests === undefined ? 'PROBLEMS' : 'TEST_FAILED'
  return tests === null || tests.results.length === 0 ? 'NO_TESTS' : 'COVERAGE_TOO_LOW'
}

function reportJson({ results, passed, failed, coverage }: TestReport): object {
  const { rules, touched, settling, untouched } = coverage
  const percent = coveragePercent(coverage)
  return { passed, failed, tests: results.map(testJson), coverage: { percent, rules, touched, settling, untouched } }
}

function testJson({ test, passed, got }: TestResult): object {
  const { name, file, line, column, request } = test
  const expected = { effect: test.expect, rule: test.rule?.rule ?? null }
  return { name, file, line, column, passed, request, expected, got }
}
