import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { v7 as uuidv7 } from 'uuid'
import { type Check, type CheckParts, createCheck } from '../../src/check/check.ts'
import type { CheckCall } from '../../src/check/read-request.ts'
import { allowed, policyVersion, readRule, ruleSetThat } from '../cases/rule-sets.ts'
import { FakeAuditLog } from '../fakes/audit-log.ts'
import { anyCheckRequest } from './any-check-request.ts'
import { asEnvoyReads, callWith, checkMethod, httpAttributes, httpCall, reading, received } from './calls.ts'

const allowing = (): ReturnType<typeof ruleSetThat> => ruleSetThat(() => allowed)

function checkOf(auditLog: FakeAuditLog, parts: Partial<CheckParts> = {}): Check {
  const rules = allowing()
  const common = {
    rulesInForce: () => rules,
    candidate: () => undefined,
    reading,
    anonymous: 'deny',
    newId: () => uuidv7(),
    nowUs: () => 0,
  } as const
  return createCheck({ ...common, auditLog, ...parts })
}

const fromNobody = (): CheckCall => callWith({ ...httpAttributes(), source: {} })

describe('a decision that is kept', () => {
  test('is answered as it stands in the trail', async () => {
    const log = new FakeAuditLog()
    const { response, decision } = await checkOf(log)(httpCall())
    expect(decision).toMatchObject({ effect: 'allow', reason: 'ALLOWED_BY_RULE', rule: readRule, policyVersion })
    expect(asEnvoyReads(response).status).toEqual({ code: 0 })
    expect(log.decisions).toMatchObject([
      {
        id: decision.decisionId,
        data: { decisionId: decision.decisionId, effect: 'allow', reason: 'ALLOWED_BY_RULE', supersedes: false },
      },
    ])
  })

  test('is recorded before it is answered', async () => {
    const log = new FakeAuditLog()
    let recorded: (kept: boolean) => void = () => undefined
    const held = new Promise<boolean>((resolve) => (recorded = resolve))
    let answered = false
    const answer = checkOf(log, {
      auditLog: { append: () => held, record: () => held, room: () => Promise.resolve() },
    })(httpCall()).then((given) => {
      answered = true
      return given
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(answered).toBe(false)
    recorded(true)
    expect((await answer).decision.effect).toBe('allow')
  })

  test('may be as late as the caller can wait', async () => {
    const log = new FakeAuditLog()
    const check = checkOf(log)
    await check({ ...httpCall(), withinMs: 70 })
    await check({ ...httpCall(), withinMs: 0 })
    await check(httpCall())
    expect(log.appended.map(({ withinMs }) => withinMs)).toEqual([70, 0, undefined])
    expect(log.appended[2]).not.toHaveProperty('withinMs')
  })
})

describe('a decision that is not kept', () => {
  test('is a denial, and where it was withdrawn the denial has its id', async () => {
    const log = new FakeAuditLog('withdraws')
    const { response, decision } = await checkOf(log)(httpCall())
    expect(decision).toMatchObject({ effect: 'deny', reason: 'AUDIT_UNAVAILABLE', rule: null, policyVersion })
    const read = asEnvoyReads(response)
    expect(read).toMatchObject({ status: { code: 14 }, denied_response: { status: { code: 'ServiceUnavailable' } } })
    expect(log.decisions).toMatchObject([
      { id: decision.decisionId, data: { effect: 'deny', reason: 'AUDIT_UNAVAILABLE', supersedes: false } },
    ])
  })

  test('is superseded by a record of its own id where it stands already', async () => {
    const log = new FakeAuditLog('supersedes')
    const { decision } = await checkOf(log)(httpCall())
    expect(decision).toMatchObject({ effect: 'deny', reason: 'AUDIT_UNAVAILABLE' })
    const [first, second] = log.decisions
    expect(first).toMatchObject({ id: decision.decisionId, data: { effect: 'allow', supersedes: false } })
    expect(second?.id).not.toBe(first?.id)
    expect(second?.data).toMatchObject({
      ...{ decisionId: decision.decisionId, effect: 'deny', reason: 'AUDIT_UNAVAILABLE', supersedes: true },
      ...{ subject: first?.data.subject, resource: first?.data.resource, policyVersion },
    })
  })

  test('is never an allow, whatever it was and whatever becomes of it', async () => {
    await fc.assert(
      fc.asyncProperty(anyCheckRequest, fc.constantFrom('withdraws', 'supersedes'), async (message, behaviour) => {
        const call = received(checkMethod.requestSerialize(message))
        const { response, decision } = await checkOf(new FakeAuditLog(behaviour), { anonymous: 'pass' })(call)
        expect(decision).toMatchObject({ effect: 'deny', reason: 'AUDIT_UNAVAILABLE' })
        expect(asEnvoyReads(response).status?.code).toBe(14)
      }),
    )
  })
})

describe('denies, and records why', () => {
  const reasonFor = async (call: CheckCall, parts: Partial<CheckParts> = {}): Promise<unknown> => {
    const log = new FakeAuditLog()
    const { decision } = await checkOf(log, parts)(call)
    expect(log.decisions).toMatchObject([
      { id: decision.decisionId, data: { effect: 'deny', reason: decision.reason } },
    ])
    return decision.reason
  }

  test('without a policy', async () => {
    expect(await reasonFor(httpCall(), { rulesInForce: () => undefined })).toBe('POLICY_UNAVAILABLE')
  })

  test('bytes that are no message', async () => {
    expect(await reasonFor(received(Buffer.from('GET / HTTP/1.1')))).toBe('REQUEST_MALFORMED')
  })

  test('a caller without a certificate', async () => {
    expect(await reasonFor(fromNobody())).toBe('PRINCIPAL_MISSING')
  })

  test.each([
    [
      'throw',
      (): never => {
        throw new Error('broken')
      },
    ],
    [
      'throw what is no error',
      (): never => {
        throw 'broken' as unknown as Error
      },
    ],
    ['answer nothing', () => undefined as never],
    ['allow without a rule', () => ({ effect: 'allow', rule: null, roles: [] }) as never],
  ])('rules that %s', async (_, evaluate) => {
    expect(await reasonFor(httpCall(), { rulesInForce: () => ruleSetThat(evaluate) })).toBe('DECISION_FAULT')
  })

  test('a message that forbids an allow, without asking the rules', async () => {
    const rules = allowing()
    expect(await reasonFor(httpCall({ path: '/a;b' }), { rulesInForce: () => rules })).toBe('PATH_SUSPICIOUS')
    expect(rules.asked).toEqual([])
  })
})

test('puts nobody to policy as anonymous where the setting passes them', async () => {
  const rules = allowing()
  const log = new FakeAuditLog()
  const { decision } = await checkOf(log, { anonymous: 'pass', rulesInForce: () => rules })(fromNobody())
  expect(decision.effect).toBe('allow')
  expect(rules.asked).toMatchObject([{ sub: 'anonymous' }])
})

describe('a candidate policy', () => {
  const candidate = {
    ...ruleSetThat(() => ({ effect: 'deny', rule: null, roles: [] })),
    policyVersion: `sha256:${'6a'.repeat(32)}`,
  }

  test('has its word in the record, and none in the answer', async () => {
    const log = new FakeAuditLog()
    const { response, decision } = await checkOf(log, { candidate: () => candidate })(httpCall())
    expect(asEnvoyReads(response)).toEqual(
      asEnvoyReads((await checkOfSameId(decision.decisionId)(httpCall())).response),
    )
    expect(log.decisions).toMatchObject([
      {
        data: {
          ...{ effect: 'allow', policyVersion },
          candidate: { effect: 'deny', reason: 'NO_MATCHING_RULE', policyVersion: candidate.policyVersion },
        },
      },
    ])
  })

  test('leaves no member in the record while there is none', async () => {
    const log = new FakeAuditLog()
    await checkOf(log)(httpCall())
    expect(log.decisions[0]?.data).not.toHaveProperty('candidate')
  })

  test.each(['withdraws', 'supersedes'] as const)(
    'says the same as the denial of an audit log that %s',
    async (behaviour) => {
      const log = new FakeAuditLog(behaviour)
      await checkOf(log, { candidate: () => candidate })(httpCall())
      expect(log.decisions.at(-1)?.data).toMatchObject({
        ...{ effect: 'deny', reason: 'AUDIT_UNAVAILABLE' },
        candidate: { effect: 'deny', reason: 'AUDIT_UNAVAILABLE', policyVersion: candidate.policyVersion },
      })
    },
  )

  test('that breaks is recorded as broken, and the request is answered', async () => {
    const log = new FakeAuditLog()
    const broken = ruleSetThat(() => {
      throw new Error('broken')
    })
    const { decision } = await checkOf(log, { candidate: () => broken })(httpCall())
    expect(decision.effect).toBe('allow')
    expect(log.decisions[0]?.data.candidate).toMatchObject({ effect: 'deny', reason: 'DECISION_FAULT' })
  })

  function checkOfSameId(decisionId: string): Check {
    return checkOf(new FakeAuditLog(), { newId: () => decisionId })
  }
})

test('takes the rules in force once, so that one answer never mixes two policies', async () => {
  let asked = 0
  const rules = allowing()
  await checkOf(new FakeAuditLog(), { rulesInForce: () => (asked++, rules) })(httpCall())
  expect(asked).toBe(1)
})

test('answers any message, and leaves one valid record of what it answered', async () => {
  await fc.assert(
    fc.asyncProperty(fc.option(anyCheckRequest), fc.boolean(), async (message, fails) => {
      const bytes = message === null ? Buffer.from([0xff]) : checkMethod.requestSerialize(message)
      const log = new FakeAuditLog()
      const rules = ruleSetThat(() => {
        if (fails) throw new Error('broken')
        return allowed
      })
      const { response, decision } = await checkOf(log, { rulesInForce: () => rules })(received(bytes))
      expect(log.decisions.map(({ data }) => data.reason)).toEqual([decision.reason])
      expect((asEnvoyReads(response).status?.code ?? 0) === 0).toBe(decision.effect === 'allow')
      if (rules.asked.length === 0 || fails) expect(decision.effect).toBe('deny')
    }),
  )
})
