import type { PolicyToken } from '../../decision/rule-set.ts'
import type { Condition, Operand } from '../parse/matcher.ts'

/** A condition that holds no other one. */
export type Leaf = Exclude<Condition, { readonly kind: 'and' | 'or' | 'not' }>

/** What one condition of a matcher demands of request and rule. */
export interface Demand {
  readonly kind: 'demand'
  readonly leaf: Leaf
  /** Whether the leaf has to be false. */
  readonly negated: boolean
  readonly tokens: readonly PolicyToken[]
  readonly columns: readonly string[]
}

/** A matcher without `!` above its leaves: `all` are conjuncts, `any` are the branches of an `||`. */
export type MatcherTree = Demand | { readonly kind: 'all' | 'any'; readonly parts: readonly MatcherTree[] }

/** Brings every `!` down to the leaves and joins what stands in one row: `a && (b && c)` has three conjuncts. */
export function matcherTree(condition: Condition, negated = false): MatcherTree {
  switch (condition.kind) {
    case 'not':
      return matcherTree(condition.operand, !negated)
    case 'and':
    case 'or': {
      const kind = (condition.kind === 'and') === negated ? 'any' : 'all'
      const sides = [condition.left, condition.right].map((side) => matcherTree(side, negated))
      return { kind, parts: sides.flatMap((side) => (side.kind === kind ? side.parts : [side])) }
    }
    default:
      return demandOf(condition, negated)
  }
}

/** The leaves, in the order in which they stand. */
export function demandsOf(tree: MatcherTree): readonly Demand[] {
  return tree.kind === 'demand' ? [tree] : tree.parts.flatMap(demandsOf)
}

function demandOf(leaf: Leaf, negated: boolean): Demand {
  const tokens = new Set<PolicyToken>()
  const columns = new Set<string>()
  for (const operand of operandsOf(leaf)) {
    if (operand.kind === 'token') tokens.add(operand.token)
    else if (operand.kind === 'column') columns.add(operand.column)
  }
  return { kind: 'demand', leaf, negated, tokens: [...tokens], columns: [...columns] }
}

function operandsOf(leaf: Leaf): readonly Operand[] {
  switch (leaf.kind) {
    case 'compare':
      return [leaf.left, leaf.right].flatMap(innermost)
    case 'in':
      return [leaf.left, ...leaf.items].flatMap(innermost)
    default:
      return innermost(leaf)
  }
}

function innermost(operand: Operand): readonly Operand[] {
  return operand.kind === 'call' || operand.kind === 'role' ? operand.arguments.flatMap(innermost) : [operand]
}

/** A token that a leaf ties to a column: `r.act == p.act`, `pathMatch(r.obj, p.obj)`, `g(r.sub, p.sub)`. */
export interface Tie {
  readonly token: PolicyToken
  readonly column: string
}

/** What a demand ties together; undefined where it is negated, or of another form. */
export function tieOf({ leaf, negated }: Demand): Tie | undefined {
  if (negated) return undefined
  if (leaf.kind === 'compare') {
    if (leaf.operator !== '==' && leaf.operator !== '===') return undefined
    return tied(leaf.left, leaf.right) ?? tied(leaf.right, leaf.left)
  }
  return leaf.kind === 'in' ? undefined : tied(leaf.arguments[0], leaf.arguments[1])
}

function tied(first: Operand | undefined, second: Operand | undefined): Tie | undefined {
  return first?.kind === 'token' && second?.kind === 'column'
    ? { token: first.token, column: second.column }
    : undefined
}
