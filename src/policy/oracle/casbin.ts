import expressionEval from '@casbin/expression-eval'
import { Enforcer, newModelFromString, newModel, Util, type Adapter, type Model, type RoleManager } from 'casbin'
import type { RoleGraph } from '../compiled/roles.ts'

/** A node of the syntax tree that Casbin's expression parser makes; `matcher.ts` gives it a type. */
export interface SyntaxNode {
  readonly type: string
  readonly [member: string]: unknown
}

/**
 * Parses a matcher exactly as Casbin does: `r.sub` becomes the name `r_sub`, `in (a, b)` becomes a list, and the grammar is
 * that of its own expression parser. Throws where Casbin would.
 */
export function parseMatcherText(text: string): SyntaxNode {
  const model = newModel()
  model.addDef('m', 'm', text)
  const escaped = model.model.get('m')?.get('m')?.value ?? ''
  // The parser's operators are global, and Casbin adds this one only when it first enforces.
  expressionEval.addBinaryOp('in', 1, Util.customIn)
  return expressionEval.parse(Util.bracketCompatible(escaped)) as unknown as SyntaxNode
}

/** A function that a matcher may call. */
export type MatcherFunction = (...values: readonly unknown[]) => unknown

/** Casbin's own functions; two strings (`keyGet2`: three) to a truth value (`keyGet…`: a string). They may throw. */
export const casbinFunctions = {
  keyMatch: Util.keyMatchFunc,
  keyMatch2: Util.keyMatch2Func,
  keyMatch3: Util.keyMatch3Func,
  keyMatch4: Util.keyMatch4Func,
  keyMatch5: Util.keyMatch5Func,
  keyGet: Util.keyGetFunc,
  keyGet2: Util.keyGet2Func,
  regexMatch: Util.regexMatchFunc,
  ipMatch: Util.ipMatchFunc,
  globMatch: Util.globMatch,
} satisfies Record<string, (...values: string[]) => unknown>

export interface EnforcerSource {
  /** Text of model.conf. */
  readonly modelText: string
  /** What each definition must have become; a difference means that the model was checked in another reading. */
  readonly definitions: readonly { readonly section: string; readonly key: string; readonly value: string }[]
  /** In the order of the files. `p` rows are told apart by identity, so one array is one row. */
  readonly rows: readonly { readonly type: string; readonly values: readonly string[] }[]
  /** Filled here, by Casbin's own reading of the role links. */
  readonly roles: ReadonlyMap<string, RoleGraph>
  /** All functions that the matcher may call; the role definitions are added to them. */
  readonly functions: Readonly<Record<string, MatcherFunction>>
  /** What a role definition answers when the matcher calls it. */
  readonly hasRole: (graph: RoleGraph, values: readonly unknown[]) => boolean
}

/** Enforces one request, given as the values of the request definition. `row` is the array that settled it, if one did. */
export type Enforce = (values: readonly unknown[]) => { readonly allowed: boolean; readonly row: readonly string[] }

/** Makes a fresh enforcer: nothing is shared with one that is in use. Throws where Casbin refuses model or rules. */
export async function buildEnforcer(source: EnforcerSource): Promise<Enforce> {
  const model = newModelFromString(source.modelText)
  assertSameReading(model, source.definitions)
  const enforcer = new PolicyEnforcer()
  await enforcer.load(model, source)
  return (values) => {
    const [allowed, row] = enforcer.enforceExSync(...values)
    return { allowed, row }
  }
}

class PolicyEnforcer extends Enforcer {
  async load(model: Model, source: EnforcerSource): Promise<void> {
    await this.initWithModelAndAdapter(model)
    for (const [name, graph] of source.roles) this.setNamedRoleManager(name, roleManager(graph))
    this.setAdapter(memoryAdapter(source.rows))
    await this.loadPolicy()
    this.#setFunctions(source)
  }

  #setFunctions(source: EnforcerSource): void {
    // addFunction() passes over a name that Casbin has already, so the map itself is filled.
    const functions = this.fm.getFunctions() as Map<string, unknown>
    for (const [name, implementation] of Object.entries(source.functions)) functions.set(name, implementation)
    for (const [name, graph] of source.roles) {
      functions.set(name, (...values: readonly unknown[]) => source.hasRole(graph, values))
    }
    // Casbin's own role functions join their arguments with commas as a key and turn an absent domain into a text.
    this.getModel().model.delete('g')
  }
}

function assertSameReading(model: Model, definitions: EnforcerSource['definitions']): void {
  let count = 0
  for (const section of model.model.values()) count += section.size
  if (count !== definitions.length) {
    throw new Error(`Casbin reads ${String(count)} definitions where ${String(definitions.length)} were checked`)
  }
  const expected = newModel()
  for (const { section, key, value } of definitions) {
    expected.addDef(section, key, value)
    if (model.model.get(section)?.get(key)?.value !== expected.model.get(section)?.get(key)?.value) {
      throw new Error(`Casbin reads the definition "${key}" otherwise than it was checked`)
    }
  }
}

/** Hands Casbin the rows as they were checked: its own file reading would drop unknown types and accept short rows. */
function memoryAdapter(rows: EnforcerSource['rows']): Adapter {
  const readOnly = () => Promise.reject(new Error('the policy is read-only'))
  return {
    loadPolicy: (model: Model) => {
      for (const { type, values } of rows)
        model.model
          .get(type.slice(0, 1))
          ?.get(type)
          ?.policy.push(values as string[])
      return Promise.resolve()
    },
    savePolicy: readOnly,
    addPolicy: readOnly,
    removePolicy: readOnly,
    removeFilteredPolicy: readOnly,
  }
}

/** Casbin's own role manager silently ends after ten links. */
function roleManager(graph: RoleGraph): RoleManager {
  const known = (name: string, domain: string) =>
    graph.direct(name, domain).length + graph.members(name, domain).length > 0
  return {
    clear: () => {
      graph.clear()
      return Promise.resolve()
    },
    addLink: (name, role, domain) => {
      graph.add(name, role, domain)
      return Promise.resolve()
    },
    deleteLink: () => Promise.reject(new Error('the policy is read-only')),
    hasLink: (name, role, domain) => Promise.resolve(graph.has(name, role, domain)),
    syncedHasLink: (name, role, domain) => graph.has(name, role, domain),
    getRoles: (name, domain) => Promise.resolve([...graph.direct(name, domain)]),
    getUsers: (role, domain) => Promise.resolve([...graph.members(role, domain)]),
    printRoles: () => Promise.resolve(),
    getDomains: (name) => Promise.resolve(graph.domains().filter((domain) => known(name, domain))),
    getAllDomains: () => Promise.resolve([...graph.domains()]),
  }
}
