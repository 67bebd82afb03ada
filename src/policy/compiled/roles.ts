/** Names to what they have directly: one role, as most have, or several. */
type Links = Map<string, string | Set<string>>

/** Paths that are remembered, and the most roles that one may have. */
const mostRemembered = 10_000
const longestRemembered = 256

/**
 * The role links of one role definition (`g`, `g2`…), per domain. There is no limit to the depth, and cycles do no harm.
 * An empty name has no role and is not even equal to itself.
 */
export class RoleGraph {
  readonly #domains = new Map<string | undefined, Links>()
  readonly #paths = new Map<string, readonly string[]>()

  /** Says that `name` has `role`. Links with a domain hold in that domain alone. */
  add(name: string, role: string, domain?: string): void {
    this.#paths.clear()
    let links = this.#domains.get(domain)
    if (links === undefined) this.#domains.set(domain, (links = new Map<string, string | Set<string>>()))
    const found = links.get(name)
    if (found === undefined) links.set(name, role)
    else if (typeof found !== 'string') found.add(role)
    else if (found !== role) links.set(name, new Set([found, role]))
  }

  /** Whether `name` is `role`, or has it over any number of links. */
  has(name: string, role: string, domain?: string): boolean {
    return this.path(name, role, domain) !== undefined
  }

  /**
   * The roles that lead from `name` to `role`, nearest first and `role` last, by the fewest links; empty where they are the
   * same, undefined where there is no way.
   */
  path(name: string, role: string, domain?: string): readonly string[] | undefined {
    if (name === '') return undefined
    if (name === role) return []
    const links = this.#domains.get(domain)
    const direct = links?.get(name)
    if (links === undefined || direct === undefined) return undefined
    if (direct === role || (typeof direct !== 'string' && direct.has(role))) return [role]
    return this.#remembered(links, name, role, domain)
  }

  /** A walk through thousands of links is not made for each request. */
  #remembered(links: Links, name: string, role: string, domain: string | undefined): readonly string[] | undefined {
    const key = `${name}\u0000${role}\u0000${domain ?? ''}`
    const known = this.#paths.get(key)
    if (known !== undefined) return known
    const path = longPath(links, name, role)
    if (path === undefined || path.length > longestRemembered) return path
    if (this.#paths.size >= mostRemembered) this.#paths.clear()
    this.#paths.set(key, path)
    return path
  }

  /** The roles that `name` has directly. */
  direct(name: string, domain?: string): readonly string[] {
    return rolesOf(this.#domains.get(domain)?.get(name))
  }

  /** The names that have `role` directly. Looks at every link. */
  members(role: string, domain?: string): readonly string[] {
    const links = [...(this.#domains.get(domain) ?? [])]
    return links
      .filter(([, roles]) => roles === role || (typeof roles !== 'string' && roles.has(role)))
      .map(([name]) => name)
  }

  /** The domains, and undefined where there are links without one. */
  scopes(): readonly (string | undefined)[] {
    return [...this.#domains.keys()]
  }

  /** Every name that has a role. */
  names(domain?: string): Iterable<string> {
    return this.#domains.get(domain)?.keys() ?? []
  }
}

function longPath(links: Links, name: string, role: string): readonly string[] | undefined {
  const from = new Map<string, string>()
  const waiting = [name]
  for (const at of waiting) {
    for (const next of rolesOf(links.get(at))) {
      if (next === name || from.has(next)) continue
      from.set(next, at)
      if (next === role) return backwards(from, name, role)
      waiting.push(next)
    }
  }
  return undefined
}

function backwards(from: ReadonlyMap<string, string>, name: string, role: string): readonly string[] {
  const path: string[] = []
  for (let at: string | undefined = role; at !== undefined && at !== name; at = from.get(at)) path.push(at)
  return path.reverse()
}

function rolesOf(roles: string | ReadonlySet<string> | undefined): readonly string[] {
  if (roles === undefined) return []
  return typeof roles === 'string' ? [roles] : [...roles]
}
