import { policyFunction } from '../patterns/functions.ts'
import { columnOfValue, type PolicyRow } from '../parse/parse-rules.ts'
import type { Pace } from '../pace.ts'
import type { PolicyModel } from '../policy-model.ts'
import { maxProblems, problem, shown, type PolicyProblem, type PolicyProblemCode } from '../problem.ts'

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
    if (problems.length >= maxProblems) break
    const refuse: Refuse = (index, code, message) => {
      problems.push(problem(row.rule.file, row.rule.line, code, message, columnOfValue(row, index)))
    }
    if (row.type === 'p') checkRule(model, row, patterns, refuse)
    else if (model.roles.has(row.type)) checkLink(model, row, refuse)
    else
      refuse(
        -1,
        'TYPE_UNKNOWN',
        `unknown policy type ${shown(row.type)}; allowed: ${['p', ...model.roles.keys()].join(', ')}`,
      )
  }
  return model.effect === 'subject-priority' ? [...problems, ...(await subjectProblems(model, rows, pace))] : problems
}

/** `index` is that of the value at fault, -1 the row's type. */
type Refuse = (index: number, code: PolicyProblemCode, message: string) => void

function checkRule(model: PolicyModel, row: PolicyRow, patterns: readonly PatternColumn[], refuse: Refuse): void {
  if (!fits(row, model.columns, refuse)) return
  for (const [index, column] of model.columns.entries()) {
    const value = row.values[index] ?? ''
    if (column === 'eft') checkEffect(model, value, index, refuse)
    else if (column === 'priority' && !/^-?\d{1,15}$/.test(value)) {
      refuse(index, 'PRIORITY_INVALID', `the priority is ${shown(value)}; a whole number is allowed`)
    } else if (value === '' && model.reads.columns.has(column)) {
      refuse(index, 'COLUMN_EMPTY', `the column ${shown(column)} is empty, but the matcher reads it`)
    }
  }
  for (const pattern of patterns) checkPattern(pattern, row.values[pattern.index] ?? '', refuse)
}

function fits({ type, values }: PolicyRow, names: readonly string[], refuse: Refuse): boolean {
  const [found, count] = [values.length, names.length]
  if (found === count) return true
  const definition = `${type} = ${names.join(', ')}`
  const message = `the line has ${String(found)} values; the definition "${definition}" has ${String(count)}`
  refuse(found < count ? found - 1 : count, found < count ? 'ROW_TOO_SHORT' : 'ROW_TOO_LONG', message)
  return false
}

function checkEffect(model: PolicyModel, value: string, index: number, refuse: Refuse): void {
  if (value !== 'allow' && value !== 'deny') {
    refuse(index, 'EFFECT_INVALID', `the effect is ${shown(value)}; allowed: allow, deny`)
  } else if (value === 'deny' && model.effect === 'allow-override') {
    refuse(
      index,
      'DENY_WITHOUT_EFFECT',
      'the rule denies, but the policy effect of the model counts only rules that allow',
    )
  }
}

function checkLink(model: PolicyModel, row: PolicyRow, refuse: Refuse): void {
  if (!fits(row, model.roles.get(row.type) === 3 ? ['_', '_', '_'] : ['_', '_'], refuse)) return
  const empty = row.values.indexOf('')
  if (empty !== -1) refuse(empty, 'ROLE_NAME_EMPTY', 'a name of the role link is empty')
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

function checkPattern({ index, column, functionName, meant }: PatternColumn, value: string, refuse: Refuse): void {
  if (value === '' || meant?.(value) === false) return
  const wrong = policyFunction(functionName)?.patternProblem(value)
  if (wrong === undefined) return
  refuse(
    index,
    'PATTERN_INVALID',
    `the column ${shown(column)} has ${shown(value)}, which is no pattern for ${functionName}: ${wrong}`,
  )
}

/** Casbin gives a subject outside the hierarchy no place in its order, and then sorts by chance. */
async function subjectProblems(model: PolicyModel, rows: readonly PolicyRow[], pace: Pace): Promise<PolicyProblem[]> {
  const keyOf = (name = '', domain = '') => (model.roles.get('g') === 3 ? `${name}\n${domain}` : name)
  const known = new Set<string>()
  for (const { type, values } of rows) {
    if (pace.due) await pace.rest()
    const [name, role, domain] = values
    if (type === 'g') known.add(keyOf(name, domain)).add(keyOf(role, domain))
  }
  const problems: PolicyProblem[] = []
  for (const row of rows) {
    if (pace.due) await pace.rest()
    const { type, values, rule } = row
    if (type !== 'p' || values.length !== model.columns.length || known.has(keyOf(values[0], values[2]))) continue
    const message = `the subject ${shown(values[0] ?? '')} is in no role link, so it has no place in the order`
    problems.push(problem(rule.file, rule.line, 'SUBJECT_PRIORITY_INVALID', message, columnOfValue(row, 0)))
    if (problems.length >= maxProblems) break
  }
  return problems
}
