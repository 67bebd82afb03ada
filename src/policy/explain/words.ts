import { policyTokens, type PolicyRequest, type PolicyToken } from '../../decision/rule-set.ts'
import { conditionText } from '../compiled/conditions.ts'
import type { RoleGraph } from '../compiled/roles.ts'
import type { Operand, RoleCall } from '../parse/matcher.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import type { Answered } from './gauge.ts'
import { tieOf, type Leaf } from './matcher-tree.ts'
import { valueOf } from './model-shape.ts'

/** Every token that a request to explain may have, with its meaning. */
export const explainedTokens = policyTokens

/** What people call the tokens. */
export const tokenWords: Readonly<Record<PolicyToken, string>> = {
  sub: 'caller',
  user: 'user',
  dst: 'called workload',
  host: 'host',
  obj: 'path',
  act: 'method',
  rpc: 'gRPC method',
  port: 'port',
  protocol: 'protocol',
}

/** What a demand is told about. */
export interface Case {
  readonly model: PolicyModel
  readonly roles: ReadonlyMap<string, RoleGraph>
  readonly request: PolicyRequest
  readonly row: PolicyRow
  /** Rules that fail in the same demand alone, and are the same in all else. */
  readonly alike: readonly PolicyRow[]
}

/** Values of a list that are shown; the others are counted. */
const maxListed = 4

/** Says a demand and its answer: "the method differs: GET is asked, POST is allowed". */
export function inWords({ demand, holds }: Answered, of: Case): string {
  const { leaf, negated } = demand
  if (leaf.kind === 'role' && !negated) return holds ? roleMatches(leaf, of) : roleIsMissing(leaf, of)
  if (negated) return plainWords(leaf, true, holds)
  const token = tokenOf(leaf)
  if (token === undefined) return plainWords(leaf, false, holds)
  if (holds) return `the ${tokenWords[token]} matches`
  const wanted = wantedBy(leaf, of)
  return wanted === undefined ? plainWords(leaf, false, holds) : differs(token, of.request[token], wanted)
}

function differs(token: PolicyToken, asked: string | undefined, wanted: string): string {
  const word = tokenWords[token]
  if (asked === undefined || asked === '') return `the ${word} is absent: ${wanted} is allowed`
  return `the ${word} differs: ${asked} ${token === 'sub' || token === 'user' ? 'asks' : 'is asked'}, ${wanted} is allowed`
}

/** The token that a leaf compares with something that is no token. */
function tokenOf(leaf: Leaf): PolicyToken | undefined {
  if (leaf.kind === 'in') return leaf.left.kind === 'token' ? leaf.left.token : undefined
  if (leaf.kind !== 'compare') return leaf.arguments[0]?.kind === 'token' ? leaf.arguments[0].token : undefined
  if (leaf.operator !== '==' && leaf.operator !== '===') return undefined
  const [one, other] = leaf.left.kind === 'token' ? [leaf.left, leaf.right] : [leaf.right, leaf.left]
  return one.kind === 'token' && (other.kind === 'column' || other.kind === 'literal') ? one.token : undefined
}

function wantedBy(leaf: Leaf, of: Case): string | undefined {
  const rows = [of.row, ...of.alike]
  const read = (operand: Operand | undefined, row: PolicyRow): string[] => {
    if (operand?.kind === 'literal') return [String(operand.value)]
    return operand?.kind === 'column' ? [valueOf(of.model, row, operand.column)] : []
  }
  const operands =
    leaf.kind === 'in' ? leaf.items : leaf.kind === 'compare' ? [leaf.left, leaf.right] : [leaf.arguments[1]]
  const values = rows.flatMap((row) => operands.flatMap((operand) => read(operand, row)))
  return values.length === 0 ? undefined : oneOf(values)
}

function plainWords(leaf: Leaf, negated: boolean, holds: boolean): string {
  const text = conditionText(leaf)
  return `${negated ? `!(${text})` : text} ${holds ? 'holds' : 'does not hold'}`
}

/** Whether a role call asks for the roles of whoever calls. */
function ofCaller(call: RoleCall): boolean {
  const [name] = call.arguments
  return name?.kind === 'token' && (name.token === 'sub' || name.token === 'user')
}

function roleMatches(call: RoleCall, of: Case): string {
  const [name = '', role = ''] = roleValues(call, of.row, of)
  const word = wordOf(call)
  if (name === role) return `the ${word} matches`
  return ofCaller(call) ? `role ${role} matches` : `the ${word} belongs to ${role}`
}

function roleIsMissing(call: RoleCall, of: Case): string {
  const [name, role = '', domain] = roleValues(call, of.row, of)
  const word = wordOf(call)
  if (name === undefined || name === '') return `the ${word} is absent: ${role} is allowed`
  const others = [of.row, ...of.alike].map((row) => roleValues(call, row, of)[1] ?? '')
  if (!isRole(call, role, of)) {
    return `the ${word} differs: ${name} asks, ${oneOf(others)} is allowed`
  }
  const where = domain === undefined ? '' : ` in ${domain}`
  const what = ofCaller(call) ? `role ${role} is missing` : `the ${word} does not belong to ${role}`
  return `${what}: no role link leads from ${name} to ${oneOf(others)}${where}`
}

/** Whether a name stands for those that have it, rather than for one workload. */
export function isRole(call: RoleCall, name: string, { roles }: Pick<Case, 'roles'>): boolean {
  const graph = roles.get(call.name)
  if (!name.startsWith('spiffe://') || graph === undefined) return true
  return graph.scopes().some((domain) => graph.members(name, domain).length > 0)
}

/** Name, role and, where there is one, domain. */
export function roleValues(
  call: RoleCall,
  row: PolicyRow,
  of: Pick<Case, 'model' | 'request'>,
): (string | undefined)[] {
  return call.arguments.map((operand) => {
    if (operand.kind === 'token') return of.request[operand.token]
    if (operand.kind === 'column') return valueOf(of.model, row, operand.column)
    return operand.kind === 'literal' ? String(operand.value) : undefined
  })
}

function wordOf(call: RoleCall): string {
  const [name] = call.arguments
  return name?.kind === 'token' ? tokenWords[name.token] : 'name'
}

/** `a`, `a or b`, `a, b or c`, `a, b, c, d or 3 others`. */
export function oneOf(values: readonly string[]): string {
  const all = [...new Set(values)]
  const shown = all.slice(0, all.length > maxListed + 1 ? maxListed : all.length)
  if (shown.length < all.length) shown.push(`${String(all.length - shown.length)} others`)
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} or ${String(shown.at(-1))}`
}

/** Whether a demand is worth telling: one that holds and does not tie the request to the rule says nothing new. */
export function isTelling({ demand, holds }: Answered): boolean {
  return !holds || tieOf(demand) !== undefined || (demand.tokens.length > 0 && demand.columns.length > 0)
}
