import type { PolicyProblem } from '../policy/problem.ts'
import { counted, visible } from './print.ts'
import { firstOf, wrap } from './wrap.ts'

/** Problems that are printed for people; `--json` has all. */
const maxPrinted = 50

/** Why a policy cannot be used: each problem by its place, and a last line. */
export function problemLines(folder: string, problems: readonly PolicyProblem[]): string {
  const last = `The policy in ${folder} has ${counted(problems.length, 'problem')} and cannot be used.`
  return [problemTexts(problems), last].join('\n')
}

/** What may be done to the text of a problem. */
export interface ProblemTextOptions {
  /** Stands before the message, as in `warning: `. */
  readonly label?: string
  /** Width of a terminal: longer lines are broken and go on further in. */
  readonly columns?: number | undefined
}

/** `file:line:column: message  [CODE]`, as editors and CI know it, one line each; no more than people read. */
export function problemTexts(problems: readonly PolicyProblem[], options: ProblemTextOptions = {}): string {
  const lines = problems.slice(0, maxPrinted + 1).map((problem) => problemText(problem, options))
  return firstOf([...lines, ...Array<string>(problems.length - lines.length)], maxPrinted, '').join('\n')
}

const indent = '    '

function problemText(
  { file, line, column, code, message }: PolicyProblem,
  { label = '', columns = Infinity }: ProblemTextOptions,
): string {
  const place = [file, line, column].filter((part) => part !== null).join(':')
  const text = visible(`${place}: ${label}${message}  [${code}]`)
  if (text.length <= columns) return text
  const [first = '', ...others] = wrap(text, columns - indent.length)
  return [first, ...others.map((more) => `${indent}${more.trimStart()}`)].join('\n')
}
