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

/** What is asked of the parts; telemetry knows none of them. */
export interface PartStates {
  readonly policy: {
    readonly inForce: object | null
    readonly refused: { readonly problems: readonly PolicyProblem[] } | null
  }
  /** `retryable`: the spool may write again by itself. */
  readonly spool: { readonly problem: (Fault & { readonly retryable: boolean }) | null }
  readonly sinks: ReadonlyMap<string, { readonly problem: Fault | null }>
}

/** Parts without which no request can be allowed: rules, and a disk to record it on. */
export function readinessOf({ policy, spool }: PartStates): readonly PartHealth[] {
  const unusable = `no usable policy has been loaded: ${firstProblem(policy.refused)}`
  return [
    { part: 'policy', problem: policy.inForce === null ? unusable : null },
    { part: 'spool', problem: faultText(spool.problem) },
  ]
}

/** Parts that only a new start can mend. */
export function livenessOf({ spool: { problem } }: PartStates): readonly PartHealth[] {
  return [{ part: 'spool', problem: problem?.retryable === false ? faultText(problem) : null }]
}

/** Parts that are in trouble although requests are still decided and recorded. */
export function warningsOf({ policy: { inForce, refused }, sinks }: PartStates): readonly PartHealth[] {
  const stale = inForce !== null && refused !== null
  const older = `a newer version was refused, the last good one is in force: ${firstProblem(refused)}`
  return [
    { part: 'policy', problem: stale ? older : null },
    ...[...sinks].map(([name, { problem }]) => ({ part: `sink ${name}`, problem: faultText(problem) })),
  ]
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

function firstProblem(refused: PartStates['policy']['refused']): string {
  const [first, ...others] = refused?.problems ?? []
  if (first === undefined) return 'it has not been read yet'
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`
  return `${first.file}${first.line === null ? '' : `:${first.line}`}: ${first.message}${more}`
}

function faultText(fault: Fault | null): string | null {
  return fault === null ? null : `${fault.message} (${fault.code})`
}
