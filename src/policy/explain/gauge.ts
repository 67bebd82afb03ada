import type { PolicyRequest, PolicyToken } from '../../decision/rule-set.ts'
import { compileCondition, valuesOf, type ConditionScope, type Values } from '../compiled/conditions.ts'
import { policyFunction } from '../patterns/functions.ts'
import { closeness } from './closeness.ts'
import { tieOf, type Demand, type Leaf, type MatcherTree } from './matcher-tree.ts'

/** The values of a rule. */
type Columns = readonly string[]

/** A demand with its answer. */
export interface Answered {
  readonly demand: Demand
  readonly holds: boolean
}

/** A matcher that can tell how far it is from holding. */
export interface Gauge {
  /** 0 where it holds; else the sum of what each demand that fails on the nearest branch weighs. */
  distance(values: Values, columns: Columns): number
  /** The demands along the nearest branch of each `||`, in the order of the matcher. */
  answers(values: Values, columns: Columns): readonly Answered[]
}

/** What one failing demand weighs, before what tells demands of the same number of failures apart. */
export const perFailure = 10_000

/** What a demand weighs that no request can change: a rule that is as far as this is none that could match. */
export const neverMatches = 10_000 * perFailure

/**
 * Which difference is the smaller one: the same role and path with another method comes before the same rule for another role, and
 * both before another path.
 */
const tokenWeights: Readonly<Record<PolicyToken, number>> = {
  act: 100,
  sub: 300,
  user: 300,
  obj: 500,
  rpc: 500,
  dst: 700,
  host: 700,
  port: 900,
  protocol: 1100,
}

/** Makes a gauge of a matcher. */
export function gaugeOf(tree: MatcherTree, scope: ConditionScope): Gauge {
  if (tree.kind === 'demand') return demandGauge(tree, scope)
  const parts = tree.parts.map((part) => gaugeOf(part, scope))
  return tree.kind === 'all' ? allOf(parts) : nearestOf(parts)
}

/** The values of a request, as a gauge reads them. */
export function valuesIn(request: PolicyRequest, scope: ConditionScope): Values {
  return valuesOf(request, scope.tokens)
}

function allOf(parts: readonly Gauge[]): Gauge {
  return {
    distance: (values, columns) => parts.reduce((sum, part) => sum + part.distance(values, columns), 0),
    answers: (values, columns) => parts.flatMap((part) => part.answers(values, columns)),
  }
}

function nearestOf(parts: readonly Gauge[]): Gauge {
  return {
    distance: (values, columns) => {
      let least = Infinity
      for (const part of parts) {
        least = Math.min(least, part.distance(values, columns))
        if (least === 0) return 0
      }
      return least
    },
    answers: (values, columns) => {
      const distances = parts.map((part) => part.distance(values, columns))
      return parts[distances.indexOf(Math.min(...distances))]?.answers(values, columns) ?? []
    },
  }
}

function demandGauge(demand: Demand, scope: ConditionScope): Gauge {
  const test = compileCondition(demand.leaf, scope)
  const weigh = weightOf(demand, scope)
  const holds = (values: Values, columns: Columns) => test(values, columns) !== demand.negated
  return {
    distance: (values, columns) => (holds(values, columns) ? 0 : perFailure + weigh(values, columns)),
    answers: (values, columns) => [{ demand, holds: holds(values, columns) }],
  }
}

function weightOf(demand: Demand, scope: ConditionScope): (values: Values, columns: Columns) => number {
  // A rule that is meant for other requests, or a branch that no rule of this kind takes, is not near.
  if (demand.tokens.length === 0) return () => neverMatches
  if (demand.columns.length === 0) return () => 100 * perFailure
  const weight = Math.max(...demand.tokens.map((token) => tokenWeights[token]))
  const tie = tieOf(demand)
  if (tie === undefined) return () => weight + 200
  const [token, column] = [scope.tokens.indexOf(tie.token), scope.columns.indexOf(tie.column)]
  return (values, columns) => {
    const wanted = columns[column] ?? ''
    const near = closenessOf(values[token], wanted)
    return weight + 150 * (1 - near) + (isMeantFor(demand.leaf, wanted) ? 0 : 49)
  }
}

/** Where names and patterns share a column, `g(r.sub, p.sub) || spiffeMatch(r.sub, p.sub)`, a value is meant for one of both. */
function isMeantFor(leaf: Leaf, value: string): boolean {
  if (leaf.kind === 'role') return !/[*{]/.test(value)
  return leaf.kind !== 'call' || policyFunction(leaf.name)?.meantAsPattern?.(value) !== false
}

function closenessOf(value: unknown, wanted: string): number {
  return typeof value === 'string' ? closeness(value, wanted) : 0
}
