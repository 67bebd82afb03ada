import type { Pace } from '../pace.ts'
import { shown } from '../problem.ts'
import { parseRules, type PolicyRow } from './parse-rules.ts'

/** For so many rules that are not there the nearest one is looked for, among all rules. */
const maxNearest = 20

/**
 * Finds rules by their texts: for each the first row with the same values, or what is wrong, in one sentence. The texts
 * MUST be single lines.
 */
export async function findRules(
  texts: readonly string[],
  rows: readonly PolicyRow[],
  pace: Pace,
): Promise<readonly (PolicyRow | string)[]> {
  if (texts.length === 0) return []
  const first = await firstByValues(rows, pace)
  const parsed = await parseTexts(texts, pace)
  const found: (PolicyRow | string)[] = []
  let missing = 0
  for (const [index, text] of texts.entries()) {
    const wanted = parsed[index]
    const row = wanted === undefined ? undefined : first.get(keyOf(wanted))
    if (row !== undefined) found.push(row)
    else {
      missing += 1
      const nearest = wanted === undefined || missing > maxNearest ? undefined : await nearestTo(wanted, rows, pace)
      found.push(missingText(text, wanted, nearest))
    }
    if (pace.due) await pace.rest()
  }
  return found
}

function missingText(text: string, parsed: PolicyRow | undefined, nearest: PolicyRow | undefined): string {
  const allowed = 'allowed: a line "p, …" of the policy'
  if (parsed === undefined) return `the rule ${shown(text)} cannot be parsed; ${allowed}`
  if (parsed.type !== 'p') return `${shown(text)} is no rule, so it settles no request; ${allowed}`
  if (nearest === undefined) return `the policy has no rule ${shown(text)}`
  const { file, line } = nearest.rule
  return `the policy has no rule ${shown(text)}; the nearest is ${shown(nearest.rule.text)} (${file}:${String(line)})`
}

/** Read as one CSV file, a text a line; undefined where a text is no row. */
async function parseTexts(texts: readonly string[], pace: Pace): Promise<readonly (PolicyRow | undefined)[]> {
  const { rows } = await parseRules({ name: '', text: texts.join('\n'), sha256: '' }, pace)
  const parsed = Array<PolicyRow | undefined>(texts.length).fill(undefined)
  for (const row of rows) parsed[row.rule.line - 1] = row
  return parsed
}

async function firstByValues(rows: readonly PolicyRow[], pace: Pace): Promise<ReadonlyMap<string, PolicyRow>> {
  const first = new Map<string, PolicyRow>()
  for (const row of rows) {
    if (pace.due) await pace.rest()
    if (row.type !== 'p') continue
    const key = keyOf(row)
    if (!first.has(key)) first.set(key, row)
  }
  return first
}

function keyOf({ type, values }: PolicyRow): string {
  return JSON.stringify([type, ...values])
}

/** The rule that has the most values in common, if it has any. */
async function nearestTo(wanted: PolicyRow, rows: readonly PolicyRow[], pace: Pace): Promise<PolicyRow | undefined> {
  let nearest: PolicyRow | undefined
  let most = 0
  for (const row of rows) {
    if (pace.due) await pace.rest()
    if (row.type !== 'p') continue
    const common = row.values.filter((value, index) => value === wanted.values[index]).length
    if (common <= most) continue
    nearest = row
    most = common
  }
  return nearest
}
