import type { PolicyData } from '../audit/event-data.ts'
import type { LoadedPolicy, RefusedPolicy } from './load.ts'
import { Pace } from './pace.ts'
import type { PolicyRow } from './parse/parse-rules.ts'
import type { PolicyAuthor } from './source/manifest.ts'
import type { Snapshot } from './source/source.ts'

/** Problems that one event holds at most. */
export const maxProblemsInEvent = 50

/** What the audit event says of a policy that is put in force. Rules are counted as texts: a moved line is no change. */
export async function changeBetween(
  previous: LoadedPolicy | undefined,
  next: LoadedPolicy,
  origin: PolicyData['origin'] = 'folder',
): Promise<PolicyData> {
  const [before, pace] = [previous?.rows ?? [], new Pace()]
  const added = await missingFrom(before, next.rows, pace)
  const removed = await missingFrom(next.rows, before, pace)
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

/** How many of `rows` are not among `others`, a rule that stands twice counting twice. */
async function missingFrom(others: readonly PolicyRow[], rows: readonly PolicyRow[], pace: Pace): Promise<number> {
  const left = new Map<string, number>()
  for (const row of others) {
    if (pace.due) await pace.rest()
    left.set(keyOf(row), (left.get(keyOf(row)) ?? 0) + 1)
  }
  let missing = 0
  for (const row of rows) {
    if (pace.due) await pace.rest()
    const count = left.get(keyOf(row)) ?? 0
    if (count === 0) missing += 1
    else left.set(keyOf(row), count - 1)
  }
  return missing
}

function keyOf({ type, values }: PolicyRow): string {
  return JSON.stringify([type, ...values])
}
