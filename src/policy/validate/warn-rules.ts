import type { Pace } from '../pace.ts'
import { columnOfValue, type PolicyRow } from '../parse/parse-rules.ts'
import type { Condition } from '../parse/matcher.ts'
import type { PolicyModel } from '../policy-model.ts'
import { shown, warning, type PolicyWarningCode } from '../problem.ts'
import type { Covering } from './covering.ts'
import { tokenUses, whyImpossible, type TokenUse } from './token-uses.ts'
import type { Warn } from './warnings.ts'
import type { WiderValues } from './wider-values.ts'

/** A rule or role link that stands twice. */
export async function warnOfRepeated(rows: readonly PolicyRow[], warn: Warn, pace: Pace): Promise<void> {
  const first = new Map<string, PolicyRow>()
  for (const row of rows) {
    if (pace.due) await pace.rest()
    const key = [row.type, ...row.values].join('\u0000')
    const before = first.get(key)
    if (before === undefined) first.set(key, row)
    else warn(at(row, 'RULE_REPEATED', `the line says what ${placeOf(before)} says already`))
  }
}

/** Conditions of a matcher past which rules are not held against each other. */
const maxConditions = 40

function conditionsIn(condition: Condition): number {
  if (condition.kind === 'not') return conditionsIn(condition.operand)
  const both = condition.kind === 'and' || condition.kind === 'or'
  return both ? conditionsIn(condition.left) + conditionsIn(condition.right) : 1
}

/** Rules, in the order of the effect, that another one covers, and rules that no request can match. */
export async function warnOfCovered(
  model: PolicyModel,
  rules: readonly PolicyRow[],
  covering: Covering,
  wider: WiderValues,
  warn: Warn,
  pace: Pace,
): Promise<void> {
  const known = new KnownRules(model)
  const tooMany = conditionsIn(model.matcher) > maxConditions
  const uses = tokenUses(model)
  for (const [place, rule] of rules.entries()) {
    if (pace.due) await pace.rest()
    known.add(rule, place)
  }
  for (const [place, rule] of rules.entries()) {
    if (pace.due) await pace.rest()
    if (covering.truth(model.matcher, rule.values) === false) {
      if (!wider.hasEmptyRole(rule.values)) warn(unreachable(model, rule, uses))
      continue
    }
    const candidates = tooMany ? [] : known.at(wider.of(rule.values))
    const found = candidates.find((other) => other !== place && settles(place, rule, other, rules))
    const other = found === undefined ? undefined : rules[found]
    if (other !== undefined) warn(warningOf(model, rule, other))
  }

  function settles(place: number, rule: PolicyRow, other: number, all: readonly PolicyRow[]): boolean {
    const row = all[other]
    if (row === undefined || !canSettle(model, place, rule, other, row)) return false
    if (!covering.covers(row.values, rule.values)) return false
    // Of two that cover each other the first one stays.
    return other < place || effectOf(model, row) !== effectOf(model, rule) || !covering.covers(rule.values, row.values)
  }
}

/** Whether a rule that covers another one leaves it nothing to say. */
function canSettle(model: PolicyModel, place: number, rule: PolicyRow, other: number, row: PolicyRow): boolean {
  if (model.effect === 'priority' || model.effect === 'subject-priority') return other < place
  return effectOf(model, row) === effectOf(model, rule) || effectOf(model, row) === 'deny'
}

function effectOf({ columns }: PolicyModel, { values }: PolicyRow): string {
  return values[columns.indexOf('eft')] ?? 'allow'
}

function warningOf(model: PolicyModel, rule: PolicyRow, other: PolicyRow) {
  const place = `${placeOf(other)} (${shown(other.rule.text)})`
  if (
    model.effect === 'allow-override' ||
    (model.effect === 'allow-and-deny' && effectOf(model, rule) === effectOf(model, other))
  ) {
    return at(rule, 'RULE_SHADOWED', `everything that the rule covers is covered by ${place}`)
  }
  const why =
    model.effect === 'allow-and-deny' ? 'denies everything that the rule allows' : 'comes first and covers the rule'
  return at(rule, 'RULE_UNREACHABLE', `the rule never settles a request: ${place} ${why}`)
}

function unreachable(model: PolicyModel, rule: PolicyRow, uses: readonly TokenUse[]) {
  const message = `no request can match the rule: none has what ${valuesText(model, rule)} asks for`
  const why = whyImpossible(uses, rule)
  return at(rule, 'RULE_UNREACHABLE', why === undefined ? message : `${message}; ${why}`)
}

function valuesText({ columns, reads }: PolicyModel, { values }: PolicyRow): string {
  const read = columns.flatMap((column, index) => (reads.columns.has(column) ? [shown(values[index] ?? '')] : []))
  return read.join(', ')
}

export function placeOf({ rule }: PolicyRow): string {
  return `${rule.file}:${String(rule.line)}`
}

/** A warning at a value of a row; at its beginning where `index` is left out. */
export function at(row: PolicyRow, code: PolicyWarningCode, message: string, index = -1) {
  return warning(row.rule.file, row.rule.line, code, message, columnOfValue(row, index))
}

/** Rules by the values of the columns that the matcher reads, apart by effect: the first of each. */
class KnownRules {
  readonly #byValues = new Map<string, Map<string, number>>()
  readonly #effect: number
  readonly #read: readonly number[]

  constructor({ columns, reads }: PolicyModel) {
    this.#effect = columns.indexOf('eft')
    this.#read = [...columns.keys()].filter((index) => reads.columns.has(columns[index] ?? ''))
  }

  add({ values }: PolicyRow, place: number): void {
    const effect = values[this.#effect] ?? 'allow'
    const rules = this.#byValues.get(effect) ?? new Map<string, number>()
    this.#byValues.set(effect, rules)
    const key = this.#read.map((index) => values[index]).join('\u0000')
    if (!rules.has(key)) rules.set(key, place)
  }

  /** The places of the rules that have such values. */
  at(keys: readonly string[]): readonly number[] {
    const rules = [...this.#byValues.values()]
    return keys.flatMap((key) => rules.map((places) => places.get(key)).filter((place) => place !== undefined))
  }
}
