import { parse } from 'csv-parse/sync'
import type { Rule } from '../../decision/decision.ts'
import { messageOf } from '../../errors.ts'
import type { Pace } from '../pace.ts'
import { problem, shown, type PolicyProblem } from '../problem.ts'
import type { SourceFile } from '../source/source.ts'

/** One line of a CSV file, with its place. */
export interface PolicyRow {
  /** `p`, `g`, `g2`… */
  readonly type: string
  readonly values: readonly string[]
  readonly rule: Rule
}

export interface ParsedRules {
  readonly rows: readonly PolicyRow[]
  readonly problems: readonly PolicyProblem[]
}

/** Longest line of a CSV file, in characters. */
const maxLineLength = 65_536

/**
 * Reads a CSV file in Casbin's dialect: one rule a line (`\n` or `\r\n`), values trimmed, double quotes around values that
 * hold commas, lines that begin with `#` are comments, commas inside parentheses do not separate. Stricter than Casbin in
 * one thing: a stray quote is a problem and not text.
 */
export async function parseRules(file: SourceFile, pace: Pace): Promise<ParsedRules> {
  const rows: PolicyRow[] = []
  const problems: PolicyProblem[] = []
  for (const [index, raw] of file.text.split('\n').entries()) {
    if (pace.due) await pace.rest()
    const text = raw.trim()
    if (text === '' || text.startsWith('#')) continue
    const outcome = text.length > maxLineLength ? tooLong(text) : parseLine(text)
    const line = index + 1
    if (!outcome.ok) problems.push(problem(file.name, line, outcome.code, outcome.message))
    else
      rows.push({
        type: outcome.values[0] ?? '',
        values: outcome.values.slice(1),
        rule: { file: file.name, line, text },
      })
  }
  return { rows, problems }
}

type LineOutcome =
  | { readonly ok: true; readonly values: readonly string[] }
  | { readonly ok: false; readonly code: 'CSV_SYNTAX' | 'POLICY_TOO_LARGE'; readonly message: string }

function tooLong(text: string): LineOutcome {
  const message = `the line has ${String(text.length)} characters; at most ${String(maxLineLength)} are allowed`
  return { ok: false, code: 'POLICY_TOO_LARGE', message }
}

function parseLine(text: string): LineOutcome {
  const control = /[^\P{Cc}\t]/u.exec(text)
  if (control !== null) return syntax(`the line holds the control character ${JSON.stringify(control[0])}`)
  try {
    // Without a quote, splitting is what the CSV parser would do, a hundred times faster.
    const fields = text.includes('"') ? quotedFields(text) : text.split(',').map((field) => field.trim())
    const values = joinParentheses(fields)
    return values === undefined ? syntax(`parentheses do not match in ${shown(text)}`) : { ok: true, values }
  } catch (fault) {
    return syntax(messageOf(fault))
  }
}

function syntax(message: string): LineOutcome {
  return { ok: false, code: 'CSV_SYNTAX', message }
}

function quotedFields(text: string): string[] {
  const records: string[][] = parse(text, { delimiter: ',', trim: true, relax_column_count: true })
  return (records[0] ?? []).map((field) => field.trim())
}

/** Casbin joins the fields of which the first opens a parenthesis that a later one closes. */
function joinParentheses(fields: readonly string[]): string[] | undefined {
  if (!fields.some((field) => /[()]/.test(field))) return [...fields]
  const values: string[] = []
  let open = 0
  let value: string | undefined
  for (const field of fields) {
    open += (field.match(/\(/g) ?? []).length - (field.match(/\)/g) ?? []).length
    value = value === undefined || value === '' ? field : `${value},${field}`
    if (open !== 0) continue
    values.push(value)
    value = undefined
  }
  return open === 0 ? values : undefined
}
