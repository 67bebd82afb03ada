import type { Rule } from '../../decision/decision.ts'
import type { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'

/** Rules, or role links, that differ; each with the place where it stands. */
export interface RowChanges {
  readonly added: readonly Rule[]
  readonly removed: readonly Rule[]
  /** The same rule with another effect or priority. */
  readonly changed: readonly { readonly a: Rule; readonly b: Rule }[]
}

interface Rows {
  readonly model: PolicyModel
  readonly rows: readonly PolicyRow[]
}

/** Compares rows by their values: where they stand, how they are written and how often is no difference. */
export async function diffRows(a: Rows, b: Rows, wanted: (type: string) => boolean, pace: Pace): Promise<RowChanges> {
  const [inA, inB] = [await byValues(a.rows, wanted, pace), await byValues(b.rows, wanted, pace)]
  const removed = new Map<string, PolicyRow[]>()
  for (const [key, row] of inA) {
    if (inB.has(key)) continue
    const same = withoutVerdict(a.model, row)
    removed.set(same, [...(removed.get(same) ?? []), row])
  }
  const added: Rule[] = []
  const changed: { a: Rule; b: Rule }[] = []
  for (const [key, row] of inB) {
    if (inA.has(key)) continue
    const before = removed.get(withoutVerdict(b.model, row))?.shift()
    if (before === undefined) added.push(row.rule)
    else changed.push({ a: before.rule, b: row.rule })
  }
  const left = new Set([...removed.values()].flat())
  return { added, removed: [...inA.values()].filter((row) => left.has(row)).map(({ rule }) => rule), changed }
}

async function byValues(
  rows: readonly PolicyRow[],
  wanted: (type: string) => boolean,
  pace: Pace,
): Promise<Map<string, PolicyRow>> {
  const found = new Map<string, PolicyRow>()
  for (const row of rows) {
    if (pace.due) await pace.rest()
    const key = keyOf(row)
    if (wanted(row.type) && !found.has(key)) found.set(key, row)
  }
  return found
}

function keyOf({ type, values }: PolicyRow): string {
  // No value holds a control character.
  return `${type}\u0000${values.join('\u0000')}`
}

/** What stays the same of a rule whose effect or priority changes. */
function withoutVerdict({ columns }: PolicyModel, { type, values }: PolicyRow): string {
  if (type !== 'p') return JSON.stringify([type, ...values])
  return JSON.stringify(values.map((value, index) => (/^(eft|priority)$/.test(columns[index] ?? '') ? null : value)))
}

/** A rule of both policies that comes earlier or later among the others. */
export interface MovedRule {
  readonly a: Rule
  readonly b: Rule
}

/** The fewest rules that have to move so that those of both stand in the same order. */
export async function movedRules(a: readonly PolicyRow[], b: readonly PolicyRow[], pace: Pace): Promise<MovedRule[]> {
  const placeInA = new Map(a.map((row, index) => [keyOf(row), index]))
  const common: { readonly row: PolicyRow; readonly place: number }[] = []
  for (const row of b) {
    if (pace.due) await pace.rest()
    const place = placeInA.get(keyOf(row))
    if (place !== undefined) common.push({ row, place })
  }
  const kept = longestRising(common.map(({ place }) => place))
  return common
    .filter((_, index) => !kept.has(index))
    .map(({ row, place }) => ({ a: (a[place] as PolicyRow).rule, b: row.rule }))
}

/** Indexes of a longest rising part, by patience sorting. */
function longestRising(places: readonly number[]): ReadonlySet<number> {
  const tails: number[] = []
  const before: number[] = []
  for (const [index, place] of places.entries()) {
    let [low, high] = [0, tails.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((places[tails[middle] as number] as number) < place) low = middle + 1
      else high = middle
    }
    before.push(low === 0 ? -1 : (tails[low - 1] as number))
    tails[low] = index
  }
  const kept = new Set<number>()
  for (let at = tails.at(-1) ?? -1; at !== -1; at = before[at] as number) kept.add(at)
  return kept
}
