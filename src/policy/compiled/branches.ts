import type { Condition, Operand } from '../parse/matcher.ts'

/** A condition that is neither `&&` nor `||`. */
export type Atom = Exclude<Condition, Logical>

type Logical = Extract<Condition, { kind: 'and' | 'or' }>

/** Conditions that all have to hold. */
export type Branch = readonly Atom[]

/** A matcher with many alternatives inside alternatives would multiply; past this they are not told apart. */
const maxBranches = 64

/**
 * A matcher as alternatives: wherever it holds, every atom of one branch holds. The converse is not promised: an alternative
 * that would give too many branches is left out of them, so that they ask for less. Whoever uses them asks the matcher again.
 */
export function branchesOf(condition: Condition): readonly Branch[] {
  return alternatives(withoutOuterNot(condition))
}

function alternatives(condition: Condition): readonly Branch[] {
  if (!isLogical(condition)) {
    return condition.kind === 'in' ? equalities(condition) : [[condition]]
  }
  const left = alternatives(withoutOuterNot(condition.left))
  const right = alternatives(withoutOuterNot(condition.right))
  if (condition.kind === 'and') return product(left, right)
  return left.length + right.length <= maxBranches ? [...left, ...right] : [[]]
}

export function isLogical(condition: Condition): condition is Logical {
  return condition.kind === 'and' || condition.kind === 'or'
}

function product(left: readonly Branch[], right: readonly Branch[]): readonly Branch[] {
  if (left.length * right.length <= maxBranches) return left.flatMap((one) => right.map((other) => [...one, ...other]))
  // Either side alone is a necessary condition; the one with fewer alternatives says more about each.
  return left.length <= right.length ? left : right
}

/** `r.act in [p.a, p.b, "GET"]` is three equalities; without columns it asks the request alone, once. */
function equalities(condition: Extract<Condition, { kind: 'in' }>): readonly Branch[] {
  if (!condition.items.some((item) => item.kind === 'column') || condition.items.length > maxBranches) {
    return [[condition]]
  }
  return condition.items.map((right) => [{ kind: 'compare', operator: '===', left: condition.left, right }])
}

/** Moves a `!` in front of `&&` and `||` inwards (De Morgan), so that what stands beneath it is seen. */
function withoutOuterNot(condition: Condition): Condition {
  if (condition.kind !== 'not') return condition
  const { operand } = condition
  if (operand.kind === 'not') return withoutOuterNot(operand.operand)
  if (!isLogical(operand)) return condition
  const negated = (inner: Condition): Condition => ({ kind: 'not', operand: inner })
  return {
    kind: operand.kind === 'and' ? 'or' : 'and',
    left: negated(operand.left),
    right: negated(operand.right),
  }
}

/** Whether an atom looks at the request, and whether at the rule. */
export function looksAt(atom: Atom): { readonly request: boolean; readonly rule: boolean } {
  const kinds = new Set(operandsOf(atom).flatMap(kindsIn))
  return { request: kinds.has('token'), rule: kinds.has('column') }
}

function operandsOf(atom: Atom): readonly Operand[] {
  if (atom.kind === 'not') return operandsOfCondition(atom.operand)
  return operandsOfCondition(atom)
}

function operandsOfCondition(condition: Condition): readonly Operand[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [...operandsOfCondition(condition.left), ...operandsOfCondition(condition.right)]
    case 'not':
      return operandsOfCondition(condition.operand)
    case 'compare':
      return [condition.left, condition.right]
    case 'in':
      return [condition.left, ...condition.items]
    case 'call':
    case 'role':
      return condition.arguments
  }
}

/** What a value is made of: kinds of all tokens, columns and literals in it. */
export function kindsIn(operand: Operand): readonly Operand['kind'][] {
  return operand.kind === 'call' || operand.kind === 'role' ? operand.arguments.flatMap(kindsIn) : [operand.kind]
}
