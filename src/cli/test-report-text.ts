import type { PolicyRow } from '../policy/parse/parse-rules.ts'
import type { PolicyTest } from '../policy/parse/parse-tests.ts'
import { hintOf, type TestCoverage, type TestReport, type TestResult } from '../policy/tests/run-tests.ts'
import { counted, visible } from './print.ts'
import { firstOf, hanging } from './wrap.ts'

type Rule = PolicyRow['rule']

/** Failures, and untouched rules, that are printed for people. */
const maxPrinted = 50

export interface ReportOptions {
  /** Named in what to type next. */
  readonly folder: string
  /** The smallest coverage that is good enough, in percent. */
  readonly minimum: number | undefined
  /** Whether tests that passed are listed too. */
  readonly verbose: boolean
  readonly columns: number
}

/** Rules that a test touches, in whole percent: rounded down, so that 100 means all. A policy without rules has 100. */
export function coveragePercent({ rules, touched }: TestCoverage): number {
  return rules === 0 ? 100 : Math.floor((touched / rules) * 100)
}

/** A report for people: what failed, what no test touches, and a last line with the counts. */
export function testReportText(report: TestReport, options: ReportOptions): string {
  const failed = report.results.filter((result) => !result.passed)
  const sections = [
    options.verbose ? passedText(report) : '',
    ...firstOf(
      failed.map((result) => failureText(result, options)),
      maxPrinted,
      '',
    ),
    coverageText(report.coverage, options),
    countsText(report),
  ]
  const text = sections.filter((section) => section !== '').join('\n\n')
  return text.split('\n').map(visible).join('\n')
}

function passedText({ results }: TestReport): string {
  const passed = results.filter((result) => result.passed)
  return passed
    .map(({ test, got }) => `ok    ${test.name}${got.rule === null ? '' : `  ${placeOf(got.rule)}`}`)
    .join('\n')
}

function failureText(result: TestResult, { folder, columns }: ReportOptions): string {
  const { test, got } = result
  const line = (title: string, text: string) => hanging(`      ${title.padEnd(10)}`, text, columns)
  const expected = test.rule === null ? [] : [ruleLine('by', test.rule.rule, columns)]
  const by = got.rule === null ? [] : [ruleLine('by', got.rule, columns)]
  const roles = got.roles.length === 0 ? [] : [line('through', got.roles.join(' → '))]
  const hint = hintOf(result)
  return [
    `FAIL  ${test.name}`,
    `      ${test.file}:${String(test.line)}`,
    ...requestLines(test.request),
    line('expected', test.expect),
    ...expected,
    line('got', answerText(result)),
    ...by,
    ...roles,
    ...(hint === null ? [] : [line('hint', hint)]),
    ...(got.fault === null ? [`      why?      ${explainCommand(folder, test.request)}`] : []),
  ].join('\n')
}

function requestLines(request: PolicyTest['request']): readonly string[] {
  return Object.entries(request).map(([token, value], index) => {
    return `      ${(index === 0 ? 'request' : '').padEnd(10)}${token.padEnd(9)} ${value}`
  })
}

function ruleLine(title: string, rule: Rule, columns: number): string {
  return hanging(`      ${title.padEnd(10)}`, `${placeOf(rule)}: ${rule.text}`, columns)
}

function answerText({ got }: TestResult): string {
  if (got.fault !== null) return `a denial, because the rules failed: ${got.fault}`
  return got.rule === null ? `${got.effect}: no rule matches` : got.effect
}

function placeOf({ file, line }: Rule): string {
  return `${file}:${String(line)}`
}

/** On one line, however long: it is there to be copied. */
function explainCommand(folder: string, request: PolicyTest['request']): string {
  const tokens = Object.entries(request).flatMap(([token, value]) => [`--${token}`, quoted(value)])
  return ['countersign policy explain --policy', quoted(folder), ...tokens].join(' ')
}

/** As a POSIX shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w./:@%+,=-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}

function coverageText(coverage: TestCoverage, { minimum, columns }: ReportOptions): string {
  const { rules, touched, settling } = coverage
  const percent = coveragePercent(coverage)
  const asked = minimum === undefined ? '' : `, ${String(minimum)} % asked for`
  const settled = `${counted(settling, 'of them settles', 'of them settle')} one`
  const share = `${touched.toLocaleString('en')} of ${counted(rules, 'rule')} ${rules === 1 ? 'matches' : 'match'} a test`
  const untouched = [...coverage.untouched]
    .sort(byPlace)
    .map((rule) => hanging('  ', `${placeOf(rule)}: ${rule.text}`, columns))
  return [
    `Coverage ${String(percent)} %${asked}: ${share}, ${settled}`,
    ...(untouched.length === 0 ? [] : ['No test touches', ...firstOf(untouched, maxPrinted)]),
  ].join('\n')
}

function byPlace(a: Rule, b: Rule): number {
  return a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1
}

function countsText({ passed, failed }: TestReport): string {
  const tests = counted(passed + failed, 'test')
  if (failed === 0) return passed === 1 ? '1 test passed.' : `All ${tests} passed.`
  return `${failed.toLocaleString('en')} of ${tests} failed, ${passed.toLocaleString('en')} passed.`
}
