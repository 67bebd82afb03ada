/**
 * Runs the tests, and says at the end what was left out and why. Usage: node test/run.ts [what jest takes, such as paths]
 *
 * The last line is `N passed, N failed, N skipped`; a test file that cannot even be loaded is one failure. The exit status
 * is 0 only where something ran, nothing failed and, with CI=true, nothing was left out.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { missingParts } from './real/parts.ts'

/** What jest writes with `--json`, as far as it is read here. */
interface JestResults {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numRuntimeErrorTestSuites: number
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

interface Totals {
  readonly passed: number
  readonly failed: number
  /** Number of skipped tests of each file. */
  readonly skips: readonly (readonly [file: string, tests: number])[]
}

const root = resolve(import.meta.dirname, '..')
const resultsFolder = resolve(root, '.cache/test')
/** How long jest may take to exit once its results are written; then something is left open. */
const exitGraceMs = 60_000

async function runTests(options: readonly string[]): Promise<number> {
  const unit = await runProject('unit', ['--maxWorkers=2', ...options])
  const heavy = await runProject('heavy', ['--runInBand', ...options])
  const passed = unit.passed + heavy.passed
  const failed = unit.failed + heavy.failed
  const skips = [...unit.skips, ...heavy.skips]
  const skipped = skips.reduce((sum, [, tests]) => sum + tests, 0)
  const complete = sayWhatWasLeftOut(skips)
  const any = passed + failed + skipped > 0
  if (!any) console.log('\nNo test matches.')
  const summary = `${passed} passed, ${failed} failed, ${skipped} skipped`
  writeFileSync(resolve(resultsFolder, 'summary'), `${summary}\n`)
  console.log(`\n${summary}`)
  return any && failed === 0 && complete ? 0 : 1
}

async function runProject(project: string, options: readonly string[]): Promise<Totals> {
  const file = resolve(resultsFolder, `${project}.json`)
  mkdirSync(resultsFolder, { recursive: true })
  rmSync(file, { force: true })
  const exit = await runJest(file, ['--selectProjects', project, '--passWithNoTests', ...options])
  const totals = readTotals(file)
  if (exit === 0 || totals.failed > 0) return totals
  console.log(`\njest (${project}) ended with ${String(exit)}, which counts as one failure.`)
  return { ...totals, failed: 1 }
}

async function runJest(resultsFile: string, options: readonly string[]): Promise<unknown> {
  const jest = spawn(
    process.execPath,
    [resolve(root, 'node_modules/jest/bin/jest.js'), '--json', `--outputFile=${resultsFile}`, ...options],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '--experimental-vm-modules --disable-warning=ExperimentalWarning' },
    },
  )
  const watch = setInterval(() => {
    if (ageMs(resultsFile) < exitGraceMs) return
    console.log('\nThe tests are done, but something that they left open keeps jest from exiting.')
    jest.kill('SIGKILL')
  }, 5_000)
  const [status, signal] = (await once(jest, 'exit')) as [number | null, string | null]
  clearInterval(watch)
  return status ?? signal
}

function ageMs(file: string): number {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? 0 : Date.now() - stat.mtimeMs
}

function readTotals(file: string): Totals {
  if (statSync(file, { throwIfNoEntry: false }) === undefined) return { passed: 0, failed: 0, skips: [] }
  const results = JSON.parse(readFileSync(file, 'utf8')) as JestResults
  const skips = results.testResults
    .map(({ name, assertionResults }) => [relative(root, name), assertionResults.filter(isSkipped).length] as const)
    .filter(([, tests]) => tests > 0)
  return { passed: results.numPassedTests, failed: results.numFailedTests + results.numRuntimeErrorTestSuites, skips }
}

function isSkipped({ status }: { readonly status: string }): boolean {
  return status !== 'passed' && status !== 'failed'
}

/** Prints which tests were skipped and which parts are missing. Returns whether that is acceptable here. */
function sayWhatWasLeftOut(skips: Totals['skips']): boolean {
  const missing = missingParts()
  if (skips.length === 0 && missing.length === 0) return true
  console.log('\nLeft out:')
  for (const { part, reason } of missing) console.log(`  what needs ${part}: ${reason}`)
  for (const [file, tests] of skips) console.log(`  ${String(tests)} skipped in ${file}`)
  if (process.env['CI'] !== 'true') return true
  console.log('With CI=true, nothing may be left out.')
  return false
}

process.exitCode = await runTests(process.argv.slice(2))
