import type { PolicyModel } from '../policy-model.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { Operand, RoleCall } from '../parse/matcher.ts'
import { matcherTree, demandsOf, tieOf, type Tie } from './matcher-tree.ts'

/** How a model says who may do what: the column of the subject, and what gives a subject its roles. */
export interface ModelShape {
  readonly subject: string
  /** The columns that say what is permitted: all others. */
  readonly permission: readonly string[]
  readonly roles: RoleShape | undefined
}

export interface RoleShape {
  /** The role definition, `g` or another one. */
  readonly name: string
  /** The domain in which links count: none, a fixed one, the one that a column of the rule names, or any one. */
  readonly domain:
    | { readonly kind: 'none' | 'any' }
    | { readonly kind: 'fixed'; readonly domain: string }
    | { readonly kind: 'column'; readonly column: string }
}

/**
 * Finds the column that stands for the subject: the one that a role call, or else another condition, ties to `r.sub` or
 * `r.user`. Undefined where no column is tied to either.
 */
export function modelShape(model: PolicyModel): ModelShape | undefined {
  const demands = demandsOf(matcherTree(model.matcher))
  const ties = demands.map((demand) => ({ demand, tie: tieOf(demand) }))
  const callers = ties.filter(({ tie }) => tie?.token === 'sub' || tie?.token === 'user')
  const found = callers.find(({ demand }) => demand.leaf.kind === 'role') ?? callers[0]
  if (found?.tie === undefined) return undefined
  const { column } = found.tie
  // A domain that a pattern covers is not the one that a link names.
  const equal = ties.flatMap(({ demand, tie }) => (tie === undefined || demand.leaf.kind !== 'compare' ? [] : [tie]))
  return {
    subject: column,
    permission: model.columns.filter((name) => name !== column),
    roles: found.demand.leaf.kind === 'role' ? roleShape(found.demand.leaf, equal) : undefined,
  }
}

function roleShape(call: RoleCall, ties: readonly Tie[]): RoleShape {
  return { name: call.name, domain: domainOf(call.arguments[2], ties) }
}

function domainOf(operand: Operand | undefined, ties: readonly Tie[]): RoleShape['domain'] {
  if (operand === undefined) return { kind: 'none' }
  if (operand.kind === 'column') return { kind: 'column', column: operand.column }
  if (operand.kind === 'literal') return { kind: 'fixed', domain: String(operand.value) }
  const tie = operand.kind === 'token' ? ties.find(({ token }) => token === operand.token) : undefined
  return tie === undefined ? { kind: 'any' } : { kind: 'column', column: tie.column }
}

/** What a rule says where it applies; without a column for it, every rule allows. */
export function effectOf(model: PolicyModel, row: PolicyRow): 'allow' | 'deny' {
  return valueOf(model, row, 'eft') === 'deny' ? 'deny' : 'allow'
}

/** The value of a column; an empty text where there is no such column. */
export function valueOf(model: PolicyModel, row: PolicyRow, column: string): string {
  return row.values[model.columns.indexOf(column)] ?? ''
}
