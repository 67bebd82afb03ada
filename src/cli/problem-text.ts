import type { PolicyProblem } from '../policy/problem.ts'
import { counted, visible } from './print.ts'
import { firstOf } from './wrap.ts'

/** Problems that are printed for people; `--json` has all. */
const maxPrinted = 50

/** Why a policy cannot be used: `file:line: message  [CODE]`, as editors and CI know it, and a last line. */
export function problemLines(folder: string, problems: readonly PolicyProblem[]): string {
  const lines = problems.map(({ file, line, code, message }) =>
    visible(`${file}${line === null ? '' : `:${String(line)}`}: ${message}  [${code}]`),
  )
  const last = `The policy in ${folder} has ${counted(problems.length, 'problem')} and cannot be used.`
  return [...firstOf(lines, maxPrinted, ''), last].join('\n')
}
