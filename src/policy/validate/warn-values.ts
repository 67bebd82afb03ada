import type { PolicyToken } from '../../decision/rule-set.ts'
import { isLogical, type Atom } from '../compiled/branches.ts'
import type { Pace } from '../pace.ts'
import type { Condition, Operand } from '../parse/matcher.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { shown } from '../problem.ts'
import { isPossible, looksLikeRole } from './covering.ts'
import type { RoleLinks } from './role-links.ts'
import { natureOf, tokenUses, wildcardHint, type TokenUse } from './token-uses.ts'
import { at } from './warn-rules.ts'
import type { Warn } from './warnings.ts'

type Links = ReadonlyMap<string, RoleLinks>

/** Values of rules that are only compared and that no request is expected to have, and role links of such names. */
export async function warnOfValues(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  links: Links,
  warn: Warn,
  pace: Pace,
): Promise<void> {
  const compared = onceEach(tokenUses(model)).filter(
    (use) => isDemanded(model.matcher, use.column) && isOnlyCompared(model, use),
  )
  const meant = new Map(compared.map(({ column }) => [column, new Set(literalsBeside(model.matcher, column))]))
  const members = memberTokens(model, links)
  for (const row of rows) {
    if (pace.due) await pace.rest()
    if (row.type !== 'p') warnOfMember(row, members.get(row.type) ?? [], links, warn)
    else {
      for (const use of compared) {
        const value = row.values[use.index] ?? ''
        const isRole = use.role !== undefined && links.get(use.role)?.byRole.has(value) === true
        if (isRole || meant.get(use.column)?.has(value) === true) continue
        const why = whyUnlikely(use.token, value)
        if (why !== undefined)
          warn(at(row, 'VALUE_IMPOSSIBLE', `the column ${shown(use.column)} has ${why}`, use.index))
      }
    }
  }
}

/** A matcher may compare the same things a thousand times. */
function onceEach(uses: readonly TokenUse[]): readonly TokenUse[] {
  return [...new Map(uses.map((use) => [JSON.stringify([use.column, use.token, use.role]), use])).values()]
}

/** What is said of rules without a doubt is said as RULE_UNREACHABLE; a method or path could have a star after all. */
function whyUnlikely(token: PolicyToken, value: string): string | undefined {
  if (token === 'sub' || token === 'dst' || !isPossible(token, value)) return undefined
  if (value.includes('*') && !(token === 'obj' && value === '*')) {
    return `${shown(value)}, but r.${token} is compared as it stands${wildcardHint(value)}`
  }
  if (token !== 'act' || !/[a-z]/.test(value)) return undefined
  return `${shown(value)}, but methods are upper case, and r.act is compared as it stands: did you mean ${shown(value.toUpperCase())}?`
}

/** Whether every alternative asks something of a column; where one does not, the column may hold a word for people. */
function isDemanded(condition: Condition, column: string): boolean {
  if (condition.kind === 'and') return isDemanded(condition.left, column) || isDemanded(condition.right, column)
  if (condition.kind === 'or') return isDemanded(condition.left, column) && isDemanded(condition.right, column)
  return usesOf(condition, column).length > 0
}

/** Whether every use of a column asks for equality with this token, with a text, or for a role of this token. */
function isOnlyCompared({ matcher }: PolicyModel, use: TokenUse): boolean {
  return usesOf(matcher, use.column).every((other) =>
    typeof other === 'string' ? other === use.role : other.kind === 'literal' || isToken(other, use.token),
  )
}

function isToken(operand: Operand, token: PolicyToken): boolean {
  return operand.kind === 'token' && operand.token === token
}

/** What a column is compared with; for a role its name, for any other use a text that is no name. */
function usesOf(condition: Condition, column: string): readonly (Operand | string)[] {
  const uses: (Operand | string)[] = []
  const waiting = [condition]
  for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
    if (isLogical(part)) waiting.push(part.right, part.left)
    else for (const use of usesOfPart(part, column)) uses.push(use)
  }
  return uses
}

function usesOfPart(condition: Atom, column: string): readonly (Operand | string)[] {
  const isColumn = (operand: Operand) => operand.kind === 'column' && operand.column === column
  switch (condition.kind) {
    case 'not':
      return usesOf(condition.operand, column).map(() => '!')
    case 'compare': {
      const sides = [condition.left, condition.right]
      if (!sides.some((side) => reads(side, column))) return []
      return /^===?$/.test(condition.operator) && sides.some(isColumn) ? sides.filter((side) => !isColumn(side)) : ['!']
    }
    case 'in':
      return [condition.left, ...condition.items].some((item) => reads(item, column)) ? [condition.left] : []
    case 'role':
      if (!reads(condition, column)) return []
      return [condition.arguments.findIndex(isColumn) === 1 ? condition.name : '!']
    case 'call':
      return reads(condition, column) ? ['!'] : []
  }
}

function reads(operand: Operand, column: string): boolean {
  if (operand.kind === 'call' || operand.kind === 'role') return operand.arguments.some((inner) => reads(inner, column))
  return operand.kind === 'column' && operand.column === column
}

/** The texts with which a matcher compares a column, such as `p.act == "*"`. */
function literalsBeside(condition: Condition, column: string): readonly string[] {
  return usesOf(condition, column).flatMap((use) =>
    typeof use !== 'string' && use.kind === 'literal' ? [String(use.value)] : [],
  )
}

/** Per role definition the tokens of which it is asked; left out where it is asked of anything else. */
function memberTokens(
  { reads: { roleCalls } }: PolicyModel,
  links: Links,
): ReadonlyMap<string, readonly PolicyToken[]> {
  const found = new Map<string, readonly PolicyToken[]>()
  for (const name of links.keys()) {
    const who = roleCalls.filter((call) => call.name === name).map((call) => call.arguments[0])
    const tokens = who.flatMap((operand) => (operand?.kind === 'token' ? [operand.token] : []))
    if (tokens.length === who.length) found.set(name, tokens)
  }
  return found
}

function warnOfMember(row: PolicyRow, tokens: readonly PolicyToken[], links: Links, warn: Warn): void {
  const [name = ''] = row.values
  const [token] = tokens
  if (token === undefined || looksLikeRole(name) || links.get(row.type)?.byRole.has(name) === true) return
  const possible = tokens.some((known) => isPossible(known, name) && whyUnlikely(known, name) === undefined)
  if (possible) return
  const message = `the link is of ${shown(name)}, which nobody is: ${natureOf(token)}, and names are compared as they stand${wildcardHint(name)}`
  warn(at(row, 'VALUE_IMPOSSIBLE', message, 0))
}
