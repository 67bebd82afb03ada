import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

// What goes around the stories, so that none of them has a branch about metrics or the log.

interface Answered {
  readonly decision: { readonly effect: string; readonly reason: string; readonly detail?: string }
}

/** Faults that come in a flood are told once in this time. */
const faultsMs = 1000

/** Measures what answers checks, and tells the log why a decision failed. */
export function measured<Call, Answer extends Answered>(
  check: (call: Call) => Promise<Answer>,
  metrics: Metrics,
  log: Log,
): (call: Call) => Promise<Answer> {
  let quietUntilMs = 0
  return async (call) => {
    const startedMs = performance.now()
    const answer = await check(call)
    const { effect, reason, detail } = answer.decision
    if (reason === 'DECISION_FAULT' && startedMs >= quietUntilMs) {
      quietUntilMs = startedMs + faultsMs
      log('warn', 'a decision failed: the request was denied', { problem: detail })
    }
    metrics.count('countersign_checks_total', { effect, reason })
    metrics.observe('countersign_check_duration_seconds', (performance.now() - startedMs) / 1000)
    return answer
  }
}

/** Counts one access-log entry; those of outbound listeners have no mediation. */
export function countEntry(
  { mediation, phase }: { readonly mediation: string | null; readonly phase: string },
  metrics: Metrics,
): void {
  metrics.count('countersign_access_log_entries_total', { mediation: mediation ?? 'none', phase })
}

interface PolicyNews {
  readonly inForce: { readonly policyVersion: string; readonly rules: number } | null
  readonly refused: { readonly policyVersion: string | null; readonly problems: readonly object[] } | null
}

/** Tells of a change of the policy: another version in force, or one that was refused. */
export function tellPolicy({ inForce, refused }: PolicyNews, metrics: Metrics, log: Log): void {
  metrics.reset('countersign_policy_in_force')
  if (inForce !== null) metrics.set('countersign_policy_in_force', { version: inForce.policyVersion }, 1)
  if (refused === null) {
    log('info', 'policy in force', { policyVersion: inForce?.policyVersion, rules: inForce?.rules })
    return
  }
  metrics.count('countersign_policy_rejected_total', {})
  log('error', 'policy refused', { policyVersion: refused.policyVersion, problems: refused.problems })
}
