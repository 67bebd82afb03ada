import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

// What the log and the metrics are told of policies. What did not change is not told again.

interface Loaded {
  readonly policyVersion: string
  /** Rules and role links. */
  readonly rules: number
  readonly warnings: number
  readonly since: Date
  readonly tookMs: number
}

interface Refused {
  readonly policyVersion: string | null
  readonly problems: readonly object[]
}

interface PolicyNews {
  readonly inForce: (Loaded & { readonly origin: string }) | null
  readonly refused: Refused | null
  /** What is wrong with the copy of the last good policy. */
  readonly copyProblem: string | null
}

interface CandidateNews {
  readonly loaded: Loaded | null
  readonly refused: Refused | null
}

/** Problems that one line of the log holds at most; a refused version can have thousands. */
const maxLogged = 20

/** Tells of each change of the policy: another version in force, one that was refused, a copy that cannot be kept. */
export function policyTeller(metrics: Metrics, log: Log): (news: PolicyNews) => void {
  let told: PolicyNews = { inForce: null, refused: null, copyProblem: null }
  return (news) => {
    const { inForce, refused, copyProblem } = news
    metrics.set('countersign_policy_problems', {}, refused?.problems.length ?? 0)
    metrics.set('countersign_policy_last_good', {}, inForce?.origin === 'last-good' ? 1 : 0)
    metrics.set('countersign_policy_copy_failing', {}, copyProblem === null ? 0 : 1)
    if (inForce !== null && inForce !== told.inForce) tellInForce(inForce, metrics, log)
    else if (refused === null && told.refused !== null) log('info', 'the policy in force stands in its folder again')
    if (refused !== null && refused !== told.refused) {
      metrics.count('countersign_policy_rejected_total', {})
      log('error', 'policy refused', refusedFields(refused))
    }
    if (copyProblem !== null && copyProblem !== told.copyProblem) {
      log('warn', 'the last good policy is not kept', { problem: copyProblem })
    }
    told = news
  }
}

function tellInForce(inForce: NonNullable<PolicyNews['inForce']>, metrics: Metrics, log: Log): void {
  metrics.reset('countersign_policy_in_force')
  metrics.set('countersign_policy_in_force', { version: inForce.policyVersion }, 1)
  metrics.set('countersign_policy_warnings', {}, inForce.warnings)
  metrics.set('countersign_policy_loaded_timestamp_seconds', {}, inForce.since.getTime() / 1000)
  const copy = inForce.origin === 'last-good'
  const message = copy ? 'the last good policy is in force: its folder has no usable one' : 'policy in force'
  log(copy ? 'warn' : 'info', message, loadedFields(inForce))
}

/** Tells of each change of the candidate. */
export function candidateTeller(metrics: Metrics, log: Log): (news: CandidateNews) => void {
  let told: CandidateNews = { loaded: null, refused: null }
  return (news) => {
    const { loaded, refused } = news
    metrics.set('countersign_candidate_problems', {}, refused?.problems.length ?? 0)
    metrics.set('countersign_candidate_warnings', {}, loaded?.warnings ?? 0)
    if (loaded !== told.loaded) {
      metrics.reset('countersign_candidate_loaded')
      if (loaded === null) log('info', 'candidate policy removed')
      else {
        metrics.set('countersign_candidate_loaded', { version: loaded.policyVersion }, 1)
        metrics.set('countersign_candidate_loaded_timestamp_seconds', {}, loaded.since.getTime() / 1000)
        log('info', 'candidate policy loaded', loadedFields(loaded))
      }
    }
    if (refused !== null && refused !== told.refused) {
      metrics.count('countersign_candidate_rejected_total', {})
      log('warn', 'candidate policy refused', refusedFields(refused))
    }
    told = news
  }
}

function loadedFields({ policyVersion, rules, warnings, tookMs }: Loaded): object {
  return { policyVersion, rules, warnings, tookMs: Math.round(tookMs) }
}

function refusedFields({ policyVersion, problems }: Refused): object {
  return { policyVersion, count: problems.length, problems: problems.slice(0, maxLogged) }
}
