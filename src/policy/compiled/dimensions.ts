import type { RoleCall } from '../parse/matcher.ts'
import { policyFunction } from '../patterns/functions.ts'
import type { Segment } from '../patterns/segments.ts'
import { kindsIn, type Atom } from './branches.ts'
import { operandReader, type Columns, type ConditionScope, type Values } from './conditions.ts'
import type { Closure, RoleClosures, RoleNumbers } from './role-closures.ts'

/** One way to tell from a value of the request which rules cannot match: a necessary condition, never a sufficient one. */
export type Dimension =
  /** The value equals a column. */
  | { readonly kind: 'value'; readonly value: Ask; readonly key: (columns: Columns) => string }
  /** The value is or has the role that stands in a column. */
  | { readonly kind: 'role'; readonly roles: AskRoles; readonly key: (columns: Columns) => number }
  /** The segments of the value begin as a column's pattern says. */
  | { readonly kind: 'pattern'; readonly value: Ask; readonly key: (columns: Columns) => readonly Segment[] }

/** A value of the request; undefined where it is absent. */
export type Ask = (values: Values) => string | undefined

/** The numbers of the roles that somebody in the request is or has. */
export type AskRoles = (values: Values) => Closure

/** What was worked out for a role call. */
export interface PreparedCall {
  readonly numbers: RoleNumbers
  /** Of each domain by itself. */
  readonly exact: RoleClosures
  /** What the index asks: the same, or that of all domains together, where the domain stands in the rule. */
  readonly wide: RoleClosures
  readonly merged: boolean
}

/** Undefined for calls whose role stands neither in the rules nor in the matcher. */
export type PreparedRoles = (call: RoleCall) => PreparedCall | undefined

/** The dimension that an atom of the matcher gives, if it gives one. */
export function dimensionOf(atom: Atom, scope: ConditionScope, prepared: PreparedRoles): Dimension | undefined {
  if (atom.kind === 'compare') return valueDimension(atom, scope)
  if (atom.kind === 'call') return patternDimension(atom, scope)
  return atom.kind === 'role' ? roleDimension(atom, scope, prepared) : undefined
}

function valueDimension(atom: Extract<Atom, { kind: 'compare' }>, scope: ConditionScope): Dimension | undefined {
  if (atom.operator !== '==' && atom.operator !== '===') return undefined
  const operands = [atom.left, atom.right]
  const token = operands.find(({ kind }) => kind === 'token')
  const column = operands.find(({ kind }) => kind === 'column')
  if (token?.kind !== 'token' || column?.kind !== 'column') return undefined
  return { kind: 'value', value: asking(scope.tokens.indexOf(token.token)), key: columnReader(column.column, scope) }
}

function patternDimension(atom: Extract<Atom, { kind: 'call' }>, scope: ConditionScope): Dimension | undefined {
  const [value, pattern] = atom.arguments
  const definition = policyFunction(atom.name)
  if (value?.kind !== 'token' || pattern?.kind !== 'column' || definition?.gives !== 'truth') return undefined
  const read = columnReader(pattern.column, scope)
  return {
    kind: 'pattern',
    value: asking(scope.tokens.indexOf(value.token)),
    key: (columns) => definition.prefix(read(columns)),
  }
}

function roleDimension(call: RoleCall, scope: ConditionScope, prepared: PreparedRoles): Dimension | undefined {
  const roles = prepared(call)
  const [name, role, domain] = call.arguments
  if (roles === undefined || role?.kind !== 'column' || name === undefined) return undefined
  // It is asked before any rule is at hand.
  if (kindsIn(name).includes('column')) return undefined
  const { numbers, wide, merged } = roles
  const read = columnReader(role.column, scope)
  const who = operandReader(name, scope)
  const where = domain === undefined || merged ? undefined : operandReader(domain, scope)
  return {
    kind: 'role',
    key: (columns) => numbers.add(read(columns)),
    roles: (values) => {
      const asked = presentText(who(values, []))
      if (asked === undefined) return []
      if (where === undefined) return wide.of(asked)
      const scopeOfLinks = presentText(where(values, []))
      return scopeOfLinks === undefined ? [] : wide.of(asked, scopeOfLinks)
    },
  }
}

function asking(index: number): Ask {
  return (values) => presentText(values[index])
}

function presentText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function columnReader(column: string, scope: ConditionScope): (columns: Columns) => string {
  const index = scope.columns.indexOf(column)
  return (columns) => columns[index] as string
}
