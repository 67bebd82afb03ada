import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { valueOf, type ModelShape } from './model-shape.ts'

/** What a rule permits (or denies), apart from whom: the values of its columns, by their names. */
export type Permission = Readonly<Record<string, string>>

/** What a rule says of its subject. */
export interface Own {
  /** The same for the same permission, whoever has it. */
  readonly key: string
  /** The same for permissions that differ in effect or priority alone. */
  readonly core: string
  readonly permission: Permission
  readonly row: PolicyRow
}

/** How a name comes to a rule. */
export interface Way {
  /** From the name to the subject that the rule names, both included; one name where the rule names it itself. */
  readonly path: readonly string[]
  /** The domain of the links of the path. */
  readonly links: string
  /** The domain in which the permission is held, where the model leaves that to the role links. */
  readonly domain: string | undefined
}

/** One permission as somebody has it. */
export interface Held {
  readonly own: Own
  readonly way: Way
}

/** Per name and domain, what it is linked to. */
type Links = Map<string, Map<string, Set<string>>>

const noDomain = ''

/** The rules and role links of one policy, by subject. */
export class Permissions {
  readonly #shape: ModelShape
  readonly #own = new Map<string, Own[]>()
  readonly #roles: Links = new Map()
  readonly #members = new Map<string, Set<string>>()
  readonly #names = new Set<string>()

  /** `columns` are what a permission is made of, so that those of two models can be compared. */
  constructor(model: PolicyModel, shape: ModelShape, rows: readonly PolicyRow[], columns: readonly string[]) {
    this.#shape = shape
    for (const row of rows) {
      if (row.type === 'p') this.#addRule(model, row, columns)
      else if (row.type === shape.roles?.name) this.#addLink(row)
    }
  }

  #addRule(model: PolicyModel, row: PolicyRow, columns: readonly string[]): void {
    const subject = valueOf(model, row, this.#shape.subject)
    const permission = Object.fromEntries(columns.map((column) => [column, valueIn(model, row, column)]))
    const key = keyOf(Object.values(permission))
    const core = keyOf(columns.map((column) => (isVerdict(column) ? '' : (permission[column] ?? ''))))
    entry(this.#own, subject, () => []).push({ key, core, permission, row })
    this.#names.add(subject)
  }

  #addLink({ values: [name = '', role = '', domain = noDomain] }: PolicyRow): void {
    const { roles } = this.#shape
    if (roles?.domain.kind === 'fixed' && roles.domain.domain !== domain) return
    const domains = entry(this.#roles, name, () => new Map<string, Set<string>>())
    entry(domains, domain, () => new Set()).add(role)
    entry(this.#members, role, () => new Set()).add(name)
    this.#names.add(name).add(role)
  }

  get names(): ReadonlySet<string> {
    return this.#names
  }

  /** Whether nobody has it as a role and no rule names it: a workload, or a user. */
  isMember(name: string): boolean {
    return !this.#own.has(name) && !this.#members.has(name)
  }

  /** A text that is the same for names with the same direct roles. */
  rolesKey(name: string): string {
    const domains = this.#roles.get(name)
    if (domains === undefined) return ''
    const keys = [...domains].map(([domain, roles]) => keyOf([domain, ...[...roles].sort()]))
    return keys.sort().join('\n')
  }

  /** A text that is the same for names with the same rules of their own. */
  ownKey(name: string): string {
    const own = this.#own.get(name)
    return own === undefined ? '' : [...new Set(own.map(({ key }) => key))].sort().join('\n')
  }

  hasLink(name: string, role: string, domain: string): boolean {
    return this.#roles.get(name)?.get(domain)?.has(role) === true
  }

  /** These names, and every name that may have one of them as a role, over any number of links. */
  reachedBy(names: Iterable<string>): Set<string> {
    const all = new Set(names)
    for (const at of all) for (const member of this.#members.get(at) ?? []) all.add(member)
    return all
  }

  /** Everything that a name has by its own rules and by those of its roles, each once, by the nearest rule. */
  heldBy(name: string): Map<string, Held> {
    const held = new Map<string, Held>()
    const itself = { path: [name], links: noDomain, domain: undefined }
    for (const own of this.#own.get(name) ?? []) add(held, own, itself)
    for (const domain of this.#roles.get(name)?.keys() ?? []) this.#inherit(held, name, domain)
    return held
  }

  #inherit(held: Map<string, Held>, name: string, links: string): void {
    const from = new Map<string, string>()
    const domain = this.#shape.roles?.domain.kind === 'any' ? links : undefined
    for (const role of this.#reach(name, links, from)) {
      const owns = this.#own.get(role)
      if (owns === undefined) continue
      const way = { path: pathTo(role, name, from), links, domain }
      for (const own of owns) if (this.#counts(own.permission, links)) add(held, own, way)
    }
  }

  #reach(name: string, domain: string, from: Map<string, string>): readonly string[] {
    const waiting = [name]
    for (const at of waiting) {
      for (const role of this.#roles.get(at)?.get(domain) ?? []) {
        if (role === name || from.has(role)) continue
        from.set(role, at)
        waiting.push(role)
      }
    }
    return waiting.slice(1)
  }

  /** Whether links of this domain bring this permission. */
  #counts(permission: Permission, domain: string): boolean {
    const roles = this.#shape.roles?.domain
    return roles?.kind !== 'column' || permission[roles.column] === domain
  }
}

function add(held: Map<string, Held>, own: Own, way: Way): void {
  const whole = way.domain === undefined ? own.key : keyOf([own.key, way.domain])
  // What a name has by its own rules it has in every domain.
  if (!held.has(whole) && (way.domain === undefined || !held.has(own.key))) held.set(whole, { own, way })
}

/** Whether a rule stays the same rule when this column changes. */
function isVerdict(column: string): boolean {
  return column === 'eft' || column === 'priority'
}

/** No value of a rule holds a control character. */
function keyOf(values: readonly string[]): string {
  return values.join('\u0000')
}

/** The value of a column, also of one that a model leaves out because all rules mean the same by it. */
function valueIn(model: PolicyModel, row: PolicyRow, column: string): string {
  return column === 'eft' && !model.columns.includes('eft') ? 'allow' : valueOf(model, row, column)
}

function pathTo(role: string, name: string, from: ReadonlyMap<string, string>): readonly string[] {
  const path: string[] = []
  for (let at: string | undefined = role; at !== undefined && at !== name; at = from.get(at)) path.push(at)
  return [name, ...path.reverse()]
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}
