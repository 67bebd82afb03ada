import type { PolicyData } from '../../audit/event-data.ts'
import type { LoadedPolicy, RefusedPolicy } from '../load.ts'
import { Pace } from '../pace.ts'
import type { PolicyRow } from '../parse/parse-rules.ts'
import type { PolicyAuthor } from '../source/manifest.ts'
import type { Snapshot } from '../source/source.ts'

/** Problems that one event holds at most. */
export const maxProblemsInEvent = 50

/** What the audit event says of a policy that is put in force. Rules are counted as texts: a moved line is no change. */
export async function changeBetween(
  previous: LoadedPolicy | undefined,
  next: LoadedPolicy,
  origin: PolicyData['origin'] = 'folder',
): Promise<PolicyData> {
  const { added, removed } = await difference(previous?.rows ?? [], next.rows, new Pace())
  return {
    change: 'loaded',
    origin,
    candidate: false,
    policyVersion: next.snapshot.policyVersion,
    previousVersion: previous?.snapshot.policyVersion ?? null,
    files: filesOf(next.snapshot),
    ...authorOf(next.author),
    rules: { added, removed, total: next.rows.length },
    problems: [],
  }
}

/** What the audit event says of a policy that is refused; its rule counts are those of the policy that stays in force. */
export function refusalOf(
  inForce: LoadedPolicy | undefined,
  refused: RefusedPolicy,
  { origin = 'folder', candidate = false }: Partial<Pick<PolicyData, 'origin' | 'candidate'>> = {},
): PolicyData {
  return {
    change: 'rejected',
    origin,
    candidate,
    policyVersion: refused.snapshot?.policyVersion ?? null,
    previousVersion: inForce?.snapshot.policyVersion ?? null,
    files: refused.snapshot === undefined ? [] : filesOf(refused.snapshot),
    ...authorOf(null),
    rules: { added: 0, removed: 0, total: inForce?.rows.length ?? 0 },
    problems: refused.problems.slice(0, maxProblemsInEvent),
  }
}

/** What the audit event says of a candidate; it is compared with the policy in force, beside which it is evaluated. */
export async function candidateChange(inForce: LoadedPolicy | undefined, candidate: LoadedPolicy): Promise<PolicyData> {
  return { ...(await changeBetween(inForce, candidate)), change: 'candidate-loaded', candidate: true }
}

/** What the audit event says of a candidate that is gone; its rule counts are those of the policy in force. */
export function candidateRemoval(inForce: LoadedPolicy | undefined, policyVersion: string | null): PolicyData {
  const removed = refusalOf(inForce, { ok: false, problems: [] }, { candidate: true })
  return { ...removed, change: 'candidate-removed', policyVersion }
}

function authorOf(author: PolicyAuthor | null): Pick<PolicyData, 'author' | 'ticket' | 'signedBy'> {
  return { author: author?.author ?? null, ticket: author?.ticket ?? null, signedBy: author?.signedBy ?? [] }
}

function filesOf(snapshot: Snapshot): PolicyData['files'] {
  return snapshot.files.map(({ name, sha256 }) => ({ name, sha256 }))
}

/** How many rows only the one or only the other has, a rule that stands twice counting twice. */
async function difference(
  before: readonly PolicyRow[],
  after: readonly PolicyRow[],
  pace: Pace,
): Promise<{ added: number; removed: number }> {
  const left = new Map<string, number>()
  for (const row of before) {
    if (pace.due) await pace.rest()
    const key = keyOf(row)
    left.set(key, (left.get(key) ?? 0) + 1)
  }
  let [added, removed] = [0, before.length]
  for (const row of after) {
    if (pace.due) await pace.rest()
    const key = keyOf(row)
    const count = left.get(key) ?? 0
    if (count === 0) added += 1
    else {
      left.set(key, count - 1)
      removed -= 1
    }
  }
  return { added, removed }
}

/** No value holds the character that joins them: files with NUL bytes are refused. */
function keyOf({ type, values }: PolicyRow): string {
  return `${type}\0${values.join('\0')}`
}
