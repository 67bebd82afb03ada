import type { PolicyData } from '../audit/event-data.ts'
import type { LoadedPolicy, RefusedPolicy } from './load.ts'
import type { PolicyRow } from './parse/parse-rules.ts'
import type { PolicyAuthor } from './source/manifest.ts'
import type { Snapshot } from './source/source.ts'

/** Problems that one event holds at most. */
export const maxProblemsInEvent = 50

/** What a load may say beside the rules. */
interface Said {
  readonly author?: PolicyAuthor | null
}

/** What the audit event says of a policy that is put in force. Rules are counted as texts: a moved line is no change. */
export function changeBetween(
  previous: LoadedPolicy | undefined,
  next: LoadedPolicy & Said,
  origin: PolicyData['origin'] = 'folder',
): PolicyData {
  const before = previous?.rows ?? []
  return {
    change: 'loaded',
    origin,
    candidate: false,
    policyVersion: next.snapshot.policyVersion,
    previousVersion: previous?.snapshot.policyVersion ?? null,
    files: filesOf(next.snapshot),
    ...authorOf(next),
    rules: { added: missingFrom(before, next.rows), removed: missingFrom(next.rows, before), total: next.rows.length },
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
    ...authorOf({}),
    rules: { added: 0, removed: 0, total: inForce?.rows.length ?? 0 },
    problems: refused.problems.slice(0, maxProblemsInEvent),
  }
}

/** What the audit event says of a candidate; it is compared with the policy in force, beside which it is evaluated. */
export function candidateChange(inForce: LoadedPolicy | undefined, candidate: LoadedPolicy): PolicyData {
  return { ...changeBetween(inForce, candidate), change: 'candidate-loaded', candidate: true }
}

/** What the audit event says of a candidate that is gone; its rule counts are those of the policy in force. */
export function candidateRemoval(inForce: LoadedPolicy | undefined, policyVersion: string | null): PolicyData {
  const removed = refusalOf(inForce, { ok: false, problems: [] }, { candidate: true })
  return { ...removed, change: 'candidate-removed', policyVersion }
}

function authorOf({ author }: Said): Pick<PolicyData, 'author' | 'ticket' | 'signedBy'> {
  return { author: author?.author ?? null, ticket: author?.ticket ?? null, signedBy: author?.signedBy ?? [] }
}

function filesOf(snapshot: Snapshot): PolicyData['files'] {
  return snapshot.files.map(({ name, sha256 }) => ({ name, sha256 }))
}

/** How many of `rows` are not among `others`, a rule that stands twice counting twice. */
function missingFrom(others: readonly PolicyRow[], rows: readonly PolicyRow[]): number {
  const left = new Map<string, number>()
  for (const row of others) left.set(keyOf(row), (left.get(keyOf(row)) ?? 0) + 1)
  let missing = 0
  for (const row of rows) {
    const count = left.get(keyOf(row)) ?? 0
    if (count === 0) missing += 1
    else left.set(keyOf(row), count - 1)
  }
  return missing
}

function keyOf({ type, values }: PolicyRow): string {
  return JSON.stringify([type, ...values])
}
