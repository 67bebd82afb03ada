import {
  Enforcer,
  newModel,
  newModelFromString,
  Util,
  type Adapter,
  Assertion,
  type Model,
  type RoleManager,
} from 'casbin'
import type { PolicyRequest } from '../../decision/rule-set.ts'
import { messageOf } from '../../errors.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { pathMatchByRegExp, spiffeMatchByRegExp } from './reference-patterns.ts'

/** What Casbin says of one request: the row that settled it, or null; or that it threw. */
export type CasbinAnswer =
  { readonly effect: 'allow' | 'deny'; readonly row: PolicyRow | null } | { readonly fault: string }

/** What a matcher calls while Casbin evaluates it for one request. Each may throw, as Casbin's own functions do. */
export interface CasbinCalls {
  /** A function, by its name, on the values that the matcher hands over. */
  readonly call: (name: string, values: readonly unknown[]) => unknown
  /** A role definition, by its name. */
  readonly role: (name: string, values: readonly unknown[]) => unknown
  /** The same, with nothing remembered of the calls before. */
  readonly roleAfresh: (name: string, values: readonly unknown[]) => unknown
}

/** What would be otherwise about Casbin. */
export interface CasbinChange {
  /** Handed the calls as they are, gives those that are made instead. */
  readonly calls: (calls: CasbinCalls) => CasbinCalls
  /** Handed the rules in the order in which Casbin goes through them, gives those through which it goes instead. */
  readonly rules: (rules: readonly Rule[]) => readonly Rule[]
}

/** The values of a rule. */
export type Rule = readonly string[]

/** A policy as the oracle needs it. */
export interface AskedPolicy {
  readonly model: PolicyModel
  /** Rules and role links, in the order of the files. */
  readonly rows: readonly PolicyRow[]
}

/**
 * node-casbin as it is: its own reading of the model, role managers, functions, effector and synchronous enforcement. Only
 * `pathMatch` and `spiffeMatch` are added. It is linear in the number of rules, and some of its functions can take for ever.
 */
export class PlainCasbin {
  readonly policy: AskedPolicy
  readonly #enforcer: OpenEnforcer
  readonly #rows: ReadonlyMap<readonly string[], PolicyRow>

  private constructor(policy: AskedPolicy, enforcer: OpenEnforcer) {
    this.policy = policy
    this.#enforcer = enforcer
    // Casbin sorts the rows, but does not copy them.
    this.#rows = new Map(policy.rows.map((row) => [row.values, row]))
  }

  /** Throws where Casbin refuses the model or the rules. */
  static async build(policy: AskedPolicy): Promise<PlainCasbin> {
    const enforcer = new OpenEnforcer()
    await enforcer.load(policy)
    return new PlainCasbin(policy, enforcer)
  }

  /** Never throws. */
  answer(request: PolicyRequest): CasbinAnswer {
    return this.#ask(this.#enforcer, request)
  }

  /** What Casbin would answer if it were changed. Never throws. */
  answerWith(change: CasbinChange, request: PolicyRequest): CasbinAnswer {
    return this.#ask(this.#enforcer.changed(change), request)
  }

  #ask(enforcer: OpenEnforcer, request: PolicyRequest): CasbinAnswer {
    try {
      const [allowed, settled] = enforcer.enforceExSync(
        ...this.policy.model.tokens.map((name) => tokenOf(request, name)),
      )
      return { effect: allowed ? 'allow' : 'deny', row: this.#rows.get(settled) ?? null }
    } catch (thrown) {
      return { fault: messageOf(thrown) }
    }
  }
}

/** Casbin's comparisons are JavaScript's, so that NaN equals nothing. */
function tokenOf(request: PolicyRequest, token: keyof PolicyRequest): unknown {
  const value = Object.hasOwn(request, token) ? request[token] : undefined
  return value === undefined || value === '' ? NaN : value
}

type AnyFunction = (...values: readonly unknown[]) => unknown

class OpenEnforcer extends Enforcer {
  async load(policy: AskedPolicy): Promise<void> {
    this.fm.addFunction('pathMatch', pathMatchByRegExp)
    this.fm.addFunction('spiffeMatch', spiffeMatchByRegExp)
    await this.initWithModelAndAdapter(newModelFromString(policy.model.text), adapterOf(policy.rows))
  }

  /** For one request: while Casbin answers one, it remembers its role calls. */
  changed(change: CasbinChange): OpenEnforcer {
    const own = this.fm.getFunctions() as ReadonlyMap<string, AnyFunction>
    const definitions = this.model.model.get('g') ?? new Map<string, Assertion>()
    const remembering = new Map([...definitions].map(([name, { rm }]) => [name, roleFunction(rm)]))
    const { call, role } = change.calls({
      call: (name, values) => own.get(name)?.(...values),
      role: (name, values) => remembering.get(name)?.(...values),
      roleAfresh: (name, values) => roleFunction(definitions.get(name)?.rm)(...values),
    })
    const enforcer = new OpenEnforcer()
    enforcer.setModel(changedModel(this.model, change))
    const functions = enforcer.fm.getFunctions() as Map<string, AnyFunction>
    for (const name of own.keys()) functions.set(name, (...values) => call(name, values))
    for (const name of definitions.keys()) functions.set(name, (...values) => role(name, values))
    return enforcer
  }
}

function roleFunction(manager: RoleManager | undefined): AnyFunction {
  if (manager === undefined) throw new TypeError('the role definition has no role manager')
  return Util.generateSyncedGFunction(manager) as AnyFunction
}

/** The same model with other rules, and without role definitions: they would take precedence over functions of their names. */
function changedModel(model: Model, change: CasbinChange): Model {
  const copy = newModel()
  for (const [section, definitions] of model.model) if (section !== 'g') copy.model.set(section, definitions)
  const rules = model.model.get('p')?.get('p')
  if (rules === undefined) return copy
  const changed = Object.assign(new Assertion(), rules, { policy: change.rules(rules.policy) })
  copy.model.set('p', new Map([['p', changed]]))
  return copy
}

/** Hands Casbin the rows as they were checked: its own file reading would drop unknown types and accept short rows. */
function adapterOf(rows: readonly PolicyRow[]): Adapter {
  const readOnly = () => Promise.reject(new Error('the policy is read-only'))
  return {
    loadPolicy: (model) => {
      for (const { type, values } of rows) {
        const definition = model.model.get(type.slice(0, 1))?.get(type)
        definition?.policy.push(values as string[])
      }
      return Promise.resolve()
    },
    savePolicy: readOnly,
    addPolicy: readOnly,
    removePolicy: readOnly,
    removeFilteredPolicy: readOnly,
  }
}
