import type { PolicyToken } from '../../decision/rule-set.ts'
import type { Condition, Operand } from '../parse/matcher.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { shown } from '../problem.ts'
import { isPossible, looksLikeRole } from './covering.ts'

/** A column of p that the matcher compares with a token, or asks for as a role of it. */
export interface TokenUse {
  readonly index: number
  readonly column: string
  readonly token: PolicyToken
  /** The role definition that is asked; undefined for a comparison. */
  readonly role: string | undefined
}

/** Where a matcher holds the text of a column against a token as it stands. */
export function tokenUses({ matcher, columns }: PolicyModel): readonly TokenUse[] {
  return pairsIn(matcher).flatMap(([token, column, role]) => {
    if (token?.kind !== 'token' || column?.kind !== 'column') return []
    return [{ index: columns.indexOf(column.column), column: column.column, token: token.token, role }]
  })
}

type Pair = readonly [token: Operand | undefined, column: Operand | undefined, role?: string]

/** Only what asks for equality. */
function pairsIn(condition: Condition): readonly Pair[] {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return [...pairsIn(condition.left), ...pairsIn(condition.right)]
    case 'compare': {
      const { operator, left, right } = condition
      return operator === '==' || operator === '===' ? [left.kind === 'token' ? [left, right] : [right, left]] : []
    }
    case 'in':
      return condition.items.map((item) => [condition.left, item] as const)
    case 'role':
      return [[condition.arguments[0], condition.arguments[1], condition.name]]
    default:
      return []
  }
}

/** Why no request has a value of a rule, where one value alone is the reason. */
export function whyImpossible(uses: readonly TokenUse[], { values }: PolicyRow): string | undefined {
  for (const { index, column, token, role } of uses) {
    const value = values[index] ?? ''
    if (isPossible(token, value) || (role !== undefined && looksLikeRole(value))) continue
    return `the column ${shown(column)} has ${shown(value)}, but ${natureOf(token)}${wildcardHint(value)}`
  }
  return undefined
}

/** What a token always is, as a sentence. */
export function natureOf(token: PolicyToken): string {
  if (token === 'sub') return 'r.sub is a valid SPIFFE ID or "anonymous"'
  if (token === 'dst') return 'r.dst is a valid SPIFFE ID'
  if (token === 'obj') return 'r.obj begins with "/"'
  return `r.${token} is compared as it stands`
}

/** What to do about a value with a star. */
export function wildcardHint(value: string): string {
  return value.includes('*')
    ? '; a wildcard works only in pathMatch, spiffeMatch and the other functions of patterns'
    : ''
}
