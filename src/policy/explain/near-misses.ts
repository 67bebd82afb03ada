import type { Rule } from '../../decision/decision.ts'
import type { PolicyRequest, PolicyToken } from '../../decision/rule-set.ts'
import { conditionText, type ConditionScope, type Values } from '../compiled/conditions.ts'
import type { CompiledRuleSet } from '../compiled/rule-set.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import { closeness } from './closeness.ts'
import { gaugeOf, neverMatches, perFailure, valuesIn, type Answered, type Gauge } from './gauge.ts'
import { matcherTree, tieOf } from './matcher-tree.ts'
import { effectOf, valueOf } from './model-shape.ts'
import { remediesFor, repairOf } from './remedies.ts'
import { inWords, isTelling } from './words.ts'

/** A rule that would allow, if a little were otherwise. */
export interface NearMiss {
  readonly rule: Rule
  /** Its conditions, in the order of the matcher; of an `||` those of the nearest branch. */
  readonly conditions: readonly Finding[]
  /** All of it in one sentence. */
  readonly words: string
  /** Lines that would make it match, if they stood in the policy; empty where none comes to mind. */
  readonly remedies: readonly string[]
  /** Rules that are the same but for the caller, or the method, in which they differ from the request as well. */
  readonly alike: readonly Rule[]
}

export interface Finding {
  /** As the model writes it. */
  readonly condition: string
  readonly holds: boolean
  readonly words: string
  /** A value of a token with which it would hold for this rule; null where it holds, or none is known. */
  readonly repair: { readonly token: PolicyToken; readonly value: string } | null
}

interface Miss {
  readonly row: PolicyRow
  readonly distance: number
}

interface Group {
  readonly row: PolicyRow
  readonly answers: readonly Answered[]
  readonly alike: PolicyRow[]
}

/** What near misses are looked for in. */
interface Search {
  readonly ruleSet: CompiledRuleSet
  readonly request: PolicyRequest
  readonly values: Values
  readonly scope: ConditionScope
  readonly gauge: Gauge
}

/** The rules of `rows` that allow and come nearest to matching a request, the nearest first; at most `limit`. */
export function nearMisses(
  ruleSet: CompiledRuleSet,
  request: PolicyRequest,
  rows: readonly PolicyRow[],
  limit: number,
): readonly NearMiss[] {
  const { model } = ruleSet
  const scope = { tokens: model.tokens, columns: model.columns, roles: ruleSet.roles }
  const gauge = gaugeOf(matcherTree(model.matcher), scope)
  const search = { ruleSet, request, values: valuesIn(request, scope), scope, gauge }
  const misses = rows
    .filter((row) => effectOf(model, row) === 'allow')
    .map((row) => ({ row, distance: gauge.distance(search.values, row.values) }))
    .filter(({ distance }) => distance > 0 && distance < neverMatches)
  const groups = groupsOf(misses, search)
  return groups.slice(0, limit).map((group) => nearMiss(group, search))
}

/** Puts together what differs in one thing only, and drops what is not near. */
function groupsOf(misses: Miss[], search: Search): Group[] {
  misses.sort((a, b) => a.distance - b.distance)
  const least = failures(misses[0]?.distance ?? 0)
  const groups = new Map<string, Group>()
  for (const { row, distance } of misses) {
    if (failures(distance) > least + 1) break
    const answers = search.gauge.answers(search.values, row.values)
    if (!isNear(answers, row, failures(distance) === least, search)) continue
    const key = groupKey(answers, row, search)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { row, answers, alike: [] })
    else group.alike.push(row)
  }
  return [...groups.values()]
}

function failures(distance: number): number {
  return Math.floor(distance / perFailure)
}

/**
 * With more than one difference, the caller has to be right, and what is asked for nearly. Where no rule has fewer differences,
 * what is asked for may be right for another caller too.
 */
function isNear(answers: readonly Answered[], row: PolicyRow, least: boolean, search: Search): boolean {
  if (answers.filter(({ holds }) => !holds).length < 2) return true
  const nearness = (wanted: (token: PolicyToken) => boolean) =>
    Math.max(0, ...answers.map((answered) => nearnessOf(answered, wanted, row, search)))
  const object = nearness((token) => !callers.has(token) && token !== 'act' && token !== 'protocol')
  return nearness((token) => callers.has(token)) === 1 ? object >= 0.49 : least && object === 1
}

const callers: ReadonlySet<PolicyToken> = new Set<PolicyToken>(['sub', 'user'])

function nearnessOf(
  { demand, holds }: Answered,
  wanted: (token: PolicyToken) => boolean,
  row: PolicyRow,
  { request, ruleSet }: Search,
): number {
  const tie = tieOf(demand)
  if (tie === undefined || !wanted(tie.token)) return 0
  return holds ? 1 : 0.99 * closeness(request[tie.token] ?? '', valueOf(ruleSet.model, row, tie.column))
}

function groupKey(answers: readonly Answered[], row: PolicyRow, { ruleSet }: Search): string {
  const failed = answers.filter(({ holds }) => !holds)
  const tie = failed.length === 1 && failed[0] !== undefined ? tieOf(failed[0].demand) : undefined
  if (tie === undefined || !(callers.has(tie.token) || tie.token === 'act')) return JSON.stringify(row.values)
  const rest = row.values.filter((_, index) => ruleSet.model.columns[index] !== tie.column)
  return JSON.stringify([tie.column, ...rest])
}

function nearMiss({ row, answers, alike }: Group, search: Search): NearMiss {
  const { ruleSet, request, scope } = search
  const { model, roles } = ruleSet
  const one = { model, roles, request, row, alike }
  const conditions = answers.filter(isTelling).map((answered) => ({
    condition: `${answered.demand.negated ? '!' : ''}${conditionText(answered.demand.leaf)}`,
    holds: answered.holds,
    words: inWords(answered, one),
    repair: answered.holds ? null : repairOf(answered.demand, one, scope),
  }))
  return {
    rule: row.rule,
    conditions,
    words: sentence(conditions),
    remedies: remediesFor(answers, one, scope),
    alike: alike.map(({ rule }) => rule),
  }
}

/** What matches comes first, so that the sentence ends with what differs. */
function sentence(conditions: readonly Finding[]): string {
  const ordered = [...conditions].sort((a, b) => Number(b.holds) - Number(a.holds))
  return [...new Set(ordered.map(({ words }) => words))].join(', ')
}
