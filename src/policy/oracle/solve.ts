import type { PolicyToken } from '../../decision/rule-set.ts'
import type { Condition, FunctionCall, Operand, RoleCall } from '../parse/matcher.ts'
import type { PolicyModel } from '../policy-model.ts'
import { instanceOf } from './instances.ts'
import type { Members } from './members.ts'
import type { SeededRandom } from './random.ts'

/** Tokens that have been given a value. */
type Tokens = Map<PolicyToken, string>

type Comparison = Extract<Condition, { kind: 'compare' }>

/** Conditions that are looked at when the others have given tokens their values. */
interface Later {
  /** With domains among those values. */
  readonly roles: RoleCall[]
  /** Two tokens that have to be the same. */
  readonly ties: Comparison[]
}

/** Text that stands for any name. */
const word = 'x1'

/**
 * Looks for a request that a rule matches, condition by condition, in the order in which they stand and without ever going
 * back: so it is a good guess, and no promise.
 */
export class Solver {
  readonly #model: PolicyModel
  readonly #members: Members
  readonly #random: SeededRandom

  constructor(model: PolicyModel, members: Members, random: SeededRandom) {
    this.#model = model
    this.#members = members
    this.#random = random
  }

  /** Values for tokens that the matcher asks about, on a rule with these values. */
  solve(rule: readonly string[]): ReadonlyMap<PolicyToken, string> {
    const tokens: Tokens = new Map()
    const later: Later = { roles: [], ties: [] }
    this.#condition(this.#model.matcher, true, rule, tokens, later)
    for (const call of later.roles) this.#role(call, rule, tokens)
    for (const { left, right } of later.ties) this.#equal(left, right, true, rule, tokens)
    return tokens
  }

  #condition(condition: Condition, wanted: boolean, rule: readonly string[], tokens: Tokens, later: Later): void {
    const { kind } = condition
    if (kind === 'not') this.#condition(condition.operand, !wanted, rule, tokens, later)
    else if (kind === 'and' || kind === 'or') {
      const both = (kind === 'and') === wanted
      const one = this.#random.below(2)
      if (both || one === 0) this.#condition(condition.left, wanted, rule, tokens, later)
      if (both || one === 1) this.#condition(condition.right, wanted, rule, tokens, later)
    } else if (wanted && isTie(condition)) later.ties.push(condition)
    else if (kind === 'compare') this.#compare(condition, wanted, rule, tokens)
    else if (kind === 'in') {
      const item = this.#random.pick(condition.items)
      if (item !== undefined) this.#equal(condition.left, item, wanted, rule, tokens)
    } else if (wanted && kind === 'call') this.#call(condition, rule, tokens)
    else if (wanted && kind === 'role') later.roles.push(condition)
  }

  #compare(condition: Comparison, wanted: boolean, rule: readonly string[], tokens: Tokens) {
    const { operator, left, right } = condition
    if (!/^[<>]/.test(operator)) {
      this.#equal(left, right, operator.startsWith('=') === wanted, rule, tokens)
      return
    }
    const [lower, upper] = operator.startsWith('<') === wanted ? [left, right] : [right, left]
    const [known, limit] = [this.#value(lower, rule, tokens), this.#value(upper, rule, tokens)]
    if (lower.kind === 'token' && limit !== undefined) assign(tokens, lower.token, String(Number(limit) - 1))
    else if (upper.kind === 'token') assign(tokens, upper.token, String(Number(known ?? 0) + 1))
  }

  #equal(left: Operand, right: Operand, wanted: boolean, rule: readonly string[], tokens: Tokens): void {
    if (left.kind === 'call') this.#call(left, rule, tokens)
    const value = this.#value(right, rule, tokens) ?? this.#value(left, rule, tokens) ?? word
    if (left.kind === 'token') assign(tokens, left.token, wanted ? value : `${value}x`)
    if (right.kind === 'token') assign(tokens, right.token, value)
  }

  #call({ name, arguments: [first, pattern] }: FunctionCall, rule: readonly string[], tokens: Tokens): void {
    const text = pattern && this.#value(pattern, rule, tokens)
    if (first?.kind === 'token' && text !== undefined) assign(tokens, first.token, instanceOf(name, text, word))
  }

  #role({ name, arguments: [who, role, where] }: RoleCall, rule: readonly string[], tokens: Tokens): void {
    const wanted = role && this.#value(role, rule, tokens)
    const known = where && this.#value(where, rule, tokens)
    if (wanted === undefined) {
      if (role?.kind === 'token') assign(tokens, role.token, (who && this.#value(who, rule, tokens)) ?? word)
      return
    }
    const found = this.#members.below(name, wanted, known, this.#random)
    if (who?.kind === 'token') assign(tokens, who.token, found.name)
    if (who?.kind === 'call') this.#given(who, found.name, rule, tokens)
    if (where?.kind === 'token' && found.domain !== undefined) assign(tokens, where.token, found.domain)
  }

  /** Where a role name is cut out of a token by a pattern: the token is the pattern with the name put in. */
  #given(
    { name, arguments: [first, pattern] }: FunctionCall,
    word: string,
    rule: readonly string[],
    tokens: Tokens,
  ): void {
    const text = pattern && this.#value(pattern, rule, tokens)
    if (first?.kind === 'token' && text !== undefined) assign(tokens, first.token, instanceOf(name, text, word))
  }

  #value(operand: Operand, rule: readonly string[], tokens: Tokens): string | undefined {
    if (operand.kind === 'literal') return String(operand.value)
    if (operand.kind === 'token') return tokens.get(operand.token)
    return operand.kind === 'column' ? rule[this.#model.columns.indexOf(operand.column)] : undefined
  }
}

/** Whether it wants two tokens to be the same. */
function isTie(condition: Condition): condition is Comparison {
  if (condition.kind !== 'compare' || !condition.operator.startsWith('=')) return false
  return condition.left.kind === 'token' && condition.right.kind === 'token'
}

/** What was demanded first stays. */
function assign(tokens: Tokens, token: PolicyToken, value: string): void {
  if (!tokens.has(token)) tokens.set(token, value)
}
