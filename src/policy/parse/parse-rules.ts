import type { Rule } from '../../decision/decision.ts'
import type { Pace } from '../pace.ts'
import { maxProblems, problem, shown, type PolicyProblem } from '../problem.ts'
import type { SourceFile } from '../source/source.ts'
import { splitLine } from './csv-line.ts'
import { columnAt } from './place.ts'

/** One line of a CSV file, with its place. */
export interface PolicyRow {
  /** `p`, `g`, `g2`… */
  readonly type: string
  readonly values: readonly string[]
  readonly rule: Rule
  /** Characters before the rule's text on its line; left out where it begins the line. */
  readonly indent?: number
}

export interface ParsedRules {
  readonly rows: readonly PolicyRow[]
  readonly problems: readonly PolicyProblem[]
}

/** Longest line of a CSV file, in characters. */
export const maxLineLength = 65_536

/** Rules and role links of a policy; reading ends with the first one beyond. */
export const maxRows = 500_000

/** Values that are known at a time. */
const maxInterned = 16_384

/** A line of this length takes long enough that the clock is looked at after it. */
const longLine = 2_048

/**
 * Reads a CSV file in Casbin's dialect (`splitLine`), one rule a line (`\n` or `\r\n`); lines that begin with `#` are
 * comments. Values that repeat are one string in memory, mostly. Ends with the first hundreds of problems
 * (`maxProblems`), since nothing good can follow.
 */
export async function parseRules(file: SourceFile, pace: Pace): Promise<ParsedRules> {
  const reading = { file: file.name, rows: [], problems: [], seen: new Map<string, string>() }
  let line = 1
  for (let start = 0; start <= file.text.length; line += 1) {
    const next = file.text.indexOf('\n', start)
    const end = next === -1 ? file.text.length : next
    if (pace.due || end - start > longLine) await pace.rest()
    readLine(reading, file.text.slice(start, end), line)
    if (isFull(reading)) break
    start = end + 1
  }
  return reading
}

interface Reading {
  readonly file: string
  readonly rows: PolicyRow[]
  readonly problems: PolicyProblem[]
  /** The values of late, each by itself. */
  readonly seen: Map<string, string>
}

function isFull({ rows, problems }: Reading): boolean {
  return rows.length > maxRows || problems.length >= maxProblems
}

function readLine({ file, rows, problems, seen }: Reading, raw: string, line: number): void {
  const text = raw.trim()
  if (text === '' || text.startsWith('#')) return
  const indent = raw.indexOf(text)
  const refuse = (index: number, code: 'CSV_SYNTAX' | 'POLICY_TOO_LARGE', message: string) => {
    problems.push(problem(file, line, code, message, columnAt(raw, indent + index)))
  }
  if (text.length > maxLineLength) {
    const message = `the line has ${String(text.length)} characters; at most ${String(maxLineLength)} are allowed`
    refuse(maxLineLength, 'POLICY_TOO_LARGE', message)
    return
  }
  const control = /[^\P{Cc}\t]/u.exec(text)
  if (control !== null) {
    refuse(control.index, 'CSV_SYNTAX', `the line holds the control character ${shown(control[0])}`)
    return
  }
  const values = valuesOf(text, refuse)
  if (values === undefined) return
  for (const [position, value] of values.entries()) values[position] = interned(seen, value)
  const type = values.shift() ?? ''
  const rule = { file, line, text }
  rows.push(indent === 0 ? { type, values, rule } : { type, values, rule, indent })
}

function valuesOf(text: string, refuse: (index: number, code: 'CSV_SYNTAX', message: string) => void) {
  // Without quotes and parentheses, splitting gives the same, and is many times faster.
  if (!/["()]/.test(text)) return plainValues(text)
  const outcome = splitLine(text)
  if (outcome.ok) return outcome.fields.map(({ value }) => value)
  refuse(outcome.index, 'CSV_SYNTAX', `${outcome.message}: ${shown(text)}`)
  return undefined
}

function plainValues(text: string): string[] {
  const values: string[] = []
  let from = 0
  for (let comma = text.indexOf(','); comma !== -1; comma = text.indexOf(',', from)) {
    values.push(text.slice(from, comma).trim())
    from = comma + 1
  }
  values.push(text.slice(from).trim())
  return values
}

function interned(seen: Map<string, string>, value: string): string {
  const known = seen.get(value)
  if (known !== undefined) return known
  // A map of hundreds of thousands takes tens of milliseconds to grow; what repeats comes again soon.
  if (seen.size >= maxInterned) seen.clear()
  seen.set(value, value)
  return value
}

/** The column at which the value of a row stands; that of its type where `index` is -1, null where there is no such value. */
export function columnOfValue({ rule, indent = 0 }: PolicyRow, index: number): number | null {
  const outcome = splitLine(rule.text)
  const field = outcome.ok ? outcome.fields[index + 1] : undefined
  return field === undefined ? null : columnAt(rule.text, field.index) + indent
}
