import type { Log } from './log.ts'

/** One part's word on whether it can do its work. */
export interface PartHealth {
  readonly part: string
  /** What is wrong, or null. */
  readonly problem: string | null
}

interface Fault {
  readonly code: string
  readonly message: string
}

interface PolicyProblem {
  readonly file: string
  readonly line: number | null
  readonly message: string
}

interface Refused {
  readonly problems: readonly PolicyProblem[]
}

/** What is asked of the parts; telemetry knows none of them. */
export interface PartStates {
  /** Set once the server has begun to stop. */
  readonly stopping: boolean
  readonly policy: {
    readonly inForce: { readonly policyVersion: string; readonly since: Date; readonly origin: string } | null
    readonly refused: Refused | null
    /** What is wrong with the copy of the last good policy. */
    readonly copyProblem: string | null
    readonly candidate: { readonly refused: Refused | null }
  }
  /** `retryable`: the spool may write again by itself. */
  readonly spool: { readonly problem: (Fault & { readonly retryable: boolean }) | null }
  readonly sinks: ReadonlyMap<string, { readonly problem: Fault | null; readonly topicProblems: readonly string[] }>
}

/** Parts without which no request can be allowed: rules, and a place to record it in time. */
export function readinessOf({ stopping, policy, spool }: PartStates): readonly PartHealth[] {
  const unusable = `no usable policy has been loaded: ${firstProblem(policy.refused)}`
  return [
    { part: 'server', problem: stopping ? 'it is stopping' : null },
    { part: 'policy', problem: policy.inForce === null ? unusable : null },
    { part: 'spool', problem: faultText(spool.problem) },
  ]
}

/** Parts that only a new start can mend. */
export function livenessOf({ spool: { problem } }: PartStates): readonly PartHealth[] {
  return [{ part: 'spool', problem: problem?.retryable === false ? faultText(problem) : null }]
}

/** Parts that are in trouble although requests are still decided and recorded. */
export function warningsOf({ policy, sinks }: PartStates): readonly PartHealth[] {
  const { refused } = policy.candidate
  return [
    { part: 'policy', problem: olderInForce(policy) },
    { part: 'policy copy', problem: policy.copyProblem },
    { part: 'policy candidate', problem: refused && `the candidate’s version is refused: ${firstProblem(refused)}` },
    ...[...sinks].map(([name, { problem, topicProblems }]) => ({
      part: `sink ${name}`,
      problem: faultText(problem) ?? (topicProblems.length === 0 ? null : `its topic: ${topicProblems.join('; ')}`),
    })),
  ]
}

function olderInForce({ inForce, refused }: PartStates['policy']): string | null {
  if (inForce === null || (refused === null && inForce.origin !== 'last-good')) return null
  const { policyVersion, since, origin } = inForce
  const from = origin === 'last-good' ? ', from the copy that was kept' : ''
  const good = `last good version ${policyVersion} in force since ${since.toISOString()}${from}`
  if (refused === null) return `${good}; the folder’s is not loaded yet`
  const count = refused.problems.length === 1 ? '1 problem' : `${refused.problems.length} problems`
  return `${good}; the folder’s is refused, ${count}: ${firstProblem(refused)}`
}

export function isReady(states: PartStates): boolean {
  return readinessOf(states).every(({ problem }) => problem === null)
}

/** Says whether the server is ready each time it is asked, and tells the log when that, or the parts in trouble, changed. */
export function readinessTeller(log: Log): (states: PartStates) => boolean {
  let told: string | undefined
  return (states) => {
    const problems = readinessOf(states).filter(({ problem }) => problem !== null)
    const parts = problems.map(({ part }) => part).join()
    if (parts !== told && problems.length > 0) log('error', 'not ready: requests are denied', { problems })
    if (parts !== told && problems.length === 0) log('info', 'ready')
    told = parts
    return problems.length === 0
  }
}

function firstProblem(refused: Refused | null): string {
  const [first, ...others] = refused?.problems ?? []
  if (first === undefined) return 'it has not been read yet'
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  return `${first.file}${first.line === null ? '' : `:${first.line}`}: ${first.message}${more}`
}

function faultText(fault: Fault | null): string | null {
  return fault === null ? null : `${fault.message} (${fault.code})`
}
