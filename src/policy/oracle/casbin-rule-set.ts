import type { Rule } from '../../decision/decision.ts'
import type { Evaluation, PolicyRequest, RuleSet } from '../../decision/rule-set.ts'
import { buildEnforcer, type Enforce } from './casbin.ts'
import { absent, matcherFunctions } from '../patterns/functions.ts'
import type { Operand, RoleCall } from '../parse/matcher.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { RoleGraph } from '../compiled/roles.ts'
import type { CheckedPolicy } from '../validate/validate.ts'

/** Builds rules that Casbin's own enforcer answers, beside whatever is in force. Throws where Casbin refuses the policy. */
export async function buildCasbinRuleSet(policy: CheckedPolicy): Promise<RuleSet> {
  const { model } = policy
  const rows = withoutDuplicates(policy.rows)
  const roles = new Map([...model.roles.keys()].map((name) => [name, new RoleGraph()]))
  const { text: modelText, definitions } = model
  const functions = matcherFunctions()
  const enforce = await buildEnforcer({ modelText, definitions, rows, roles, functions, hasRole })
  return new CasbinRuleSet(policy.policyVersion, model, rows, roles, enforce)
}

/** A rule that stands twice settles a request by its first line. */
function withoutDuplicates(rows: readonly PolicyRow[]): readonly PolicyRow[] {
  const first = new Map<string, PolicyRow>()
  for (const row of rows) {
    const key = JSON.stringify([row.type, ...row.values])
    if (!first.has(key)) first.set(key, row)
  }
  return [...first.values()]
}

function hasRole(graph: RoleGraph, values: readonly unknown[]): boolean {
  return isNames(values) && graph.has(values[0], values[1], values[2])
}

function isNames(values: readonly unknown[]): values is readonly [string, string, string?] {
  return values.every((value) => typeof value === 'string' && value !== '')
}

class CasbinRuleSet implements RuleSet {
  readonly policyVersion: string
  readonly #model: PolicyModel
  /** By the array that Casbin holds: it sorts the rows, but does not copy them. */
  readonly #rules: ReadonlyMap<readonly string[], Rule>
  readonly #roles: ReadonlyMap<string, RoleGraph>
  readonly #enforce: Enforce

  constructor(
    policyVersion: string,
    model: PolicyModel,
    rows: readonly PolicyRow[],
    roles: ReadonlyMap<string, RoleGraph>,
    enforce: Enforce,
  ) {
    this.policyVersion = policyVersion
    this.#model = model
    this.#rules = new Map(rows.filter(({ type }) => type === 'p').map(({ values, rule }) => [values, rule]))
    this.#roles = roles
    this.#enforce = enforce
  }

  evaluate(request: PolicyRequest): Evaluation {
    // Without a rule Casbin evaluates the matcher on empty columns, and can allow.
    if (this.#rules.size === 0) return { effect: 'deny', rule: null, roles: [] }
    const { allowed, row } = this.#enforce(this.#model.tokens.map((token) => tokenOf(request, token)))
    const rule = this.#rules.get(row)
    if (rule === undefined) {
      if (allowed) throw new Error('Casbin allowed the request but named no rule')
      return { effect: 'deny', rule: null, roles: [] }
    }
    return { effect: allowed ? 'allow' : 'deny', rule, roles: this.#rolesThrough(request, row) }
  }

  /** The roles over which the rule applied, from each role call of the matcher that holds. */
  #rolesThrough(request: PolicyRequest, row: readonly string[]): readonly string[] {
    const roles = this.#model.reads.roleCalls.flatMap((call) => this.#path(call, request, row))
    return [...new Set(roles)]
  }

  #path(call: RoleCall, request: PolicyRequest, row: readonly string[]): readonly string[] {
    const values = call.arguments.map((operand) => this.#valueOf(operand, request, row))
    if (!isNames(values)) return []
    return this.#roles.get(call.name)?.path(values[0], values[1], values[2]) ?? []
  }

  #valueOf(operand: Operand, request: PolicyRequest, row: readonly string[]): unknown {
    if (operand.kind === 'token') return tokenOf(request, operand.token)
    if (operand.kind === 'column') return row[this.#model.columns.indexOf(operand.column)]
    return operand.kind === 'literal' ? operand.value : absent
  }
}

function tokenOf(request: PolicyRequest, token: keyof PolicyRequest): unknown {
  const value = Object.hasOwn(request, token) ? request[token] : undefined
  return value === undefined || value === '' ? absent : value
}
