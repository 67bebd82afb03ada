import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

// What goes around the stories, so that none of them has a branch about metrics or the log.

interface Answered {
  readonly decision: {
    readonly effect: string
    readonly reason: string
    readonly detail?: string
    readonly candidate?: { readonly effect: string } | null
  }
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
    const { effect, reason, detail, candidate } = answer.decision
    if (reason === 'DECISION_FAULT' && startedMs >= quietUntilMs) {
      quietUntilMs = startedMs + faultsMs
      log('warn', 'a decision failed: the request was denied', { problem: detail })
    }
    metrics.count('countersign_checks_total', { effect, reason })
    if (candidate !== undefined) {
      metrics.count('countersign_candidate_decisions_total', { agreement: agreementOf(effect, candidate) })
    }
    metrics.observe('countersign_check_duration_seconds', (performance.now() - startedMs) / 1000)
    return answer
  }
}

function agreementOf(effect: string, candidate: { readonly effect: string } | null): string {
  if (candidate === null) return 'not_asked'
  if (candidate.effect === effect) return 'same'
  return candidate.effect === 'allow' ? 'would_allow' : 'would_deny'
}

/** Counts one access-log entry; those of outbound listeners have no mediation. */
export function countEntry(
  { mediation, phase }: { readonly mediation: string | null; readonly phase: string },
  metrics: Metrics,
): void {
  metrics.count('countersign_access_log_entries_total', { mediation: mediation ?? 'none', phase })
}
