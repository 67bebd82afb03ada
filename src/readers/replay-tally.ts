import type { Answer, Change } from './replay-change.ts'

/** Decisions that change alike. */
export interface ChangeGroup {
  readonly count: number
  /** When the first and the last of them were decided. */
  readonly first: string
  readonly last: string
  /** Decision ids of some of them. */
  readonly examples: readonly string[]
}

export type PrincipalGroup = ChangeGroup & { readonly principal: string }
export type RouteGroup = ChangeGroup & { readonly route: string }
export type RuleGroup = ChangeGroup & { readonly before: Answer; readonly after: Answer }

/** The decisions that change in one way, grouped thrice; the largest groups first. */
export interface Changes {
  readonly count: number
  readonly principals: Groups<PrincipalGroup>
  readonly routes: Groups<RouteGroup>
  readonly rules: Groups<RuleGroup>
}

export interface Groups<Group> {
  readonly groups: readonly Group[]
  /** Decisions of further groups, which were too many to be kept apart. */
  readonly ungrouped: number
}

/** Groups that are kept apart, of each way of grouping; the memory that a replay takes depends on it. */
export const maxGroups = 2000
export const maxExamples = 3

/** Counts changes; its memory is bounded, however many there are. */
export class ChangeTally {
  #count = 0
  readonly #principals = new Grouping<{ readonly principal: string }>()
  readonly #routes = new Grouping<{ readonly route: string }>()
  readonly #rules = new Grouping<{ readonly before: Answer; readonly after: Answer }>()

  add(change: Change): void {
    const { principal, route, before, after } = change
    this.#count += 1
    this.#principals.add(principal, { principal }, change)
    this.#routes.add(route, { route }, change)
    this.#rules.add(`${keyOf(before)}\n${keyOf(after)}`, { before, after }, change)
  }

  changes(): Changes {
    return {
      count: this.#count,
      principals: this.#principals.groups(),
      routes: this.#routes.groups(),
      rules: this.#rules.groups(),
    }
  }
}

/** A rule that has moved to another line is the same rule. */
function keyOf({ effect, rule, fault }: Answer): string {
  return `${effect}\n${rule?.text ?? ''}\n${fault ?? ''}`
}

interface OpenGroup {
  count: number
  first: string
  last: string
  readonly examples: string[]
}

class Grouping<Name> {
  readonly #groups = new Map<string, Name & OpenGroup>()
  #ungrouped = 0

  add(key: string, name: Name, { time, decisionId }: Change): void {
    const known = this.#groups.get(key)
    if (known === undefined && this.#groups.size >= maxGroups) {
      this.#ungrouped += 1
      return
    }
    const group = known ?? { ...name, count: 0, first: time, last: time, examples: [] }
    if (known === undefined) this.#groups.set(key, group)
    group.count += 1
    if (time < group.first) group.first = time
    if (time > group.last) group.last = time
    if (group.examples.length < maxExamples) group.examples.push(decisionId)
  }

  groups(): Groups<Name & ChangeGroup> {
    return { groups: [...this.#groups.values()].sort((a, b) => b.count - a.count), ungrouped: this.#ungrouped }
  }
}
