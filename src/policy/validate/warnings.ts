import { rulesInOrder } from '../compiled/rule-order.ts'
import type { Pace } from '../pace.ts'
import { placeIn } from '../parse/parse-model.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'
import { warning, type PolicyProblem } from '../problem.ts'
import { modelFile } from '../source/source.ts'
import { Covering } from './covering.ts'
import { warnOfPatterns } from './pattern-width.ts'
import { roleLinksOf } from './role-links.ts'
import type { CheckedPolicy } from './validate.ts'
import { warnOfCycles, warnOfEmptyRoles, warnOfUselessRoles, liveNames } from './warn-roles.ts'
import { warnOfCovered, warnOfRepeated } from './warn-rules.ts'
import { warnOfMatcher } from './warn-matcher.ts'
import { warnOfValues } from './warn-values.ts'
import { WiderValues } from './wider-values.ts'

/** What a setting asks of a policy. */
export interface PolicyLimits {
  /** Segments that a path or SPIFFE pattern has to fix before its first wildcard; 0 permits all. */
  readonly minPatternSegments: number
}

export const noLimits: PolicyLimits = { minPatternSegments: 0 }

/** Warnings of one code that are kept; one more says how many are not. */
export const maxWarnings = 1_000

/** Takes a warning. */
export type Warn = (warning: PolicyProblem) => void

/**
 * What is worth a look in a checked policy, in the order of files and lines; never an error. Each warning is true (a rule that is said
 * to be covered is), but not everything is found. `ordered` are the rules as `rulesInOrder` gives them, where that is known. Takes time near to linear in the rules.
 */
export async function warningsOf(
  { model, rows }: CheckedPolicy,
  pace: Pace,
  ordered?: readonly PolicyRow[],
): Promise<PolicyProblem[]> {
  const kept = new KeptWarnings()
  const warn: Warn = (found) => {
    kept.add(found)
  }
  if (!rows.some(({ type }) => type === 'p')) {
    warn(warning('*.csv', null, 'NO_RULES', 'the policy has no rule: everything is denied'))
  }
  warnOfMatcher(model, warn)
  const links = await roleLinksOf(model.roles.keys(), rows, pace)
  const covering = new Covering(model, links, await liveNames(model, links, pace))
  await warnOfRepeated(rows, warn, pace)
  const rules = ordered ?? (await rulesInOrder(model, rows, pace))
  await warnOfCovered(model, rules, covering, await WiderValues.prepare(model, rows, links, pace), warn, pace)
  await warnOfEmptyRoles(model, rows, links, warn, pace)
  await warnOfUselessRoles(model, rows, links, warn, pace)
  await warnOfCycles(links, warn, pace)
  await warnOfValues(model, rows, links, warn, pace)
  await warnOfPatterns(model, rows, warn, pace)
  return kept.all()
}

/** As many warnings of each code as are kept, and how many more there are. */
class KeptWarnings {
  readonly #byCode = new Map<string, { readonly first: PolicyProblem[]; more: number }>()

  add(found: PolicyProblem): void {
    const same = this.#byCode.get(found.code) ?? { first: [], more: 0 }
    this.#byCode.set(found.code, same)
    if (same.first.length < maxWarnings) same.first.push(found)
    else same.more += 1
  }

  /** By place; what is left out is counted at the end. */
  all(): PolicyProblem[] {
    const all = [...this.#byCode.values()]
    const cut = all.flatMap(({ first: [one], more }) => {
      if (one === undefined || more === 0) return []
      return [{ ...one, line: null, column: null, message: `… and ${String(more)} more of ${one.code}` }]
    })
    return [...all.flatMap(({ first }) => first).sort(byPlace), ...cut]
  }
}

/** What the compiled index says that it cannot help with. */
export function scanWarnings(
  { definitions }: PolicyModel,
  scans: readonly { readonly condition: string; readonly rules: number }[],
): PolicyProblem[] {
  const matcher = definitions.find(({ section }) => section === 'm')
  const { line, column } = matcher === undefined ? { line: null, column: null } : placeIn(matcher, 0)
  return scans.map(({ condition, rules }) => {
    const message = `no index picks rules by ${condition === '' ? 'the matcher' : condition}: up to ${String(rules)} rules are asked one by one for each request`
    return warning(modelFile, line, 'NOT_INDEXED', message, column)
  })
}

/** The model first, since its problems cause others; then as the files are read. */
export function byPlace(a: PolicyProblem, b: PolicyProblem): number {
  if (a.file !== b.file) return rank(a.file) - rank(b.file) || (a.file < b.file ? -1 : 1)
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0)
}

function rank(file: string): number {
  return file === modelFile ? 0 : 1
}
