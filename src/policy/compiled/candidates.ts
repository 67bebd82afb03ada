import type { Pace } from '../pace.ts'
import { branchesOf, looksAt, type Atom, type Branch } from './branches.ts'
import { compileCondition, type Columns, type ConditionScope, type Test, type Values } from './conditions.ts'
import { dimensionOf, type Dimension, type PreparedRoles } from './dimensions.ts'
import { RuleIndex, type Place } from './rule-index.ts'

/** Longest group of rules that is put together with the others; longer ones are gone through as they stand. */
const shortGroup = 32

interface Alternative {
  /** Conditions on the request alone. */
  readonly guards: readonly Test[]
  readonly index: RuleIndex
  readonly slow: SlowBranch | undefined
}

/** A branch of which many rules are asked one by one. */
export interface SlowBranch {
  /** What tells none of them apart. */
  readonly atoms: readonly Atom[]
  /** The most rules that are asked for one request. */
  readonly rules: number
}

/** More rules than this are many. */
const manyRules = 64
/** Rules that are looked at to say why. */
const sampleSize = 64

const noColumns: Columns = []
const noValues: Values = []

/** Finds the rules that can match a request. None that matches is left out; of those that it finds, the matcher has to be asked. */
export class Candidates {
  readonly #alternatives: readonly Alternative[]

  private constructor(alternatives: readonly Alternative[]) {
    this.#alternatives = alternatives
  }

  /** Prepares the search among the rules at `places`, which are in rising order. */
  static async prepare(
    places: readonly Place[],
    columnsAt: (place: Place) => Columns,
    matcher: Parameters<typeof branchesOf>[0],
    scope: ConditionScope,
    roles: PreparedRoles,
    pace: Pace,
  ): Promise<Candidates> {
    const alternatives: Alternative[] = []
    for (const branch of branchesOf(matcher)) {
      const atoms = branch.map((atom) => ({ atom, dimension: dimensionOf(atom, scope, roles) }))
      const { guards, filters, dimensions } = sortOut(atoms, scope)
      const possible: Place[] = []
      for (const place of places) {
        if (pace.due) await pace.rest()
        if (filters.every((filter) => filter(noValues, columnsAt(place)))) possible.push(place)
      }
      if (possible.length === 0) continue
      const index = await RuleIndex.build(possible, dimensions, columnsAt, pace)
      const rules = index.largestLeaf
      // Where nothing is asked of the rules, the first that is tried matches.
      const asksRules = atoms.some(({ atom }) => looksAt(atom).rule)
      const slow =
        asksRules && rules > manyRules
          ? { atoms: unindexed(atoms, possible.slice(0, sampleSize), columnsAt), rules }
          : undefined
      alternatives.push({ guards, index, slow })
    }
    return new Candidates(alternatives)
  }

  /** Asks `holds` of the candidates in their order, or backwards, until it is true of one; undefined where it is of none. */
  first(values: Values, backwards: boolean, holds: (place: Place) => boolean): Place | undefined {
    const groups = this.#groups(values)
    const [only] = groups
    if (only === undefined) return undefined
    return groups.length === 1 ? firstOf(only, backwards, holds) : firstOfSeveral(groups, backwards, holds)
  }

  get slowBranches(): readonly SlowBranch[] {
    return this.#alternatives.flatMap(({ slow }) => slow ?? [])
  }

  /** Groups of places, each in rising order; a place may stand in several, and several times in one. */
  #groups(values: Values): (readonly Place[])[] {
    const together: Place[] = []
    const groups: (readonly Place[])[] = []
    for (const { guards, index } of this.#alternatives) {
      if (!guards.every((guard) => guard(values, noColumns))) continue
      index.find(
        values,
        (place) => together.push(place),
        (places) => {
          if (places.length > shortGroup) groups.push(places)
          else for (const place of places) together.push(place)
        },
      )
    }
    if (together.length > 0) groups.push(together.length > 1 ? together.sort((a, b) => a - b) : together)
    return groups
  }
}

interface SortedAtom {
  readonly atom: Atom
  readonly dimension: Dimension | undefined
}

function sortOut(atoms: readonly SortedAtom[], scope: ConditionScope) {
  const guards: Test[] = []
  const filters: Test[] = []
  const dimensions: Dimension[] = []
  for (const { atom, dimension } of atoms) {
    const { request, rule } = looksAt(atom)
    if (dimension !== undefined) dimensions.push(dimension)
    else if (!rule) guards.push(compileCondition(atom, scope))
    else if (!request) filters.push(compileCondition(atom, scope))
  }
  return { guards, filters, dimensions }
}

/** The atoms of a branch that tell none of the rules apart beforehand, or all where each tells some. */
function unindexed(
  branch: readonly SortedAtom[],
  places: readonly Place[],
  columnsAt: (place: Place) => Columns,
): Branch {
  const helpless = branch.filter(({ atom, dimension }) => {
    if (dimension === undefined) return looksAt(atom).request && looksAt(atom).rule
    return dimension.kind === 'pattern' && places.every((place) => dimension.key(columnsAt(place))[0]?.kind === 'rest')
  })
  return (helpless.length > 0 ? helpless : branch).map(({ atom }) => atom)
}

function firstOf(group: readonly Place[], backwards: boolean, holds: (place: Place) => boolean): Place | undefined {
  const step = backwards ? -1 : 1
  let last = -1
  for (let at = backwards ? group.length - 1 : 0; at >= 0 && at < group.length; at += step) {
    const place = group[at] ?? -1
    if (place !== last && holds(place)) return place
    last = place
  }
  return undefined
}

function firstOfSeveral(
  groups: readonly (readonly Place[])[],
  backwards: boolean,
  holds: (place: Place) => boolean,
): Place | undefined {
  const step = backwards ? -1 : 1
  const at = groups.map((group) => (backwards ? group.length - 1 : 0))
  let last = -1
  for (;;) {
    const next = nextGroup(groups, at, step)
    if (next === -1) return undefined
    const place = groups[next]?.[at[next] ?? -1] ?? -1
    at[next] = (at[next] ?? 0) + step
    if (place !== last && holds(place)) return place
    last = place
  }
}

/** The group whose next place comes first; -1 where all have been gone through. */
function nextGroup(groups: readonly (readonly Place[])[], at: readonly number[], step: 1 | -1): number {
  let next = -1
  let first = -1
  for (const [index, group] of groups.entries()) {
    const place = group[at[index] ?? -1]
    if (place === undefined || (next !== -1 && (place - first) * step >= 0)) continue
    next = index
    first = place
  }
  return next
}
