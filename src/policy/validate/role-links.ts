import type { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'

/** Roles above a name that are looked at. */
const maxRoles = 16

/** A name in a domain, as one text: no value holds a control character. */
export function inDomain(name: string, domain = ''): string {
  return domain === '' ? name : `${domain}\u0000${name}`
}

/** The role links of one role definition, with the line of each. Those of all domains are looked at together. */
export class RoleLinks {
  /** Links by role. */
  readonly byRole = new Map<string, PolicyRow[]>()
  /** Links by name and domain: see `inDomain`. */
  readonly byPlace = new Map<string, PolicyRow[]>()
  readonly #nearest = new Map<string, readonly string[]>()

  add(row: PolicyRow): void {
    const [name = '', role = '', domain] = row.values
    listOf(this.byRole, role).push(row)
    listOf(this.byPlace, inDomain(name, domain)).push(row)
  }

  /** The roles that are nearest above a name, itself first: `maxRoles` at most. */
  nearest(name: string, domain: string | undefined): readonly string[] {
    const key = inDomain(name, domain)
    const known = this.#nearest.get(key)
    if (known !== undefined) return known
    const found = new Set([name])
    for (const at of found) {
      for (const { values } of this.byPlace.get(inDomain(at, domain)) ?? []) {
        found.add(values[1] ?? '')
        if (found.size >= maxRoles) break
      }
      if (found.size >= maxRoles) break
    }
    this.#nearest.set(key, [...found])
    return [...found]
  }

  /** The roles that are reached from the given ones, by going up to their roles or down to their members. */
  async reached(from: Iterable<string>, way: 'up' | 'down', pace: Pace): Promise<ReadonlySet<string>> {
    const found = new Set(from)
    const above = way === 'up' ? await this.#rolesOfRoles(pace) : undefined
    for (const at of found) {
      const links = above?.get(at) ?? (way === 'down' ? this.byRole.get(at) : undefined)
      for (const { values } of links ?? []) {
        if (pace.due) await pace.rest()
        const next = values[way === 'up' ? 1 : 0] ?? ''
        // Most names are no roles.
        if (this.byRole.has(next)) found.add(next)
      }
    }
    return found
  }

  /** Links by the roles that have them, in whatever domain. */
  async #rolesOfRoles(pace: Pace): Promise<ReadonlyMap<string, PolicyRow[]>> {
    const links = new Map<string, PolicyRow[]>()
    for (const rows of this.byPlace.values()) {
      for (const row of rows) {
        if (pace.due) await pace.rest()
        const [name = ''] = row.values
        if (this.byRole.has(name)) listOf(links, name).push(row)
      }
    }
    return links
  }
}

function listOf(lists: Map<string, PolicyRow[]>, key: string): PolicyRow[] {
  const found = lists.get(key) ?? []
  if (found.length === 0) lists.set(key, found)
  return found
}

/** The links of every role definition. */
export async function roleLinksOf(
  names: Iterable<string>,
  rows: readonly PolicyRow[],
  pace: Pace,
): Promise<ReadonlyMap<string, RoleLinks>> {
  const all = new Map([...names].map((name) => [name, new RoleLinks()]))
  for (const row of rows) {
    if (pace.due) await pace.rest()
    all.get(row.type)?.add(row)
  }
  return all
}
