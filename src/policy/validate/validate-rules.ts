import { policyFunction } from '../patterns/functions.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { Pace } from '../pace.ts'
import type { PolicyModel } from '../policy-model.ts'
import { problem, shown, type PolicyProblem, type PolicyProblemCode } from '../problem.ts'

/** Checks every row against the model. Each problem names the row's file and line. */
export async function validateRules(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  pace: Pace,
): Promise<PolicyProblem[]> {
  const problems: PolicyProblem[] = []
  const patterns = patternColumns(model)
  for (const row of rows) {
    if (pace.due) await pace.rest()
    const refuse = (code: PolicyProblemCode, message: string) => {
      problems.push(problem(row.rule.file, row.rule.line, code, message))
    }
    if (row.type === 'p') checkRule(model, row, patterns, refuse)
    else if (model.roles.has(row.type)) checkLink(model, row, refuse)
    else
      refuse(
        'TYPE_UNKNOWN',
        `unknown policy type ${shown(row.type)}; allowed: ${['p', ...model.roles.keys()].join(', ')}`,
      )
  }
  return model.effect === 'subject-priority' ? [...problems, ...subjectProblems(model, rows)] : problems
}

type Refuse = (code: PolicyProblemCode, message: string) => void

function checkRule(model: PolicyModel, row: PolicyRow, patterns: readonly PatternColumn[], refuse: Refuse): void {
  if (!fits(row, `p = ${model.columns.join(', ')}`, model.columns.length, refuse)) return
  for (const [index, column] of model.columns.entries()) {
    const value = row.values[index] ?? ''
    if (column === 'eft') checkEffect(model, value, refuse)
    else if (column === 'priority' && !/^-?\d{1,15}$/.test(value)) {
      refuse('PRIORITY_INVALID', `the priority is ${shown(value)}; a whole number is allowed`)
    } else if (value === '' && model.reads.columns.has(column)) {
      refuse('COLUMN_EMPTY', `the column ${shown(column)} is empty, but the matcher reads it`)
    }
  }
  for (const pattern of patterns) checkPattern(pattern, row.values[pattern.index] ?? '', refuse)
}

function fits(row: PolicyRow, definition: string, count: number, refuse: Refuse): boolean {
  const found = row.values.length
  if (found === count) return true
  const message = `the line has ${String(found)} values; the definition "${definition}" has ${String(count)}`
  refuse(found < count ? 'ROW_TOO_SHORT' : 'ROW_TOO_LONG', message)
  return false
}

function checkEffect(model: PolicyModel, value: string, refuse: Refuse): void {
  if (value !== 'allow' && value !== 'deny') {
    refuse('EFFECT_INVALID', `the effect is ${shown(value)}; allowed: allow, deny`)
  } else if (value === 'deny' && model.effect === 'allow-override') {
    refuse('DENY_WITHOUT_EFFECT', 'the rule denies, but the policy effect of the model counts only rules that allow')
  }
}

function checkLink(model: PolicyModel, row: PolicyRow, refuse: Refuse): void {
  const count = model.roles.get(row.type) ?? 0
  if (!fits(row, `${row.type} = ${Array(count).fill('_').join(', ')}`, count, refuse)) return
  if (row.values.includes('')) refuse('ROLE_NAME_EMPTY', 'a name of the role link is empty')
}

interface PatternColumn {
  readonly index: number
  readonly column: string
  readonly functionName: string
  /** Left out where all values of the column are patterns. */
  readonly meant?: ((value: string) => boolean) | undefined
}

/** The columns that the matcher hands to a function as pattern. */
function patternColumns({ columns, reads }: PolicyModel): PatternColumn[] {
  const found = new Map<string, PatternColumn>()
  for (const call of reads.calls) {
    const pattern = call.arguments[1]
    if (pattern?.kind !== 'column') continue
    const { column } = pattern
    const mixed = (reads.columns.get(column)?.size ?? 0) > 1
    found.set(`${call.name} ${column}`, {
      index: columns.indexOf(column),
      column,
      functionName: call.name,
      meant: mixed ? policyFunction(call.name)?.meantAsPattern : undefined,
    })
  }
  return [...found.values()]
}

function checkPattern({ column, functionName, meant }: PatternColumn, value: string, refuse: Refuse): void {
  if (value === '' || meant?.(value) === false) return
  const wrong = policyFunction(functionName)?.patternProblem(value)
  if (wrong === undefined) return
  refuse(
    'PATTERN_INVALID',
    `the column ${shown(column)} has ${shown(value)}, which is no pattern for ${functionName}: ${wrong}`,
  )
}

/** Casbin gives a subject outside the hierarchy no place in its order, and then sorts by chance. */
function subjectProblems({ columns, roles }: PolicyModel, rows: readonly PolicyRow[]): PolicyProblem[] {
  const withDomain = roles.get('g') === 3
  const keyOf = (name: string | undefined, domain: string | undefined) =>
    JSON.stringify([name, withDomain ? domain : ''])
  const links = rows.filter((row) => row.type === 'g')
  const known = new Set(links.flatMap(({ values: [name, role, domain] }) => [keyOf(name, domain), keyOf(role, domain)]))
  return rows
    .filter((row) => row.type === 'p' && row.values.length === columns.length)
    .filter(({ values }) => !known.has(keyOf(values[0], values[2])))
    .map(({ values, rule }) => {
      const message = `the subject ${shown(values[0] ?? '')} is in no role link, so it has no place in the order`
      return problem(rule.file, rule.line, 'SUBJECT_PRIORITY_INVALID', message)
    })
}
