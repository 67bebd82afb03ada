import type { AccessRequest } from './access-request.ts'
import { decide, type DecideOptions } from './decide.ts'
import type { CandidateDecision, Decision } from './decision.ts'
import type { RuleSet } from './rule-set.ts'

/** The share of all time that a candidate may take for itself. */
const share = 0.2
/** What it may take at a stretch after a rest, in microseconds. */
const stretchUs = 250_000
/** One evaluation that takes longer than this, in microseconds, … */
const slowUs = 10_000
/** … counts so many times: while it runs nobody else is answered, so such a candidate gets a hundredth of all time. */
const slowWeight = 20

/**
 * Adds to decisions what a candidate policy would have decided of the same requests. MUST NOT change a decision, and MUST
 * NOT throw: what goes wrong in the candidate is its own `DECISION_FAULT`. A candidate that is slow is asked of fewer
 * requests (`candidate: null`): of all time it takes a fifth at most, and a hundredth where single evaluations are long.
 * One evaluation is not interrupted: that long it can delay the answers behind it.
 */
export class CandidateTrial {
  readonly #candidate: () => RuleSet | undefined
  readonly #nowUs: () => number
  #leftUs = stretchUs
  #atUs: number

  /** `nowUs` is a monotonic clock, in microseconds. */
  constructor(candidate: () => RuleSet | undefined, nowUs: () => number) {
    this.#candidate = candidate
    this.#nowUs = nowUs
    this.#atUs = nowUs()
  }

  /** The decision as it is where there is no candidate. */
  beside(decision: Decision, request: AccessRequest, options: DecideOptions): Decision {
    const rules = this.#candidate()
    return rules === undefined ? decision : { ...decision, candidate: this.#judge(request, rules, options) }
  }

  #judge(request: AccessRequest, rules: RuleSet, options: DecideOptions): CandidateDecision | null {
    const startUs = this.#nowUs()
    this.#leftUs = Math.min(stretchUs, this.#leftUs + (startUs - this.#atUs) * share)
    this.#atUs = startUs
    if (this.#leftUs <= 0) return null
    const { effect, reason, policyVersion } = decide(request, rules, options)
    const tookUs = this.#nowUs() - startUs
    this.#leftUs -= tookUs > slowUs ? tookUs * slowWeight : tookUs
    return { effect, reason, policyVersion }
  }
}
