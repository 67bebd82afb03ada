import type { Condition, Operand, RoleCall } from '../parse/matcher.ts'
import type { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { isPossible, looksLikeRole } from './covering.ts'
import { isCompared, PatternTrie } from './pattern-cover.ts'
import type { RoleLinks } from './role-links.ts'

/** Combinations of values that are looked up for one rule. */
const maxCombinations = 256

type Wider = (values: readonly string[]) => readonly string[]

/** For the values of a rule, those of rules that may cover it: an index, so that not every rule is held against every other. */
export class WiderValues {
  readonly #model: PolicyModel
  readonly #links: ReadonlyMap<string, RoleLinks>
  /** For each column that the matcher reads. */
  readonly #columns: readonly { readonly index: number; readonly wider: readonly Wider[] }[]

  private constructor(
    model: PolicyModel,
    links: ReadonlyMap<string, RoleLinks>,
    columns: readonly { readonly index: number; readonly wider: readonly Wider[] }[],
  ) {
    this.#model = model
    this.#links = links
    this.#columns = columns
  }

  static async prepare(
    model: PolicyModel,
    rows: readonly PolicyRow[],
    links: ReadonlyMap<string, RoleLinks>,
    pace: Pace,
  ): Promise<WiderValues> {
    const columns = []
    for (const [index, column] of model.columns.entries()) {
      if (!model.reads.columns.has(column)) continue
      const wider: Wider[] = [rolesAbove(model, column, index, links)]
      const literals = literalsBeside(model.matcher, column)
      if (literals.length > 0) wider.push(() => literals)
      for (const name of model.reads.columns.get(column) ?? []) {
        if (isCompared(name)) wider.push(await patternsAround(name, index, rows, pace))
      }
      columns.push({ index, wider })
    }
    return new WiderValues(model, links, columns)
  }

  /** Keys of `KnownRules`: the rule's own, and those of wider values. */
  of(values: readonly string[]): readonly string[] {
    let keys: string[] | undefined
    for (const { index, wider } of this.#columns) {
      const found = new Set([values[index] ?? ''])
      for (const find of wider) for (const value of find(values)) found.add(value)
      const all = keys ?? ['']
      const next = all.flatMap((key) =>
        [...found].map((value) => (keys === undefined ? value : `${key}\u0000${value}`)),
      )
      keys = next.slice(0, maxCombinations)
    }
    return keys ?? []
  }

  /** Whether a rule is of a role that nobody has, which is told of the role and not of each rule. */
  hasEmptyRole(values: readonly string[]): boolean {
    return this.#model.reads.roleCalls.some(({ name, arguments: [who, role] }) => {
      const value = role?.kind === 'column' ? values[this.#model.columns.indexOf(role.column)] : undefined
      if (value === undefined || who?.kind !== 'token' || isPossible(who.token, value)) return false
      if (!looksLikeRole(value)) return false
      return this.#links.get(name)?.byRole.has(value) !== true
    })
  }
}

function rolesAbove(
  { columns, reads }: PolicyModel,
  column: string,
  index: number,
  links: ReadonlyMap<string, RoleLinks>,
): Wider {
  const calls = reads.roleCalls.filter(({ arguments: [, role] }) => role?.kind === 'column' && role.column === column)
  const domainOf = ({ arguments: [, , domain] }: RoleCall, values: readonly string[]) =>
    domain?.kind === 'column' ? values[columns.indexOf(domain.column)] : undefined
  return (values) =>
    calls.flatMap((call) => links.get(call.name)?.nearest(values[index] ?? '', domainOf(call, values)) ?? [])
}

async function patternsAround(name: string, index: number, rows: readonly PolicyRow[], pace: Pace): Promise<Wider> {
  const trie = new PatternTrie(name)
  const seen = new Set<string>()
  for (const { type, values } of rows) {
    if (pace.due) await pace.rest()
    const value = values[index]
    if (type !== 'p' || value === undefined || seen.has(value)) continue
    seen.add(value)
    trie.add(value)
  }
  return (values) => trie.covering(values[index] ?? '')
}

/** The texts with which a matcher compares a column, such as `p.act == "*"`. */
function literalsBeside(condition: Condition, column: string): readonly string[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [...literalsBeside(condition.left, column), ...literalsBeside(condition.right, column)]
    case 'not':
      return literalsBeside(condition.operand, column)
    case 'compare': {
      const sides: readonly Operand[] = [condition.left, condition.right]
      if (!sides.some((side) => side.kind === 'column' && side.column === column)) return []
      return sides.flatMap((side) => (side.kind === 'literal' ? [String(side.value)] : []))
    }
    default:
      return []
  }
}
