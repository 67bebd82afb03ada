import fc from 'fast-check'
import { comparisons } from '../../../src/policy/parse/matcher.ts'
import type { PolicyFunctionName } from '../../../src/policy/patterns/functions.ts'
import * as values from './values.ts'

/** What a random matcher may read. */
export interface Scope {
  /** Tokens and columns, as `r.sub` and `p.sub`. */
  readonly names: readonly string[]
  /** Columns of which every value is a pattern for a function. */
  readonly patterns: { readonly [name in PolicyFunctionName]?: string }
  /** Role definitions, with the number of their arguments. */
  readonly roles: { readonly [name: string]: 2 | 3 }
}

const literals = ['alice', 'admin', '/a', 'GET', 'one', '80', 'NaN', 'true', '/b'].map((text) => JSON.stringify(text))
const constants = ['80', '443', '1', '0', 'true', 'false']
const inverted = fc.constantFrom('', '', '', '!')
const connective = fc.constantFrom('&&', '&&', '||')

/** Matchers from the whole grammar that is accepted: at least one token and one column are read. */
export function matcherOf(scope: Scope): fc.Arbitrary<string> {
  const tokens = scope.names.filter((name) => name.startsWith('r.'))
  const { condition } = fc.letrec<{ condition: string; atom: string }>((tie) => ({
    // Casbin takes " (" for the beginning of a list where there is an "in" anywhere, so no parenthesis follows a space.
    condition: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      { weight: 2, arbitrary: tie('atom') },
      {
        weight: 3,
        arbitrary: fc
          .tuple(tie('condition'), connective, tie('condition'))
          .map(([left, operator, right]) => `${left} ${operator}${/^\w/.test(right) ? ' ' : ''}${right}`),
      },
      {
        weight: 2,
        arbitrary: fc.tuple(inverted, tie('condition')).map(([not, inner]) => `${not}(${inner})`),
      },
    ),
    atom: atomOf(scope, tokens),
  }))
  return condition.map((text) => {
    const reads = (what: string) =>
      scope.names.some((name) => name.startsWith(what) && name !== 'p.eft' && has(text, name))
    return reads('r.') && (reads('p.') || readsPattern(text, scope)) ? text : `(${text})&& r.sub == p.sub`
  })
}

function has(text: string, name: string): boolean {
  return new RegExp(`(?<![\\w"])${name.replace('.', '\\.')}\\b`).test(text)
}

function readsPattern(text: string, { patterns }: Scope): boolean {
  return Object.values(patterns).some((column) => has(text, column))
}

function atomOf(scope: Scope, tokens: readonly string[]): fc.Arbitrary<string> {
  const name = fc.constantFrom(...scope.names)
  const column = fc.constantFrom(...scope.names.filter((known) => known.startsWith('p.')))
  const literal = fc.constantFrom(...literals)
  const token = fc.constantFrom(...tokens)
  const truth = fc.oneof(...truths(scope, token, literal))
  const text = fc.oneof(
    { weight: 8, arbitrary: name },
    { weight: 2, arbitrary: literal },
    { weight: 1, arbitrary: fc.constantFrom(...constants) },
    { weight: 1, arbitrary: fc.oneof(...got(scope, token)) },
  )
  const usual = fc.constantFrom('==', '==', '==', '!=', ...comparisons)
  return fc.oneof(
    { weight: 6, arbitrary: fc.tuple(token, usual, column).map((parts) => parts.join(' ')) },
    { weight: 4, arbitrary: fc.tuple(text, usual, text).map((parts) => parts.join(' ')) },
    { weight: 5, arbitrary: fc.tuple(inverted, truth).map((parts) => parts.join('')) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(truth, usual, fc.oneof(truth, fc.constantFrom('true', 'false')))
        .map((parts) => parts.join(' ')),
    },
    { weight: 2, arbitrary: list(text, fc.oneof(literal, column, fc.constantFrom(...constants))) },
  )
}

function list(value: fc.Arbitrary<string>, item: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc
    .tuple(value, fc.array(item, { minLength: 1, maxLength: 3 }))
    .map(([left, items]) => `(${left} in [ ${items.join(', ')}])`)
}

function truths(scope: Scope, token: fc.Arbitrary<string>, literal: fc.Arbitrary<string>): fc.Arbitrary<string>[] {
  const functions = functionsOf(scope).filter((name) => !name.startsWith('keyGet'))
  const calls = functions.map((name) => {
    const pattern = fc.oneof(
      { weight: 3, arbitrary: fc.constant(scope.patterns[name] ?? '""') },
      { weight: 1, arbitrary: quoted(name) },
    )
    const value = fc.oneof(
      { weight: 8, arbitrary: token },
      { weight: 1, arbitrary: fc.oneof(literal, ...got(scope, token)) },
    )
    return fc.tuple(value, pattern).map(([first, second]) => `${name}(${first}, ${second})`)
  })
  const who = fc.oneof(
    { weight: 10, arbitrary: fc.constantFrom(...scope.names) },
    { weight: 1, arbitrary: literal },
    { weight: 2, arbitrary: fc.oneof(...got(scope, token)) },
  )
  const roles = Object.entries(scope.roles).map(([name, arity]) =>
    fc.array(who, { minLength: arity, maxLength: arity }).map((given) => `${name}(${given.join(', ')})`),
  )
  return [...calls, ...roles]
}

function got(scope: Scope, token: fc.Arbitrary<string>): fc.Arbitrary<string>[] {
  const gets = functionsOf(scope).filter((name) => name.startsWith('keyGet'))
  const third = fc.constantFrom('"id"', '"x"', '"nobody"')
  return gets.map((name) => {
    const pattern = fc.oneof(fc.constant(scope.patterns[name] ?? '""'), quoted(name))
    return fc
      .tuple(token, pattern, third)
      .map(([value, from, last]) => `${name}(${value}, ${from}${name === 'keyGet2' ? `, ${last}` : ''})`)
  })
}

function quoted(name: PolicyFunctionName): fc.Arbitrary<string> {
  return values.pattern(name).map((text) => `"${text}"`)
}

function functionsOf({ patterns }: Scope): PolicyFunctionName[] {
  return Object.keys(patterns) as PolicyFunctionName[]
}
