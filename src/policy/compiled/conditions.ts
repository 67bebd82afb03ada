import type { PolicyRequest, PolicyToken } from '../../decision/rule-set.ts'
import type { Condition, FunctionCall, Operand, RoleCall } from '../parse/matcher.ts'
import { absent, policyFunction, type CompiledPattern, type PolicyFunction } from '../patterns/functions.ts'
import type { RoleClosures } from './role-closures.ts'
import type { RoleGraph } from './roles.ts'

/** The values of a request's tokens, in the order of the request definition; `absent` for what is not there. */
export type Values = readonly unknown[]

/** The values of a rule, in the order of the policy definition, and behind them what `Prepared` has worked out of them. */
export type Columns = readonly unknown[]

/** A condition, or a matcher as a whole, that can be asked. */
export type Test = (values: Values, columns: Columns) => boolean

type Read = (values: Values, columns: Columns) => unknown

/** What a condition is compiled against. */
export interface ConditionScope {
  readonly tokens: readonly PolicyToken[]
  readonly columns: readonly string[]
  readonly roles: ReadonlyMap<string, RoleGraph>
  /** Answers a role call without a walk through the links, where that has been prepared. */
  readonly closuresOf?: (call: RoleCall) => RoleClosures | undefined
  /** Takes what can be worked out of a rule once and for all; left out where conditions are asked of bare rules. */
  readonly prepared?: Prepared
}

/** What compiled conditions want to find behind the columns of each rule, so that a request meets it where it reads the rule. */
export class Prepared {
  readonly #columns: number
  readonly #makers: ((columns: Columns) => unknown)[] = []
  /** The patterns that take a regular expression. */
  readonly expressions: CompiledPattern[] = []

  constructor(columns: number) {
    this.#columns = columns
  }

  /** The place at which a condition will find what `make` gives. */
  add(make: (columns: Columns) => unknown): number {
    this.#makers.push(make)
    return this.#columns + this.#makers.length - 1
  }

  /** A rule's columns with all that is wanted behind them. */
  of(columns: Columns): Columns {
    return [...columns, ...this.#makers.map((make) => make(columns))]
  }
}

/** The values of a request, as compiled conditions read them. */
export function valuesOf(request: PolicyRequest, tokens: readonly PolicyToken[]): Values {
  return tokens.map((token) => {
    const value = Object.hasOwn(request, token) ? request[token] : undefined
    return value === undefined || value === '' ? absent : value
  })
}

/**
 * Makes a closure of a condition. It means what Casbin's expression evaluation makes of it: JavaScript's own comparisons,
 * `&&` and `||` from left to right. What is absent equals nothing, makes every function false, and is nobody.
 */
export function compileCondition(condition: Condition, scope: ConditionScope): Test {
  switch (condition.kind) {
    case 'and': {
      const [left, right] = [compileCondition(condition.left, scope), compileCondition(condition.right, scope)]
      return (values, columns) => left(values, columns) && right(values, columns)
    }
    case 'or': {
      const [left, right] = [compileCondition(condition.left, scope), compileCondition(condition.right, scope)]
      return (values, columns) => left(values, columns) || right(values, columns)
    }
    case 'not': {
      const operand = compileCondition(condition.operand, scope)
      return (values, columns) => !operand(values, columns)
    }
    case 'compare':
      return comparison(condition.operator, operandReader(condition.left, scope), operandReader(condition.right, scope))
    case 'in': {
      const left = operandReader(condition.left, scope)
      const items = condition.items.map((item) => operandReader(item, scope))
      return (values, columns) => {
        const value = left(values, columns)
        return items.some((item) => item(values, columns) === value)
      }
    }
    case 'call': {
      const read = callReader(condition, scope)
      return (values, columns) => read(values, columns) === true
    }
    case 'role':
      return roleTest(condition, scope)
  }
}

type Comparison = Extract<Condition, { kind: 'compare' }>['operator']

function comparison(operator: Comparison, left: Read, right: Read): Test {
  // Texts are compared with numbers as Casbin does: loosely.
  /* eslint-disable eqeqeq */
  switch (operator) {
    case '==':
      return (values, columns) => left(values, columns) == right(values, columns)
    case '!=':
      return (values, columns) => left(values, columns) != right(values, columns)
    case '===':
      return (values, columns) => left(values, columns) === right(values, columns)
    case '!==':
      return (values, columns) => left(values, columns) !== right(values, columns)
    case '<':
      return (values, columns) => (left(values, columns) as string) < (right(values, columns) as string)
    case '<=':
      return (values, columns) => (left(values, columns) as string) <= (right(values, columns) as string)
    case '>':
      return (values, columns) => (left(values, columns) as string) > (right(values, columns) as string)
    case '>=':
      return (values, columns) => (left(values, columns) as string) >= (right(values, columns) as string)
  }
  /* eslint-enable eqeqeq */
}

/** Reads a value of a request or rule; `absent` where there is none. */
export function operandReader(operand: Operand, scope: ConditionScope): Read {
  switch (operand.kind) {
    case 'token': {
      const index = scope.tokens.indexOf(operand.token)
      return (values) => values[index]
    }
    case 'column': {
      const index = scope.columns.indexOf(operand.column)
      return (_values, columns) => columns[index]
    }
    case 'literal': {
      const { value } = operand
      return () => value
    }
    case 'call':
      return callReader(operand, scope)
    case 'role':
      return roleTest(operand, scope)
  }
}

function callReader(call: FunctionCall, scope: ConditionScope): Read {
  const definition = policyFunction(call.name)
  if (definition === undefined) throw new TypeError(`the function ${call.name} does not exist`)
  const [first, second, third] = call.arguments.map((argument) => operandReader(argument, scope))
  if (first === undefined || second === undefined) throw new TypeError(`${call.name} lacks an argument`)
  const nothing = definition.gives === 'truth' ? false : absent
  const patternOf = patternReader(definition, call.arguments[1], second, scope)
  return (values, columns) => {
    const value = first(values, columns)
    const matches = patternOf(values, columns)
    const name = third?.(values, columns)
    if (!isPresent(value) || matches === undefined || (third !== undefined && !isPresent(name))) return nothing
    const result = matches(value, name as string | undefined)
    return result === '' ? nothing : result
  }
}

type ReadPattern = (values: Values, columns: Columns) => CompiledPattern | undefined

/** Compiles each pattern of the policy once: beforehand where that is prepared, and else when it is first met. */
function patternReader(
  definition: PolicyFunction,
  operand: Operand | undefined,
  read: Read,
  { prepared }: ConditionScope,
): ReadPattern {
  const compiledOnce = compilingOnce(definition, read, prepared)
  return prepared === undefined || operand?.kind !== 'column'
    ? compiledOnce
    : preparedReader(prepared.add((columns) => compiledOnce([], columns)))
}

function compilingOnce(
  { compile, usesRegex }: PolicyFunction,
  read: Read,
  prepared: Prepared | undefined,
): ReadPattern {
  const compiled = new Map<string, CompiledPattern>()
  return (values, columns) => {
    const pattern = read(values, columns)
    if (!isPresent(pattern)) return undefined
    let matches = compiled.get(pattern)
    if (matches !== undefined) return matches
    matches = compile(pattern)
    compiled.set(pattern, matches)
    if (usesRegex?.(pattern) === true) prepared?.expressions.push(matches)
    return matches
  }
}

/** In a function of its own, so that it keeps nothing of the preparation alive. */
function preparedReader(place: number): ReadPattern {
  return (_values, columns) => columns[place] as CompiledPattern | undefined
}

function roleTest(call: RoleCall, scope: ConditionScope): Test {
  const [name, role, domain] = call.arguments.map((argument) => operandReader(argument, scope))
  const graph = scope.roles.get(call.name)
  if (name === undefined || role === undefined || graph === undefined) throw new TypeError(`no role ${call.name}`)
  const closures = scope.closuresOf?.(call)
  if (closures !== undefined && domain === undefined && scope.prepared !== undefined) {
    const place = scope.prepared.add((columns) => closures.numberOf(role([], columns)))
    return (values, columns) => {
      const who = name(values, columns)
      return isPresent(who) && closures.hasNumber(who, columns[place] as number)
    }
  }
  const links = closures ?? graph
  return (values, columns) => {
    const who = name(values, columns)
    const what = role(values, columns)
    if (!isPresent(who) || !isPresent(what)) return false
    if (domain === undefined) return links.has(who, what)
    const where = domain(values, columns)
    return isPresent(where) && links.has(who, what, where)
  }
}

function isPresent(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

/** A condition as a model writes it. */
export function conditionText(condition: Condition): string {
  switch (condition.kind) {
    case 'and':
      return `${innerText(condition.left, 'or')} && ${innerText(condition.right, 'or')}`
    case 'or':
      return `${innerText(condition.left, 'and')} || ${innerText(condition.right, 'and')}`
    case 'not':
      return `!(${conditionText(condition.operand)})`
    case 'compare':
      return `${operandText(condition.left)} ${condition.operator} ${operandText(condition.right)}`
    case 'in':
      return `(${operandText(condition.left)} in [${condition.items.map(operandText).join(', ')}])`
    case 'call':
    case 'role':
      return operandText(condition)
  }
}

function innerText(condition: Condition, inParentheses: 'and' | 'or'): string {
  const text = conditionText(condition)
  return condition.kind === inParentheses ? `(${text})` : text
}

/** A value as a model writes it. */
export function operandText(operand: Operand): string {
  if (operand.kind === 'token') return `r.${operand.token}`
  if (operand.kind === 'column') return `p.${operand.column}`
  if (operand.kind === 'literal') return JSON.stringify(operand.value)
  return `${operand.name}(${operand.arguments.map(operandText).join(', ')})`
}
