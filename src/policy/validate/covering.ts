import type { PolicyToken } from '../../decision/rule-set.ts'
import { parseSpiffeId } from '../../identity/spiffe-id.ts'
import type { Condition, FunctionCall, Operand, RoleCall } from '../parse/matcher.ts'
import { policyFunction } from '../patterns/functions.ts'
import type { PolicyModel } from '../policy-model.ts'
import { patternCovers } from './pattern-cover.ts'
import type { RoleLinks } from './role-links.ts'

type Values = readonly string[]
type Compare = Extract<Condition, { kind: 'compare' }>

/** Comparisons of conditions for one pair of rules; past this, it is not told. */
const maxSteps = 400

/** Whether a token can have a value at all. */
export function isPossible(token: PolicyToken, value: string): boolean {
  if (token === 'dst') return parseSpiffeId(value).ok
  if (token === 'sub') return value === 'anonymous' || parseSpiffeId(value).ok
  return token !== 'obj' || value === '*' || value.startsWith('/')
}

/** Whether a value can be meant as the name of a role, and not as a pattern or an ID. */
export function looksLikeRole(value: string): boolean {
  return !value.startsWith('/') && !value.includes('*') && !value.includes('://')
}

/**
 * Reasons about what the matcher says of single rules, whatever the request. All answers are sound: where something cannot be
 * told, a condition is unknown and a rule does not cover another.
 */
export class Covering {
  readonly #model: PolicyModel
  readonly #links: ReadonlyMap<string, RoleLinks>
  /** Per role definition the roles that some request can have. */
  readonly #live: ReadonlyMap<string, ReadonlySet<string>>
  #steps = 0

  constructor(
    model: PolicyModel,
    links: ReadonlyMap<string, RoleLinks>,
    live: ReadonlyMap<string, ReadonlySet<string>>,
  ) {
    this.#model = model
    this.#links = links
    this.#live = live
  }

  /** Whether the first rule matches every request that the second one matches. */
  covers(wide: Values, narrow: Values): boolean {
    this.#steps = 0
    const { matcher } = this.#model
    return this.#implies(matcher, narrow, matcher, wide)
  }

  /** What a condition is for a rule, where that does not depend on the request. */
  truth(condition: Condition, values: Values): boolean | undefined {
    switch (condition.kind) {
      case 'and':
      case 'or':
        return this.#truthOfBoth(condition.kind === 'or', condition.left, condition.right, values)
      case 'not': {
        const truth = this.truth(condition.operand, values)
        return truth === undefined ? undefined : !truth
      }
      case 'compare':
        return this.#truthOfComparison(condition, values)
      case 'call':
        return this.#truthOfCall(condition, values)
      case 'role':
        return this.#truthOfRole(condition, values)
      case 'in':
        return undefined
    }
  }

  #truthOfBoth(wanted: boolean, left: Condition, right: Condition, values: Values): boolean | undefined {
    const [one, other] = [this.truth(left, values), this.truth(right, values)]
    if (one === wanted || other === wanted) return wanted
    return one === undefined || other === undefined ? undefined : !wanted
  }

  #truthOfComparison({ operator, left, right }: Compare, values: Values): boolean | undefined {
    if (!/^[!=]==?$/.test(operator)) return undefined
    const [one, other] = [this.#textOf(left, values), this.#textOf(right, values)]
    const negated = operator.startsWith('!')
    if (one !== undefined && other !== undefined) return (one === other) !== negated
    const token = left.kind === 'token' ? left.token : right.kind === 'token' ? right.token : undefined
    const text = one ?? other
    if (token === undefined || text === undefined || isPossible(token, text)) return undefined
    return negated
  }

  #truthOfCall({ name, arguments: [, pattern] }: FunctionCall, values: Values): boolean | undefined {
    const text = pattern && this.#textOf(pattern, values)
    return text !== undefined && policyFunction(name)?.meantAsPattern?.(text) === false ? false : undefined
  }

  #truthOfRole({ name, arguments: [who, role] }: RoleCall, values: Values): boolean | undefined {
    const text = role && this.#textOf(role, values)
    if (who?.kind !== 'token' || text === undefined || isPossible(who.token, text)) return undefined
    return this.#live.get(name)?.has(text) === false ? false : undefined
  }

  /** The text of an operand that is the rule's or the model's. */
  #textOf(operand: Operand, values: Values): string | undefined {
    if (operand.kind === 'column') return values[this.#model.columns.indexOf(operand.column)]
    return operand.kind === 'literal' && typeof operand.value === 'string' ? operand.value : undefined
  }

  /** Whether `weak` can only hold for one rule where `strong` holds for the other. */
  #implies(strong: Condition, narrow: Values, weak: Condition, wide: Values): boolean {
    this.#steps += 1
    if (this.#steps > maxSteps) return false
    if (this.truth(strong, narrow) === false || this.truth(weak, wide) === true) return true
    if (weak.kind === 'and') {
      return this.#implies(strong, narrow, weak.left, wide) && this.#implies(strong, narrow, weak.right, wide)
    }
    if (strong.kind === 'or') {
      return this.#implies(strong.left, narrow, weak, wide) && this.#implies(strong.right, narrow, weak, wide)
    }
    if (strong.kind === 'and') {
      return this.#implies(strong.left, narrow, weak, wide) || this.#implies(strong.right, narrow, weak, wide)
    }
    if (weak.kind === 'or') {
      return this.#implies(strong, narrow, weak.left, wide) || this.#implies(strong, narrow, weak.right, wide)
    }
    if (strong.kind === 'not' || weak.kind === 'not') {
      return strong.kind === 'not' && weak.kind === 'not' && this.#implies(weak.operand, wide, strong.operand, narrow)
    }
    return this.#impliesAtom(strong, narrow, weak, wide)
  }

  #impliesAtom(strong: Condition, narrow: Values, weak: Condition, wide: Values): boolean {
    if (this.#sayOf(strong, narrow) === this.#sayOf(weak, wide)) return true
    // A name is no pattern, and says nothing about one.
    if (this.truth(weak, wide) === false) return false
    const equal = this.#equality(strong, narrow)
    if (equal !== undefined) return this.#holdsOf(equal.token, equal.text, weak, wide)
    if ((strong.kind !== 'call' && strong.kind !== 'role') || strong.kind !== weak.kind || strong.name !== weak.name) {
      return false
    }
    const [[who, value, ...more], [other, wider, ...others]] = [strong.arguments, weak.arguments]
    const sameRest = this.#sayAll([who, ...more], narrow) === this.#sayAll([other, ...others], wide)
    const [from, to] = [value && this.#textOf(value, narrow), wider && this.#textOf(wider, wide)]
    if (!sameRest || from === undefined || to === undefined) return false
    if (strong.kind === 'call') return patternCovers(strong.name, to, from)
    return this.#hasRole(strong, from, to, narrow)
  }

  /** The token and the text of a condition that says that they are equal. */
  #equality(condition: Condition, values: Values): { token: PolicyToken; text: string } | undefined {
    if (condition.kind === 'role') return this.#ownName(condition, values)
    if (condition.kind !== 'compare' || !/^===?$/.test(condition.operator)) return undefined
    const { left, right } = condition
    const token = left.kind === 'token' ? left.token : right.kind === 'token' ? right.token : undefined
    const text = this.#textOf(left, values) ?? this.#textOf(right, values)
    return token === undefined || text === undefined ? undefined : { token, text }
  }

  /** Nobody has a role to which no link leads, but whoever is called so. */
  #ownName({ name, arguments: [who, role, domain] }: RoleCall, values: Values) {
    const text = role && this.#textOf(role, values)
    if (who?.kind !== 'token' || text === undefined || domain !== undefined) return undefined
    return this.#links.get(name)?.byRole.has(text) === true ? undefined : { token: who.token, text }
  }

  /** Whether a condition holds for a rule wherever a token has a certain text. */
  #holdsOf(token: PolicyToken, text: string, condition: Condition, values: Values): boolean {
    const equal = this.#equality(condition, values)
    if (equal !== undefined) return equal.token === token && equal.text === text
    if (condition.kind !== 'call' && condition.kind !== 'role') return false
    const [who, value] = condition.arguments
    const to = value && this.#textOf(value, values)
    if (who?.kind !== 'token' || who.token !== token || to === undefined) return false
    if (condition.kind === 'role') return this.#hasRole(condition, text, to, values)
    return condition.arguments.length === 2 && policyFunction(condition.name)?.compile(to)(text) === true
  }

  #hasRole({ name, arguments: [, , domain] }: RoleCall, from: string, to: string, values: Values): boolean {
    const text = domain && this.#textOf(domain, values)
    if (domain !== undefined && text === undefined) return from === to
    return this.#links.get(name)?.nearest(from, text).includes(to) ?? false
  }

  /** A condition without `&&`, `||` and `!`, as a text in which the rule's values stand for its columns. */
  #sayOf(condition: Condition, values: Values): string {
    if (condition.kind === 'compare') {
      return `${condition.operator} ${this.#sayAll([condition.left, condition.right], values)}`
    }
    if (condition.kind === 'in') return `in ${this.#sayAll([condition.left, ...condition.items], values)}`
    return this.#sayAll([condition as Operand], values)
  }

  #sayAll(operands: readonly (Operand | undefined)[], values: Values): string {
    return operands.map((operand) => this.#say(operand, values)).join('\u0000')
  }

  #say(operand: Operand | undefined, values: Values): string {
    if (operand === undefined) return ''
    if (operand.kind === 'token') return `r.${operand.token}`
    if (operand.kind === 'call' || operand.kind === 'role')
      return `${operand.name}(${this.#sayAll(operand.arguments, values)})`
    const text = this.#textOf(operand, values)
    return text === undefined && operand.kind === 'literal' ? String(operand.value) : `"${text ?? ''}"`
  }
}
