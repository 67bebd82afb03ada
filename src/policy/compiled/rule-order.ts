import type { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyModel } from '../policy-model.ts'

/**
 * The rules in the order in which the effect sees them, as Casbin sorts them: by the column `priority` where there is one,
 * smallest first; under subject priority those of the subject farthest from the top of the hierarchy first; and otherwise, and
 * among equals, as they stand. A rule that stands twice counts by its first line.
 */
export async function rulesInOrder(
  model: PolicyModel,
  rows: readonly PolicyRow[],
  pace: Pace,
): Promise<readonly PolicyRow[]> {
  let rules = await withoutDuplicates(rows, pace)
  const priority = model.columns.indexOf('priority')
  if (priority !== -1) rules = await sortedBy(rules, ({ values }) => Number(values[priority]), pace)
  if (model.effect !== 'subject-priority') return rules
  const domain = model.columns.indexOf('dom')
  const levels = await subjectLevels(rows, domain, pace)
  return sortedBy(rules, ({ values }) => -(levels.get(subjectKey(values[0], values[domain])) ?? 0), pace)
}

async function withoutDuplicates(rows: readonly PolicyRow[], pace: Pace): Promise<readonly PolicyRow[]> {
  const seen = new Set<string>()
  const rules: PolicyRow[] = []
  for (const row of rows) {
    if (pace.due) await pace.rest()
    if (row.type !== 'p') continue
    // No value holds a control character.
    const key = row.values.join('\u0000')
    if (!seen.has(key)) rules.push(row)
    seen.add(key)
  }
  return rules
}

/** Equal ones stay as they stand. In groups, since a sort of all rules would hold everything up. */
async function sortedBy(
  rules: readonly PolicyRow[],
  rankOf: (rule: PolicyRow) => number,
  pace: Pace,
): Promise<readonly PolicyRow[]> {
  const groups = new Map<number, PolicyRow[]>()
  for (const rule of rules) {
    if (pace.due) await pace.rest()
    const rank = rankOf(rule)
    const group = groups.get(rank)
    if (group === undefined) groups.set(rank, [rule])
    else group.push(rule)
  }
  const ranks = Float64Array.from(groups.keys()).sort()
  const sorted: PolicyRow[] = []
  for (const rank of ranks) {
    if (pace.due) await pace.rest()
    for (const rule of groups.get(rank) ?? []) sorted.push(rule)
  }
  return sorted
}

function subjectKey(name = '', domain = ''): string {
  return `${domain}\u0000${name}`
}

/** How many links lie above each subject. Casbin follows one link of each: the last that the files name. */
async function subjectLevels(
  rows: readonly PolicyRow[],
  domain: number,
  pace: Pace,
): Promise<ReadonlyMap<string, number>> {
  const parents = new Map<string, string>()
  // In the order in which they are first named: where roles have each other, Casbin begins with the first.
  const names = new Set<string>()
  for (const { type, values } of rows) {
    if (pace.due) await pace.rest()
    if (type !== 'g') continue
    const [name, parent] = [subjectKey(values[0], values[domain]), subjectKey(values[1], values[domain])]
    parents.set(name, parent)
    names.add(name).add(parent)
  }
  const levels = new Map<string, number>()
  for (const subject of names) {
    if (pace.due) await pace.rest()
    addLevels(subject, parents, levels)
  }
  return levels
}

/** Casbin gives whoever has a role a tenth of a level before it knows the role's: this is what is left where they have each other. */
const inCycle = 0.1

function addLevels(subject: string, parents: ReadonlyMap<string, string>, levels: Map<string, number>): void {
  const path = new Set<string>()
  let at: string | undefined = subject
  for (; at !== undefined && !levels.has(at) && !path.has(at); at = parents.get(at)) path.add(at)
  let level = at === undefined ? -1 : (levels.get(at) ?? inCycle)
  for (const name of [...path].reverse()) {
    level += 1
    levels.set(name, level)
  }
}
