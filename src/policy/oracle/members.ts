import type { PolicyRow } from '../parse/parse-rules.ts'
import type { SeededRandom } from './random.ts'

interface Member {
  readonly name: string
  readonly domain: string | undefined
}

/** Most links from a role down to one of its members. */
const maxLinks = 14

/** Who has a role, by the role links of a policy. */
export class Members {
  readonly #direct = new Map<string, Member[]>()

  constructor(rows: readonly PolicyRow[]) {
    for (const { type, values } of rows) {
      const [name = '', role = '', domain] = values
      if (type === 'p') continue
      const key = keyOf(type, role)
      const members = this.#direct.get(key)
      if (members === undefined) this.#direct.set(key, [{ name, domain }])
      else members.push({ name, domain })
    }
  }

  /** The role itself, or somebody who has it over some links, in a domain where one is known. */
  below(definition: string, role: string, domain: string | undefined, random: SeededRandom): Member {
    let at: Member = { name: role, domain }
    // Mostly a few links; now and then as far as they go.
    for (let links = random.below(8) === 0 ? maxLinks : random.below(4); links > 0; links -= 1) {
      const members: readonly Member[] = this.#direct.get(keyOf(definition, at.name)) ?? []
      const next = random.pick(members.filter((member) => at.domain === undefined || member.domain === at.domain))
      if (next === undefined) break
      at = next
    }
    return at
  }
}

function keyOf(definition: string, role: string): string {
  return JSON.stringify([definition, role])
}
