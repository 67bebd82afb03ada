import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import type { DenyReason } from '../../src/decision/decision.ts'
import { CandidateTrial } from '../../src/decision/candidate.ts'
import { auditUnavailable, decide, type DecideOptions } from '../../src/decision/decide.ts'
import type { RuleSet } from '../../src/decision/rule-set.ts'
import { anyRequest, ordersRequest, requestFrom } from '../cases/access-requests.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'

const candidateVersion = `sha256:${'6a'.repeat(32)}`
const options: DecideOptions = { decisionId: 'id', nowUs: () => 0, anonymous: 'deny' }
const inForce = ruleSetThat(() => allowed)
const denies = { effect: 'deny', rule: null, roles: [] } as const

function candidateThat(answers: () => ReturnType<RuleSet['evaluate']>): RuleSet {
  return { ...ruleSetThat(answers), policyVersion: candidateVersion }
}

function besideOf(rules: RuleSet | undefined, request = ordersRequest) {
  const trial = new CandidateTrial(() => rules, options.nowUs)
  return trial.beside(decide(request, inForce, options), request, options)
}

describe('a candidate', () => {
  test('adds what it would have decided, with its own version, and changes nothing else', () => {
    expect(besideOf(candidateThat(() => denies))).toEqual({
      ...decide(ordersRequest, inForce, options),
      candidate: { effect: 'deny', reason: 'NO_MATCHING_RULE', policyVersion: candidateVersion },
    })
  })

  test('that is not there adds nothing', () => {
    expect(besideOf(undefined)).toEqual(decide(ordersRequest, inForce, options))
    expect(besideOf(undefined)).not.toHaveProperty('candidate')
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    [
      'throws what is no error',
      () => {
        throw 'broken' as unknown as Error
      },
    ],
    ['answers nothing', () => undefined as never],
    ['allows without a rule', () => ({ effect: 'allow', rule: null, roles: [] }) as never],
  ])('that %s has a denial of its own, and the decision stays', (_, answers) => {
    expect(besideOf(candidateThat(answers))).toMatchObject({
      ...{ effect: 'allow', reason: 'ALLOWED_BY_RULE' },
      candidate: { effect: 'deny', reason: 'DECISION_FAULT', policyVersion: candidateVersion },
    })
  })

  test.each<[who: string, request: AccessRequest, reason: DenyReason]>([
    ['a caller without a principal', requestFrom(''), 'PRINCIPAL_MISSING'],
    ['a caller of a foreign trust domain', requestFrom('spiffe://foreign.example/ns/a/sa/b'), 'TRUST_DOMAIN_UNKNOWN'],
    [
      'a message that forbids an allow',
      { ...ordersRequest, refusal: { reason: 'PATH_SUSPICIOUS', detail: 'x' } },
      'PATH_SUSPICIOUS',
    ],
  ])('is not asked about %s: it is the same denial', (_, request, reason) => {
    const rules = ruleSetThat(() => allowed)
    const decision = besideOf(rules, request)
    expect(decision).toMatchObject({ effect: 'deny', reason, candidate: { effect: 'deny', reason } })
    expect(rules.asked).toEqual([])
  })

  test('is the same denial where the decision could not be recorded', () => {
    const late = auditUnavailable(besideOf(candidateThat(() => allowed)))
    expect(late.candidate).toEqual({ effect: 'deny', reason: 'AUDIT_UNAVAILABLE', policyVersion: candidateVersion })
    expect(auditUnavailable(besideOf(undefined))).not.toHaveProperty('candidate')
  })

  test('changes no decision on any request, whatever it does', () => {
    const answers = fc.constantFrom(
      () => allowed,
      () => denies,
      () => {
        throw new Error('broken')
      },
    )
    fc.assert(
      fc.property(anyRequest, answers, (request, answer) => {
        const { candidate, ...decision } = besideOf(candidateThat(answer), request)
        expect(decision).toEqual(decide(request, inForce, options))
        expect(candidate?.effect).toBeDefined()
      }),
    )
  })
})

describe('a candidate that is slow', () => {
  /** Each evaluation takes `costUs`; between two requests `restUs` pass. Says of which requests it was asked. */
  function asked(costUs: number, restUs: number, requests: number): boolean[] {
    let clock = 0
    const nowUs = () => clock
    const rules = candidateThat(() => {
      clock += costUs
      return allowed
    })
    const trial = new CandidateTrial(() => rules, nowUs)
    const decision = decide(ordersRequest, inForce, options)
    return Array.from({ length: requests }, () => {
      clock += restUs
      return trial.beside(decision, ordersRequest, { ...options, nowUs }).candidate !== null
    })
  }
  const count = (list: readonly boolean[]) => list.filter(Boolean).length

  test('takes a fifth of all time at most, and is said not to have been asked of the rest', () => {
    const [costUs, restUs] = [8_000, 1_000]
    const answers = asked(costUs, restUs, 10_000)
    const spentUs = count(answers) * costUs
    const allUs = spentUs + 10_000 * restUs
    expect(answers.slice(0, 5)).not.toContain(false)
    expect(spentUs / allUs).toBeGreaterThan(0.15)
    expect(spentUs).toBeLessThanOrEqual(0.2 * allUs + 250_000 + costUs)
  })

  test.each([11_000, 700_000])('in single evaluations of %d µs takes a hundredth of all time at most', (costUs) => {
    const [restUs, requests] = [10_000, 100_000]
    const answers = asked(costUs, restUs, requests)
    const allUs = count(answers) * costUs + requests * restUs
    expect(answers[0]).toBe(true)
    expect(count(answers) * costUs).toBeLessThanOrEqual(0.01 * allUs + 250_000 + costUs)
    expect(count(answers)).toBeGreaterThan(1)
  })

  test('is asked once at a time: after an evaluation of half a second it rests for fifty', () => {
    const answers = asked(500_000, 1_000_000, 60)
    expect(answers.flatMap((wasAsked, second) => (wasAsked ? [second] : []))).toEqual([0, 49])
  })

  test('is not the one that takes microseconds: it is asked of every request', () => {
    expect(asked(20, 80, 20_000)).not.toContain(false)
  })
})
