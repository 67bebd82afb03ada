import type { Rule } from '../../decision/decision.ts'
import type { PolicyRequest } from '../../decision/rule-set.ts'
import type { CompiledRuleSet } from '../compiled/rule-set.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import { roleValues } from './words.ts'

/** How a request comes to what a rule names, over role links. */
export interface RolePath {
  /** The role definition: `g`, `g2`… */
  readonly definition: string
  /** The domain of its links. */
  readonly domain: string | null
  /** From what the request has to what the rule names, both included. */
  readonly names: readonly string[]
  /** Where the links stand: the first one leads from the first name to the second. */
  readonly links: readonly Rule[]
}

/** Finds the role paths over which rules apply. */
export class RolePaths {
  readonly #ruleSet: CompiledRuleSet
  readonly #request: PolicyRequest
  readonly #links: ReadonlyMap<string, Rule>

  /** `rows` are the policy's, with its role links. */
  constructor(ruleSet: CompiledRuleSet, request: PolicyRequest, rows: readonly PolicyRow[]) {
    this.#ruleSet = ruleSet
    this.#request = request
    const links = new Map<string, Rule>()
    for (const { type, values, rule } of rows) {
      const key = type === 'p' ? '' : linkKey([type, ...values])
      if (key !== '' && !links.has(key)) links.set(key, rule)
    }
    this.#links = links
  }

  /** One path for each role call of the matcher that holds over at least one link. */
  of(row: PolicyRow): readonly RolePath[] {
    const { model, roles } = this.#ruleSet
    return model.reads.roleCalls.flatMap((call) => {
      const [name = '', role = '', domain] = roleValues(call, row, { model, request: this.#request })
      // A domain that the request lacks is none: nobody has a role there.
      if (call.arguments.length > 2 && (domain ?? '') === '') return []
      const path = roles.get(call.name)?.path(name, role, domain) ?? []
      return path.length === 0 ? [] : [this.#path(call.name, [name, ...path], domain)]
    })
  }

  #path(definition: string, names: readonly string[], domain: string | undefined): RolePath {
    const links = names.slice(1).flatMap((role, index) => {
      const values = [definition, names[index] ?? '', role]
      return this.#links.get(linkKey(domain === undefined ? values : [...values, domain])) ?? []
    })
    return { definition, domain: domain ?? null, names, links }
  }
}

function linkKey(values: readonly string[]): string {
  // No value of a rule holds a line's end.
  return values.join('\n')
}
