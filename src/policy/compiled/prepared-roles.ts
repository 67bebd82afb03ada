import type { Pace } from '../pace.ts'
import type { RoleCall } from '../parse/matcher.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import type { PreparedRoles } from './dimensions.ts'
import { closeRoles, maxClosureEntries, RoleNumbers } from './role-closures.ts'
import { RoleGraph } from './roles.ts'

export interface RolesOutcome {
  readonly graphs: ReadonlyMap<string, RoleGraph>
  readonly prepared: PreparedRoles
  /** What is too large, where the closures go beyond their limit. */
  readonly tooLarge?: string
}

/** Reads the role links, and works out the closures for every role call whose role stands in the rules or the matcher. */
export async function prepareRoles(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  rules: readonly PolicyRow[],
  pace: Pace,
): Promise<RolesOutcome> {
  const graphs = await readLinks(model, rows, pace)
  const made = new Map<string, ReturnType<PreparedRoles>>()
  for (const call of model.reads.roleCalls) {
    const key = keyOf(call)
    const graph = graphs.get(call.name)
    if (key === undefined || graph === undefined || made.has(key)) continue
    const numbers = await numberRoles(call, model, rules, pace)
    const merged = isMerged(call)
    const exact = await closeRoles(graph, numbers, false, pace)
    const wide = merged ? await closeRoles(graph, numbers, true, pace) : exact
    if (exact === undefined || wide === undefined) {
      return { graphs, prepared: () => undefined, tooLarge: tooLargeText(call.name) }
    }
    made.set(key, { numbers, exact, wide, merged })
  }
  return { graphs, prepared: (call) => made.get(keyOf(call) ?? '') }
}

function tooLargeText(name: string): string {
  return (
    `over the role links ${name} the names have more than ${String(maxClosureEntries)} roles together; ` +
    'flatten the hierarchy, or give fewer roles to so many names'
  )
}

/** Calls of one definition that read roles at the same place share their closures. */
function keyOf(call: RoleCall): string | undefined {
  const role = call.arguments[1]
  if (role?.kind === 'column') return JSON.stringify([call.name, 'column', role.column, isMerged(call)])
  return role?.kind === 'literal' ? JSON.stringify([call.name, 'literal', role.value, isMerged(call)]) : undefined
}

/** Where the domain stands in the rule, who has the role in any domain is a candidate. */
function isMerged(call: RoleCall): boolean {
  const kind = call.arguments[2]?.kind
  return kind !== undefined && kind !== 'token' && kind !== 'literal'
}

async function numberRoles(
  call: RoleCall,
  model: PolicyModel,
  rules: readonly PolicyRow[],
  pace: Pace,
): Promise<RoleNumbers> {
  const numbers = new RoleNumbers()
  const role = call.arguments[1]
  if (role?.kind === 'literal') numbers.add(String(role.value))
  if (role?.kind !== 'column') return numbers
  const index = model.columns.indexOf(role.column)
  for (const { values } of rules) {
    if (pace.due) await pace.rest()
    numbers.add(values[index] ?? '')
  }
  return numbers
}

async function readLinks(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  pace: Pace,
): Promise<ReadonlyMap<string, RoleGraph>> {
  const graphs = new Map([...model.roles.keys()].map((name) => [name, new RoleGraph()]))
  for (const { type, values } of rows) {
    if (pace.due) await pace.rest()
    const [name = '', role = '', domain] = values
    graphs.get(type)?.add(name, role, domain)
  }
  return graphs
}
