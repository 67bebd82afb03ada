import type { PolicyToken } from '../../decision/rule-set.ts'
import type { SyntaxNode } from './expression.ts'
import { policyFunction, policyFunctions, type PolicyFunctionName } from '../patterns/functions.ts'
import { problem, shown, type PolicyProblem, type PolicyProblemCode } from '../problem.ts'
import { modelFile } from '../source/source.ts'
import { listHint, readTree } from './matcher-tree.ts'
import { operatorAt, placesOf, type Places } from './matcher-places.ts'
import { placeIn, type Definition } from './parse-model.ts'

/** A value in a matcher. */
export type Operand =
  | { readonly kind: 'token'; readonly token: PolicyToken }
  | { readonly kind: 'column'; readonly column: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | FunctionCall
  | RoleCall

export interface FunctionCall {
  readonly kind: 'call'
  readonly name: PolicyFunctionName
  readonly arguments: readonly Operand[]
}

/** `g(name, role)` or `g(name, role, domain)`. */
export interface RoleCall {
  readonly kind: 'role'
  readonly name: string
  readonly arguments: readonly Operand[]
}

export const comparisons = ['==', '!=', '===', '!==', '<', '<=', '>', '>='] as const

/** A matcher, or a part of it, that is true or false. */
export type Condition =
  | { readonly kind: 'and' | 'or'; readonly left: Condition; readonly right: Condition }
  | { readonly kind: 'not'; readonly operand: Condition }
  | {
      readonly kind: 'compare'
      readonly operator: (typeof comparisons)[number]
      readonly left: Operand
      readonly right: Operand
    }
  | { readonly kind: 'in'; readonly left: Operand; readonly items: readonly Operand[] }
  | FunctionCall
  | RoleCall

/** What the names of a matcher may stand for. */
export interface MatcherScope {
  readonly tokens: readonly PolicyToken[]
  readonly columns: readonly string[]
  /** Role definitions with the number of their arguments. */
  readonly roles: ReadonlyMap<string, number>
}

export interface ParsedMatcher {
  readonly condition?: Condition
  readonly problems: readonly PolicyProblem[]
}

interface Reader {
  readonly text: string
  readonly scope: MatcherScope
  readonly places: Places
  /** `at` is a node of the tree, or an index of the text. */
  readonly refuse: (at: unknown, code: PolicyProblemCode, message: string) => null
}

/** Parses a matcher into a tree whose every name is known. Anything else is a problem: nothing is left to surprise later. */
export function parseMatcher(definition: Definition, scope: MatcherScope): ParsedMatcher {
  const problems: PolicyProblem[] = []
  const text = definition.value
  const refuseAt = (index: number, code: PolicyProblemCode, message: string) => {
    const { line, column } = placeIn(definition, Math.max(0, Math.min(index, text.length)))
    problems.push(problem(modelFile, line, code, message, column))
    return null
  }
  const tree = readTree(text, refuseAt)
  if (tree === null) return { problems }
  const places = placesOf(text, tree)
  const refuse = (at: unknown, code: PolicyProblemCode, message: string) =>
    refuseAt(typeof at === 'number' ? at : (places.get(at)?.start ?? 0), code, message)
  const condition = readCondition(tree, { text, scope, places, refuse })
  return condition === null || problems.length > 0 ? { problems } : { condition, problems }
}

function readCondition(value: unknown, reader: Reader): Condition | null {
  const node = nodeOf(value, reader)
  if (node === null) return null
  switch (node.type) {
    case 'LogicalExpression':
      return readLogical(node, reader)
    case 'UnaryExpression':
      return readNot(node, reader)
    case 'BinaryExpression':
      return readBinary(node, reader)
    default:
      return conditionOf(node, readOperand(node, reader), reader)
  }
}

function nodeOf(value: unknown, reader: Reader): SyntaxNode | null {
  if (typeof value !== 'object' || value === null) return reader.refuse(0, 'MATCHER_SYNTAX', 'an expression is missing')
  const node = value as SyntaxNode
  if (node.type !== 'Compound') return node
  const [, second] = node['body'] as unknown[]
  return reader.refuse(second, 'MATCHER_SYNTAX', 'an operator is missing between two expressions')
}

function readLogical(node: SyntaxNode, reader: Reader): Condition | null {
  const left = readCondition(node['left'], reader)
  const right = readCondition(node['right'], reader)
  if (left === null || right === null) return null
  return { kind: node['operator'] === '&&' ? 'and' : 'or', left, right }
}

function readNot(node: SyntaxNode, reader: Reader): Condition | null {
  if (node['operator'] !== '!') return unsupportedOperator(node, '', reader)
  const operand = readCondition(node['argument'], reader)
  return operand && { kind: 'not', operand }
}

function readBinary(node: SyntaxNode, reader: Reader): Condition | null {
  if (node['operator'] === 'in') return readIn(node, reader)
  const operator = comparisons.find((known) => known === node['operator'])
  if (operator === undefined) {
    return unsupportedOperator(node, `; there are ${comparisons.join(' ')} in && || !`, reader)
  }
  const left = readOperand(node['left'], reader)
  const right = readOperand(node['right'], reader)
  if (left === null || right === null) return null
  const constant = constantOf(left, right)
  if (constant !== undefined) return reader.refuse(node, 'MATCHER_CONSTANT', constant)
  return { kind: 'compare', operator, left, right }
}

/** What is wrong with a comparison that asks nothing. */
function constantOf(left: Operand, right: Operand): string | undefined {
  if (left.kind === 'literal' && right.kind === 'literal') {
    return `${describe(left)} is compared with ${describe(right)}: the answer is always the same`
  }
  if (JSON.stringify(left) !== JSON.stringify(right)) return undefined
  const hint = left.kind === 'token' ? `; to ask whether there is one, write keyMatch(${describe(left)}, "*")` : ''
  return `${describe(left)} is compared with itself${hint}`
}

function readIn(node: SyntaxNode, reader: Reader): Condition | null {
  const right = node['right'] as SyntaxNode | undefined
  if (right?.type !== 'ArrayExpression') {
    // In Casbin's grammar "in" binds looser than "&&".
    return unsupported(operatorOr(node, reader), `"in" without a list at its right; ${listHint}`, reader)
  }
  const left = readOperand(node['left'], reader)
  const items = (right['elements'] as unknown[]).map((element) => readOperand(element, reader))
  const present = items.filter((item) => item?.kind === 'literal' || item?.kind === 'column')
  if (left === null || items.includes(null)) return null
  if (present.length < items.length)
    return unsupported(right, 'a list that holds anything but literals and columns of p', reader)
  return { kind: 'in', left, items: present }
}

function conditionOf(node: SyntaxNode, operand: Operand | null, reader: Reader): Condition | null {
  if (operand === null) return null
  const truth = operand.kind === 'role' || (operand.kind === 'call' && policyFunction(operand.name)?.gives === 'truth')
  if (truth) return operand
  return unsupported(node, `${describe(operand)} as a condition; compare it with something`, reader)
}

function readOperand(value: unknown, reader: Reader): Operand | null {
  const node = nodeOf(value, reader)
  if (node === null) return null
  switch (node.type) {
    case 'Identifier':
      return readName(node, reader)
    case 'Literal':
      return readLiteral(node, reader)
    case 'CallExpression':
      return readCall(node, reader)
    case 'ArrayExpression':
      return unsupported(node, `a list in place of a value; ${listHint}`, reader)
    case 'MemberExpression':
      return reader.refuse(
        node,
        'MATCHER_ATTRIBUTE',
        `${memberText(node)}: tokens and columns are texts and have no attributes`,
      )
    default:
      return unsupported(node, `a ${node.type} in place of a value`, reader)
  }
}

function readLiteral(node: SyntaxNode, reader: Reader): Operand | null {
  const value = node['value']
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return { kind: 'literal', value }
  return unsupported(node, 'null', reader)
}

function readName(node: SyntaxNode, reader: Reader): Operand | null {
  const name = String(node['name'])
  const { tokens, columns } = reader.scope
  const short = name.slice(2)
  const token = tokens.find((known) => name === `r_${known}`)
  if (token !== undefined) return { kind: 'token', token }
  const column = columns.find((known) => name === `p_${known}`)
  if (column !== undefined) return { kind: 'column', column }
  const allowed = [...tokens.map((known) => `r.${known}`), ...columns.map((known) => `p.${known}`)].join(', ')
  const found = /^[rp]_/.test(name) ? `${name.slice(0, 1)}.${short}` : name
  return reader.refuse(node, 'MATCHER_NAME_UNKNOWN', `unknown name ${shown(found)}; defined are ${allowed}`)
}

function readCall(node: SyntaxNode, reader: Reader): Operand | null {
  const callee = node['callee'] as SyntaxNode
  if (callee.type !== 'Identifier')
    return reader.refuse(callee, 'MATCHER_ATTRIBUTE', `${memberText(callee)}() is no function`)
  const name = String(callee['name'])
  const values = (node['arguments'] as unknown[]).map((argument) => readOperand(argument, reader))
  const given = values.filter((value) => value !== null)
  const arity = reader.scope.roles.get(name) ?? policyFunction(name)?.arity
  if (arity === undefined) {
    const allowed = [...reader.scope.roles.keys(), ...Object.keys(policyFunctions)].join(', ')
    return reader.refuse(node, 'FUNCTION_UNKNOWN', `unknown function ${shown(name)}; there are ${allowed}`)
  }
  if (values.length !== arity) {
    return reader.refuse(
      node,
      'FUNCTION_ARGUMENTS',
      `${name} takes ${String(arity)} arguments, not ${String(values.length)}`,
    )
  }
  if (given.length < values.length) return null
  // Casbin would make a text of it before it calls the function, and only then.
  const other = given.find((value) => value.kind === 'literal' && typeof value.value !== 'string')
  if (other !== undefined) {
    const [at] = (node['arguments'] as unknown[]).slice(given.indexOf(other))
    return reader.refuse(at, 'FUNCTION_ARGUMENTS', `${name} takes texts: put ${describe(other)} in quotes`)
  }
  if (reader.scope.roles.has(name)) return { kind: 'role', name, arguments: given }
  return checkedCall(node, { kind: 'call', name: name as PolicyFunctionName, arguments: given }, reader)
}

function checkedCall(node: SyntaxNode, call: FunctionCall, reader: Reader): FunctionCall | null {
  const pattern = call.arguments[1]
  const [, at] = node['arguments'] as unknown[]
  if (pattern?.kind === 'column') return call
  if (pattern?.kind !== 'literal' || typeof pattern.value !== 'string') {
    return reader.refuse(
      at,
      'FUNCTION_ARGUMENTS',
      `the second argument of ${call.name} is its pattern: a column of p or a text`,
    )
  }
  const wrong = policyFunction(call.name)?.patternProblem(pattern.value)
  if (wrong === undefined) return call
  return reader.refuse(at, 'PATTERN_INVALID', `${shown(pattern.value)} is no pattern for ${call.name}: ${wrong}`)
}

function unsupported(at: unknown, what: string, reader: Reader): null {
  return reader.refuse(at, 'MATCHER_UNSUPPORTED', `not supported: ${what}`)
}

function unsupportedOperator(node: SyntaxNode, instead: string, reader: Reader): null {
  return unsupported(operatorOr(node, reader), `the operator ${shown(String(node['operator']))}${instead}`, reader)
}

/** Where the operator of a node stands, or else the node. */
function operatorOr(node: SyntaxNode, { text, places }: Reader): unknown {
  return operatorAt(text, node, places) ?? node
}

function describe(operand: Operand): string {
  if (operand.kind === 'token') return `r.${operand.token}`
  if (operand.kind === 'column') return `p.${operand.column}`
  return operand.kind === 'literal' ? `the constant ${JSON.stringify(operand.value)}` : `${operand.name}()`
}

function memberText(node: SyntaxNode): string {
  if (node.type === 'Identifier') return String(node['name']).replace(/^([rp])_/, '$1.')
  if (node.type !== 'MemberExpression') return '(…)'
  const property = node['computed'] === true ? '[…]' : `.${memberText(node['property'] as SyntaxNode)}`
  return memberText(node['object'] as SyntaxNode) + property
}
