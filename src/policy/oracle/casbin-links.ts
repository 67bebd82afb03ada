import type { AskedPolicy } from './plain-casbin.ts'

/** The roles of each name of one role definition, by domain and name. */
export type Links = ReadonlyMap<string, ReadonlySet<string>>

const remembered = new WeakMap<AskedPolicy, Map<string, Links>>()

/** The links of one role definition (`g`, `g2`…), as they stand in the rows. */
export function linksOf(policy: AskedPolicy, definition: string): Links {
  const all = remembered.get(policy) ?? new Map<string, Links>()
  remembered.set(policy, all)
  const found = all.get(definition) ?? readLinks(policy, definition)
  all.set(definition, found)
  return found
}

function readLinks({ rows }: AskedPolicy, definition: string): Links {
  const links = new Map<string, Set<string>>()
  for (const { type, values } of rows) {
    const [name = '', role = '', domain] = values
    if (type !== definition) continue
    const key = keyOf(name, domain)
    links.set(key, (links.get(key) ?? new Set()).add(role))
  }
  return links
}

/** Whether a name is a role, or has it over any number of links, in a domain where one is given: a plain walk. */
export function reaches(links: Links, [name = '', role = '', domain]: readonly string[]): boolean {
  const seen = new Set([name])
  for (const at of seen) {
    if (at === role) return true
    for (const next of links.get(keyOf(at, domain)) ?? []) seen.add(next)
  }
  return false
}

function keyOf(name: string, domain: string | undefined): string {
  return JSON.stringify([name, domain])
}
