import type { Evaluation, PolicyRequest, RuleSet } from '../../decision/rule-set.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import type { RoleCall } from '../parse/matcher.ts'
import type { Candidates } from './candidates.ts'
import { operandReader, valuesOf, type Columns, type ConditionScope, type Test, type Values } from './conditions.ts'
import type { RoleGraph } from './roles.ts'
import type { Place } from './rule-index.ts'

/** A compiled policy, with what is needed to explain it. */
export interface CompiledRuleSet extends RuleSet {
  readonly model: PolicyModel
  /** Rules (type `p`, each once) in the order in which the effect sees them: priorities first. */
  readonly rules: readonly PolicyRow[]
  /** The role links of each role definition. */
  readonly roles: ReadonlyMap<string, RoleGraph>
  /** Every rule whose matcher holds for a request, whatever its effect, in the order of `rules`. */
  matching(request: PolicyRequest): readonly PolicyRow[]
  /** What the index cannot help with, and the most rules that are asked one by one because of it. */
  readonly scans: readonly { readonly condition: string; readonly rules: number }[]
}

export interface CompiledParts {
  readonly policyVersion: string
  readonly model: PolicyModel
  readonly rules: readonly PolicyRow[]
  readonly roles: ReadonlyMap<string, RoleGraph>
  readonly scope: ConditionScope
  readonly matcher: Test
  /** The columns of each rule, as the compiled matcher reads them. */
  readonly records: readonly Columns[]
  /** Of the rules that deny; empty where the effect asks rules of both kinds in one order. */
  readonly denying: Candidates
  /** Of all other rules. */
  readonly others: Candidates
  readonly scans: CompiledRuleSet['scans']
}

const noRoles: readonly string[] = []
const noRule: Evaluation = { effect: 'deny', rule: null, roles: noRoles }

/** Puts a compiled policy together. */
export function compiledRuleSet(parts: CompiledParts): CompiledRuleSet {
  return new Compiled(parts)
}

class Compiled implements CompiledRuleSet {
  readonly policyVersion: string
  readonly model: PolicyModel
  readonly rules: readonly PolicyRow[]
  readonly roles: ReadonlyMap<string, RoleGraph>
  readonly scans: CompiledRuleSet['scans']
  readonly #matcher: Test
  readonly #records: readonly Columns[]
  readonly #denying: Candidates
  readonly #others: Candidates
  readonly #effectColumn: number
  readonly #paths: readonly RolePath[]

  constructor({ policyVersion, model, rules, roles, scope, matcher, records, denying, others, scans }: CompiledParts) {
    this.policyVersion = policyVersion
    this.model = model
    this.rules = rules
    this.roles = roles
    this.scans = scans
    this.#matcher = matcher
    this.#records = records
    this.#denying = denying
    this.#others = others
    this.#effectColumn = model.columns.indexOf('eft')
    this.#paths = model.reads.roleCalls.map((call) => rolePath(call, scope))
  }

  evaluate(request: PolicyRequest): Evaluation {
    const values = valuesOf(request, this.model.tokens)
    const holds = (place: Place): boolean => this.#holds(place, values)
    const denying = this.#denying.first(values, false, holds)
    // Of several rules that allow, Casbin names the last where one that denies would have ended the search.
    const place = denying ?? this.#others.first(values, this.model.effect === 'allow-and-deny', holds)
    const row = place === undefined ? undefined : this.rules[place]
    if (row === undefined) return noRule
    const effect = row.values[this.#effectColumn] === 'deny' ? 'deny' : 'allow'
    return { effect, rule: row.rule, roles: this.#rolesThrough(values, row) }
  }

  matching(request: PolicyRequest): readonly PolicyRow[] {
    const values = valuesOf(request, this.model.tokens)
    const found: Place[] = []
    const collect = (place: Place): boolean => {
      if (this.#holds(place, values)) found.push(place)
      return false
    }
    this.#denying.first(values, false, collect)
    this.#others.first(values, false, collect)
    return found.sort((a, b) => a - b).flatMap((place) => this.rules[place] ?? [])
  }

  #holds(place: Place, values: Values): boolean {
    const record = this.#records[place]
    return record !== undefined && this.#matcher(values, record)
  }

  /** The roles over which the rule applied, from each role call of the matcher that holds. */
  #rolesThrough(values: Values, row: PolicyRow): readonly string[] {
    let through = noRoles
    for (const path of this.#paths) {
      const roles = path(values, row.values)
      if (roles.length > 0) through = through.length === 0 ? roles : [...new Set([...through, ...roles])]
    }
    return through
  }
}

type RolePath = (values: Values, columns: Columns) => readonly string[]

function rolePath(call: RoleCall, scope: ConditionScope): RolePath {
  const readers = call.arguments.map((argument) => operandReader(argument, scope))
  const graph = scope.roles.get(call.name)
  return (values, columns) => {
    const [name, role, domain] = readers.map((read) => read(values, columns))
    if (typeof name !== 'string' || typeof role !== 'string' || role === '') return noRoles
    if (readers.length < 3) return graph?.path(name, role) ?? noRoles
    return typeof domain === 'string' && domain !== '' ? (graph?.path(name, role, domain) ?? noRoles) : noRoles
  }
}
