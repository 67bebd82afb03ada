/** What leads from one name: every role that it has, with the name through which it has it. */
type Reach = ReadonlyMap<string, string>

/** Entries of remembered reaches, in all; beyond that they are made anew. */
const maxRemembered = 1_000_000

/**
 * The role links of one role definition (`g`, `g2`…), per domain. There is no limit to the depth, and cycles do no harm.
 * An empty name has no role and is not even equal to itself.
 */
export class RoleGraph {
  readonly #domains = new Map<string | undefined, Map<string, Set<string>>>()
  readonly #reaches = new Map<string | undefined, Map<string, Reach>>()
  #remembered = 0

  /** Says that `name` has `role`. Links with a domain hold in that domain alone. */
  add(name: string, role: string, domain?: string): void {
    const links = entry(this.#domains, domain, () => new Map<string, Set<string>>())
    entry(links, name, () => new Set()).add(role)
    this.#forget()
  }

  clear(): void {
    this.#domains.clear()
    this.#forget()
  }

  #forget(): void {
    this.#reaches.clear()
    this.#remembered = 0
  }

  /** Whether `name` is `role`, or has it over any number of links. */
  has(name: string, role: string, domain?: string): boolean {
    return name !== '' && (name === role || (this.#reach(name, domain)?.has(role) ?? false))
  }

  /**
   * The roles that lead from `name` to `role`, nearest first and `role` last, by the fewest links; empty where they are the
   * same, undefined where there is no way.
   */
  path(name: string, role: string, domain?: string): readonly string[] | undefined {
    if (name === '') return undefined
    if (name === role) return []
    const reach = this.#reach(name, domain)
    if (reach?.has(role) !== true) return undefined
    const path: string[] = []
    for (let at: string | undefined = role; at !== undefined && at !== name; at = reach.get(at)) path.push(at)
    return path.reverse()
  }

  /** The roles that `name` has directly. */
  direct(name: string, domain?: string): readonly string[] {
    return [...(this.#domains.get(domain)?.get(name) ?? [])]
  }

  /** The names that have `role` directly. */
  members(role: string, domain?: string): readonly string[] {
    const links = [...(this.#domains.get(domain) ?? [])]
    return links.filter(([, roles]) => roles.has(role)).map(([name]) => name)
  }

  domains(): readonly string[] {
    return [...this.#domains.keys()].filter((domain) => domain !== undefined)
  }

  #reach(name: string, domain: string | undefined): Reach | undefined {
    const links = this.#domains.get(domain)
    // Only names of the policy are remembered: those of requests are without end.
    if (links?.has(name) !== true) return undefined
    if (this.#remembered > maxRemembered) this.#forget()
    return entry(
      entry(this.#reaches, domain, () => new Map<string, Reach>()),
      name,
      () => {
        const reach = reachOf(links, name)
        this.#remembered += reach.size
        return reach
      },
    )
  }
}

function reachOf(links: ReadonlyMap<string, ReadonlySet<string>>, name: string): Reach {
  const from = new Map<string, string>()
  const waiting = [name]
  for (const at of waiting) {
    for (const role of links.get(at) ?? []) {
      if (role === name || from.has(role)) continue
      from.set(role, at)
      waiting.push(role)
    }
  }
  return from
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}
