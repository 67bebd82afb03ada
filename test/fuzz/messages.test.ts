import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { v7 as uuidv7 } from 'uuid'
import { receive } from '../../src/access-log/receive.ts'
import { createCheck } from '../../src/check/check.ts'
import type { PolicyRequest, RuleSet } from '../../src/decision/rule-set.ts'
import type { StreamAccessLogsMessage__Output } from '../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import { anyLogMessage } from '../access-log/any-log-message.ts'
import { logMethod, now } from '../access-log/entries.ts'
import { acceptedDomains } from '../cases/access-requests.ts'
import { policyVersion, readRule } from '../cases/rule-sets.ts'
import { anyCheckRequest } from '../check/any-check-request.ts'
import { asEnvoyReads, checkMethod, httpAttributes, orders, reading, received, web } from '../check/calls.ts'
import { FakeAuditLog } from '../fakes/audit-log.ts'
import { runs, seed, spoiled, timeoutMs } from './runs.ts'

const options = { numRuns: runs, seed }

/** Allows one workload one thing. */
const narrow: RuleSet = {
  policyVersion,
  evaluate: (request) =>
    isAllowed(request) ? { effect: 'allow', rule: readRule, roles: [] } : { effect: 'deny', rule: null, roles: [] },
}

function isAllowed({ sub, dst, act, obj, host, protocol }: PolicyRequest): boolean {
  return (
    sub === web &&
    dst === orders &&
    act === 'GET' &&
    obj === '/orders/1' &&
    host === 'orders.shop' &&
    protocol === 'http'
  )
}

const checks = spoiled(fc.oneof(fc.constant({ attributes: httpAttributes() }), anyCheckRequest), (message) =>
  checkMethod.requestSerialize(message),
)

const streams = fc.array(
  spoiled(anyLogMessage, (message) => logMethod.requestSerialize(message)),
  { maxLength: 4 },
)

describe(`bytes of Envoy, spoiled (${String(runs)} runs, COUNTERSIGN_FUZZ_SEED=${String(seed)})`, () => {
  test(
    'as a Check are answered, recorded, and allowed only where the record is of what the policy allows',
    async () => {
      let allowed = 0
      await fc.assert(
        fc.asyncProperty(checks, async (bytes) => {
          const auditLog = new FakeAuditLog()
          const parts = { auditLog, reading, newId: () => uuidv7(), nowUs: () => performance.now() * 1000 }
          const check = createCheck({
            ...parts,
            rulesInForce: () => narrow,
            candidate: () => undefined,
            anonymous: 'pass',
          })
          const { response, decision } = await check(received(bytes))
          const [record, ...more] = auditLog.decisions
          expect(more).toEqual([])
          expect(record).toMatchObject({
            id: decision.decisionId,
            data: { effect: decision.effect, reason: decision.reason },
          })
          const isAllow = (asEnvoyReads(response).status?.code ?? 0) === 0
          expect(isAllow).toBe(decision.effect === 'allow')
          if (!isAllow) return
          allowed += 1
          expect(record?.data).toMatchObject({
            subject: { principal: web },
            action: { protocol: 'http', method: 'GET' },
            resource: { principal: orders, host: 'orders.shop', path: '/orders/1' },
          })
        }),
        options,
      )
      // Spoiled so much that nothing is left of them, they would try nothing.
      expect(allowed).toBeGreaterThan(0)
    },
    timeoutMs,
  )

  test(
    'as an access-log stream become valid records, and what cannot be decoded is counted',
    async () => {
      let entries = 0
      await fc.assert(
        fc.asyncProperty(streams, async (messages) => {
          const auditLog = new FakeAuditLog()
          const told = { events: 0, malformed: 0 }
          const decoded = messages.map((bytes) => logMethod.requestDeserialize(bytes).message)
          await receive(streamOf(decoded), {
            ...{ auditLog, trustDomains: acceptedDomains, newId: () => uuidv7(), now: () => now },
            onEvent: () => (told.events += 1),
            onMalformed: () => (told.malformed += 1),
            stopping: new AbortController().signal,
          })
          expect(told.malformed).toBe(decoded.filter((message) => message === undefined).length)
          expect(auditLog.accesses).toHaveLength(told.events)
          entries += told.events
        }),
        options,
      )
      expect(entries).toBeGreaterThan(0)
    },
    timeoutMs,
  )
})

async function* streamOf(
  messages: readonly (StreamAccessLogsMessage__Output | undefined)[],
): AsyncGenerator<StreamAccessLogsMessage__Output | undefined> {
  await Promise.resolve()
  yield* messages
}
