/**
 * Runs the fault tests in their long form, and ends with a table of what they measured, which it also writes to
 * .cache/fault/report.txt. Usage: [FAULT_SEED=N] node test/fault/run.ts [what jest takes, such as paths; all of test/fault otherwise]
 */
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type Figure, figuresFile } from './form.ts'

const runner = join(import.meta.dirname, '../run.ts')
const reportFile = join(figuresFile, '../report.txt')

const given = process.argv.slice(2)
const selected = given.some((option) => option.includes('test/')) ? given : ['test/fault', ...given]
const seed = process.env['FAULT_SEED'] ?? String(randomInt(2 ** 32))
const began = Date.now()

console.log(`The long form, with FAULT_SEED=${seed}`)
rmSync(figuresFile, { force: true })
const { status } = spawnSync(process.execPath, [runner, ...selected], {
  stdio: 'inherit',
  env: { ...process.env, FAULT_LONG: '1', FAULT_SEED: seed },
})
const report = reportOf(existsSync(figuresFile) ? readFigures() : [])
console.log(`\n${report}`)
if (existsSync(figuresFile)) writeFileSync(reportFile, report)
process.exitCode = status ?? 1

function readFigures(): readonly Figure[] {
  const lines = readFileSync(figuresFile, 'utf8').split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Figure)
}

function reportOf(figures: readonly Figure[]): string {
  const rows = figures.map(({ test, name, value, limit }) => [test, name, value, limit])
  const minutes = Math.round((Date.now() - began) / 60_000)
  const machine = `Node.js ${process.versions.node}, ${availableParallelism()} processors`
  const outcome = status === 0 ? 'everything held' : 'NOT everything held (see above)'
  const end = `FAULT_SEED=${seed}, ${minutes} minutes, ${machine}: ${outcome}\n`
  return `${table([['test', 'figure', 'measured', 'limit'], ...rows])}\n${end}`
}

/** Names the test once, at its first row. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  let last: string | undefined
  const lines = rows.map(([test = '', ...rest]) => {
    const cells = [test === last ? '' : test, ...rest]
    last = test
    return cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  })
  return `${lines.join('\n')}\n`
}
