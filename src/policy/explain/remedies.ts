import type { PolicyToken } from '../../decision/rule-set.ts'
import { compileCondition, valuesOf, type ConditionScope } from '../compiled/conditions.ts'
import { policyFunction } from '../patterns/functions.ts'
import { samplesOf } from './closeness.ts'
import type { Answered } from './gauge.ts'
import { tieOf, type Demand } from './matcher-tree.ts'
import { valueOf } from './model-shape.ts'
import { isRole, roleValues, type Case } from './words.ts'

/** A token's value with which a demand would hold for a rule; null where none is known. */
export function repairOf(
  demand: Demand,
  of: Case,
  scope: ConditionScope,
): { token: PolicyToken; value: string } | null {
  const [token] = demand.tokens
  if (token === undefined || demand.negated) return null
  const value = candidatesFor(demand, of).find((sample) => {
    const values = valuesOf({ ...of.request, [token]: sample }, scope.tokens)
    return compileCondition(demand.leaf, scope)(values, of.row.values)
  })
  return value === undefined ? null : { token, value }
}

function candidatesFor({ leaf }: Demand, { model, row }: Case): readonly string[] {
  const operands =
    leaf.kind === 'in' ? leaf.items : leaf.kind === 'compare' ? [leaf.left, leaf.right] : leaf.arguments.slice(1, 2)
  return operands.flatMap((operand) => {
    if (operand.kind === 'literal') return samplesOf(String(operand.value))
    return operand.kind === 'column' ? samplesOf(valueOf(model, row, operand.column)) : []
  })
}

/**
 * Lines of the policy with which a rule, or one like it, would match: role links that are missing, and the rule with what is
 * asked in place of what it has. Empty where that would not do.
 */
export function remediesFor(answers: readonly Answered[], of: Case, scope: ConditionScope): readonly string[] {
  const failed = answers.filter(({ holds }) => !holds).map(({ demand }) => demand)
  const changed = new Map<string, string>()
  const lines: string[] = []
  for (const demand of failed) {
    const link = linkFor(demand, of)
    const tie = tieOf(demand)
    const value = tie === undefined ? undefined : of.request[tie.token]
    if (link !== undefined) lines.push(link)
    else if (tie === undefined || value === undefined || value === '' || !standsForItself(demand, value)) return []
    else changed.set(tie.column, value)
  }
  if (changed.size === 0) return lines
  const values = of.row.values.map((value, index) => changed.get(of.model.columns[index] ?? '') ?? value)
  const holds = failed.every((demand) => linkFor(demand, of) !== undefined || matches(demand.leaf, values))
  return holds ? [...lines, lineOf(['p', ...values])] : []

  function matches(leaf: Demand['leaf'], columns: readonly string[]): boolean {
    return compileCondition(leaf, scope)(valuesOf(of.request, scope.tokens), columns)
  }
}

/** Whether a rule that has this value would match this value, and no other one: a path can be written like a pattern. */
function standsForItself({ leaf }: Demand, value: string): boolean {
  if (leaf.kind !== 'call') return true
  const special = leaf.name === 'regexMatch' || /[*?{}()[\]|^$+\\]|\/:/.test(value)
  return !special && policyFunction(leaf.name)?.patternProblem(value) === undefined
}

function linkFor({ leaf, negated }: Demand, of: Case): string | undefined {
  if (leaf.kind !== 'role' || negated) return undefined
  const values = roleValues(leaf, of.row, of)
  if (!isRole(leaf, values[1] ?? '', of)) return undefined
  const known = values.filter((value) => value !== undefined && value !== '')
  return known.length < values.length ? undefined : lineOf([leaf.name, ...(known as string[])])
}

/** A line of a CSV file with these values. */
function lineOf(values: readonly string[]): string {
  return values.map((value) => (/[",#()]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)).join(', ')
}
