import type { PolicyToken } from '../../decision/rule-set.ts'
import type { Condition, FunctionCall, Operand, RoleCall } from './matcher.ts'

/** What a matcher looks at. */
export interface MatcherReads {
  readonly tokens: ReadonlySet<PolicyToken>
  /** Per column, what reads it: names of functions and role definitions, or `==` for any comparison. */
  readonly columns: ReadonlyMap<string, ReadonlySet<string>>
  readonly calls: readonly FunctionCall[]
  /** Those that can make a rule apply: not the ones under a `!`. */
  readonly roleCalls: readonly RoleCall[]
}

interface Collected {
  readonly tokens: Set<PolicyToken>
  readonly columns: Map<string, Set<string>>
  readonly calls: FunctionCall[]
  readonly roleCalls: RoleCall[]
}

/** Lists the tokens, columns and calls of a matcher, in the order in which they stand. */
export function readsOf(condition: Condition): MatcherReads {
  const collected: Collected = { tokens: new Set(), columns: new Map(), calls: [], roleCalls: [] }
  visitCondition(condition, collected, false)
  return collected
}

function visitCondition(condition: Condition, collected: Collected, negated: boolean): void {
  switch (condition.kind) {
    case 'and':
    case 'or':
      visitCondition(condition.left, collected, negated)
      visitCondition(condition.right, collected, negated)
      return
    case 'not':
      visitCondition(condition.operand, collected, !negated)
      return
    case 'compare':
      visitOperands([condition.left, condition.right], '==', collected, negated)
      return
    case 'in':
      visitOperands([condition.left, ...condition.items], '==', collected, negated)
      return
    case 'call':
    case 'role':
      visitOperands([condition], '==', collected, negated)
  }
}

function visitOperands(operands: readonly Operand[], reader: string, collected: Collected, negated: boolean): void {
  for (const operand of operands) visitOperand(operand, reader, collected, negated)
}

function visitOperand(operand: Operand, reader: string, collected: Collected, negated: boolean): void {
  switch (operand.kind) {
    case 'token':
      collected.tokens.add(operand.token)
      return
    case 'column':
      collected.columns.set(operand.column, (collected.columns.get(operand.column) ?? new Set()).add(reader))
      return
    case 'literal':
      return
    case 'call':
      collected.calls.push(operand)
      visitOperands(operand.arguments, operand.name, collected, negated)
      return
    case 'role':
      if (!negated) collected.roleCalls.push(operand)
      visitOperands(operand.arguments, operand.name, collected, negated)
  }
}
