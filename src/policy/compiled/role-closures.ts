import type { Pace } from '../pace.ts'
import type { RoleGraph } from './roles.ts'

/** Entries of all closures of a role definition together; one takes 4 bytes. */
export const maxClosureEntries = 10_000_000

/** The roles that count, because rules name them, by number. */
export class RoleNumbers {
  readonly #numbers = new Map<string, number>()

  /** The number of a role; a new one where it has none yet. */
  add(role: string): number {
    const found = this.#numbers.get(role)
    if (found !== undefined) return found
    this.#numbers.set(role, this.#numbers.size)
    return this.#numbers.size - 1
  }

  get(role: string): number | undefined {
    return this.#numbers.get(role)
  }

  get size(): number {
    return this.#numbers.size
  }
}

export type Closure = readonly number[] | Int32Array

const nobody: readonly number[] = []

/** A typed array takes 4 bytes for a number, but more than a hundred for itself. */
const fewNumbers = 64

/**
 * For each name of the role links the numbers of all roles that it is or has, over any number of links, worked out once.
 * Who asks needs no walk through the hierarchy, however deep it is.
 */
export class RoleClosures {
  readonly #numbers: RoleNumbers
  readonly #byDomain: ReadonlyMap<string | undefined, ReadonlyMap<string, Closure>>
  #last: { readonly name: string; readonly domain: string | undefined; readonly closure: Closure } | undefined

  constructor(numbers: RoleNumbers, byDomain: ReadonlyMap<string | undefined, ReadonlyMap<string, Closure>>) {
    this.#numbers = numbers
    this.#byDomain = byDomain
  }

  /** The numbers of the roles that `name` is or has, in rising order. */
  of(name: string, domain?: string): Closure {
    // One request asks of the same name again and again.
    if (this.#last?.name === name && this.#last.domain === domain) return this.#last.closure
    const closure = this.#byDomain.get(domain)?.get(name) ?? this.#own(name)
    this.#last = { name, domain, closure }
    return closure
  }

  /** What a name has that is in no link: itself. */
  #own(name: string): Closure {
    const own = this.#numbers.get(name)
    return own === undefined ? nobody : [own]
  }

  /** Whether `name` is or has `role`, which MUST be one of the numbered roles. */
  has(name: string, role: string, domain?: string): boolean {
    return name === role || includes(this.of(name, domain), this.numberOf(role))
  }

  /** The number of a role, -1 where it has none. */
  numberOf(role: unknown): number {
    return typeof role === 'string' ? (this.#numbers.get(role) ?? -1) : -1
  }

  /** Whether `name` is or has the role with a number. */
  hasNumber(name: string, number: number): boolean {
    return includes(this.of(name), number)
  }
}

function includes(sorted: Closure, number: number): boolean {
  let from = 0
  let to = sorted.length
  while (from < to) {
    const middle = (from + to) >>> 1
    const found = sorted[middle] ?? 0
    if (found === number) return true
    if (found < number) from = middle + 1
    else to = middle
  }
  return false
}

/**
 * Works out the closures of a role definition, in each domain by itself or, where `merged`, over the links of all domains
 * together. Undefined where they would have more than `maxClosureEntries` entries.
 */
export async function closeRoles(
  graph: RoleGraph,
  numbers: RoleNumbers,
  merged: boolean,
  pace: Pace,
): Promise<RoleClosures | undefined> {
  const scopes = graph.scopes()
  const groups = merged ? [{ domain: undefined, scopes }] : scopes.map((domain) => ({ domain, scopes: [domain] }))
  const byDomain = new Map<string | undefined, ReadonlyMap<string, Closure>>()
  let left = maxClosureEntries
  for (const group of groups) {
    const closing = new Closing(graph, group.scopes, numbers, left)
    const closures = await closing.run(pace)
    if (closures === undefined) return undefined
    left = closing.left
    byDomain.set(group.domain, closures)
  }
  return new RoleClosures(numbers, byDomain)
}

interface Visit {
  readonly name: string
  readonly order: number
  readonly roles: readonly string[]
  next: number
  low: number
}

/**
 * Tarjan's algorithm without recursion: a hierarchy may be deeper than the stack. Names on a cycle have the same roles, so they
 * share one closure; each is made after those that it leads to.
 */
class Closing {
  left: number
  readonly #graph: RoleGraph
  readonly #scopes: readonly (string | undefined)[]
  readonly #numbers: RoleNumbers
  readonly #closures = new Map<string, Closure>()
  readonly #orders = new Map<string, number>()
  readonly #open: string[] = []
  readonly #marks: Uint32Array
  #mark = 0
  #visited = 0

  constructor(graph: RoleGraph, scopes: readonly (string | undefined)[], numbers: RoleNumbers, left: number) {
    this.#graph = graph
    this.#scopes = scopes
    this.#numbers = numbers
    this.#marks = new Uint32Array(numbers.size)
    this.left = left
  }

  async run(pace: Pace): Promise<ReadonlyMap<string, Closure> | undefined> {
    for (const scope of this.#scopes) {
      for (const name of this.#graph.names(scope)) {
        if (pace.due) await pace.rest()
        if (!this.#orders.has(name) && !(await this.#visit(name, pace))) return undefined
      }
    }
    // Names that only stand as roles have themselves alone, which whoever asks knows without an entry.
    return this.#closures
  }

  async #visit(name: string, pace: Pace): Promise<boolean> {
    const path = [this.#begin(name)]
    for (let at = path.at(-1); at !== undefined; at = path.at(-1)) {
      if (pace.due) await pace.rest()
      const role = at.roles[at.next]
      at.next += 1
      if (role !== undefined) {
        const order = this.#orders.get(role)
        if (order === undefined) path.push(this.#begin(role))
        else if (!this.#closures.has(role)) at.low = Math.min(at.low, order)
        continue
      }
      path.pop()
      const parent = path.at(-1)
      if (parent !== undefined) parent.low = Math.min(parent.low, at.low)
      if (at.low === at.order && !this.#close(at)) return false
    }
    return true
  }

  #begin(name: string): Visit {
    const order = this.#visited
    this.#visited += 1
    this.#orders.set(name, order)
    this.#open.push(name)
    return { name, order, roles: this.#rolesOf(name), next: 0, low: order }
  }

  #rolesOf(name: string): readonly string[] {
    const [first, ...others] = this.#scopes
    const roles = this.#graph.direct(name, first)
    return others.length === 0 ? roles : [...roles, ...others.flatMap((scope) => this.#graph.direct(name, scope))]
  }

  #close({ name, roles }: Visit): boolean {
    const members = this.#open.splice(this.#open.lastIndexOf(name))
    const closure = members.length === 1 ? this.#closureOf(name, roles) : this.#closureOfCycle(members)
    if (closure === undefined) return false
    for (const member of members) this.#closures.set(member, closure)
    return true
  }

  #closureOf(name: string, roles: readonly string[]): Closure | undefined {
    const own = this.#numbers.get(name)
    const [role] = roles
    // Most names have one role and are none: they share what the role has.
    if (own === undefined && roles.length === 1 && role !== undefined && role !== name) return this.#closures.get(role)
    return this.#union(own === undefined ? [] : [own], roles)
  }

  #closureOfCycle(members: readonly string[]): Closure | undefined {
    const own = members.map((member) => this.#numbers.get(member)).filter((number) => number !== undefined)
    return this.#union(
      own,
      members.flatMap((member) => this.#rolesOf(member)),
    )
  }

  #union(own: readonly number[], roles: readonly string[]): Closure | undefined {
    this.#mark += 1
    const found: number[] = []
    this.#collect(own, found)
    for (const role of roles) this.#collect(this.#closures.get(role) ?? nobody, found)
    this.left -= found.length
    if (this.left < 0) return undefined
    return found.length <= fewNumbers ? found.sort((a, b) => a - b) : Int32Array.from(found).sort()
  }

  #collect(numbers: Closure, found: number[]): void {
    for (const number of numbers) {
      if (this.#marks[number] === this.#mark) continue
      this.#marks[number] = this.#mark
      found.push(number)
    }
  }
}
