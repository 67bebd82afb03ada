import type { AuditLog } from '../audit/audit-log.ts'
import { decisionEvent } from '../audit/event.ts'
import { CandidateTrial } from '../decision/candidate.ts'
import { auditUnavailable, decide } from '../decision/decide.ts'
import type { Decision } from '../decision/decision.ts'
import type { RuleSet } from '../decision/rule-set.ts'
import type { CheckResponse } from '../wire/envoy/service/auth/v3/CheckResponse.ts'
import { type CheckCall, readCheckRequest, type Reading } from './read-request.ts'
import { writeCheckResponse } from './write-response.ts'

export interface CheckParts {
  readonly rulesInForce: () => RuleSet | undefined
  /** Rules that are tried on each request and never enforced. */
  readonly candidate: () => RuleSet | undefined
  readonly auditLog: AuditLog
  readonly reading: Reading
  readonly anonymous: 'deny' | 'pass'
  readonly newId: () => string
  /** Monotonic clock, in microseconds. */
  readonly nowUs: () => number
}

export interface CheckAnswer {
  readonly response: CheckResponse
  /** What the response says. */
  readonly decision: Decision
}

/** Answers one Check. MUST NOT reject, and MUST NOT allow what is not recorded. */
export type Check = (call: CheckCall) => Promise<CheckAnswer>

export function createCheck(parts: CheckParts): Check {
  const { rulesInForce, candidate, auditLog, reading, anonymous, newId, nowUs } = parts
  const trial = new CandidateTrial(candidate, nowUs)
  return async (call) => {
    const request = readCheckRequest(call, reading)
    const options = { decisionId: newId(), nowUs, anonymous }
    const decision = trial.beside(decide(request, rulesInForce(), options), request, options)
    const late = auditUnavailable(decision)
    // Recorded before it is answered: a request that nobody can account for is never let through.
    const kept = await auditLog.append(decisionEvent(request, decision), {
      ifLate: (superseding) => decisionEvent(request, late, superseding ? { id: newId() } : undefined),
      ...(call.withinMs === undefined ? {} : { withinMs: call.withinMs }),
      ...(call.gone === undefined ? {} : { gone: call.gone }),
    })
    const answer = kept ? decision : late
    return { response: writeCheckResponse(answer, request), decision: answer }
  }
}
