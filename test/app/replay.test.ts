import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { loadPolicy } from '../../src/policy/load.ts'
import { parseFilter } from '../../src/readers/filter.ts'
import { replay, type Replay } from '../../src/readers/replay.ts'
import type { CheckRequest } from '../../src/wire/envoy/service/auth/v3/CheckRequest.ts'
import { httpAttributes, type Http } from '../check/calls.ts'
import { allowedCheck, deniedCheck, serve, type Served } from './served.ts'

let served: Served | undefined
afterEach(async () => {
  await served?.stop()
  served = undefined
})

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl'

function http(http: Http): CheckRequest {
  return { attributes: httpAttributes(http) }
}

const { request: _, ...connection } = httpAttributes()
/** What Envoys ask: HTTP, gRPC and TCP, allowed, denied, without a principal, suspicious, with a secret in the path. */
const checks: readonly CheckRequest[] = [
  allowedCheck,
  deniedCheck,
  http({ path: '/orders/7?token=1' }),
  http({ method: 'POST', path: '/orders' }),
  http({ method: 'POST', path: '/shop.Orders/Get', headers: { 'content-type': 'application/grpc' } }),
  http({ path: '/orders/%2e%2e/admin' }),
  http({ path: `/orders/${jwt}` }),
  http({ path: `/orders/${'x'.repeat(5000)}` }),
  http({ host: 'ORDERS.shop.:8443', path: '/' }),
  { attributes: connection },
  { attributes: { ...httpAttributes(), source: {} } },
  { attributes: { ...httpAttributes(), source: { principal: 'spiffe://other.example/ns/x/sa/y' } } },
  {},
]

async function replayed(data: string, folder: string): Promise<Replay> {
  const [policy, filter] = [await loadPolicy(folder), parseFilter({ since: '1h' }, new Date())]
  if (!policy.ok || !filter.ok) throw new Error('the policy or the filter is not good')
  const { ruleSet } = policy
  return replay(data, filter.value, { ruleSet, reads: ruleSet.model.reads.tokens })
}

describe('the decisions of a server', () => {
  test('do not change by the policy that decided them, before and after they are delivered', async () => {
    const { pep, data, policy } = (served = await serve())
    const answers = await Promise.all(checks.map((check) => pep.check(check)))
    expect(answers.filter(({ status }) => status?.code === 0).length).toBeGreaterThan(3)
    const expected = {
      ...{ decisions: checks.length, replayed: 7, unchanged: 7 },
      changes: { allow: { count: 0 }, deny: { count: 0 }, rule: { count: 0 } },
      unreplayable: { count: 2, tokens: { obj: 2 } },
      beforePolicy: {
        count: 4,
        reasons: { PATH_SUSPICIOUS: 1, PRINCIPAL_MISSING: 1, TRUST_DOMAIN_UNKNOWN: 1, REQUEST_MALFORMED: 1 },
      },
      noAnswer: { count: 0 },
      unreadable: { count: 0 },
    }
    expect(await replayed(data, policy)).toMatchObject(expected)
    await served.server.process.stop()
    expect(await replayed(data, policy)).toMatchObject(expected)
  })

  test('change by another policy where its rules say so', async () => {
    const { pep, data, policy, folder } = (served = await serve())
    const other = join(folder, 'other')
    cpSync(policy, other, { recursive: true, filter: (path) => !path.endsWith('tests.yaml') })
    const rules = readFileSync(join(policy, 'policy.csv'), 'utf8')
    writeFileSync(join(other, 'policy.csv'), rules.replaceAll('/orders/{id}', '/orders/1').replace('/admin/**', '/x'))
    for (const check of checks) await pep.check(check)
    const { changes, unchanged } = await replayed(data, other)
    expect([changes.allow.count, changes.deny.count, changes.rule.count, unchanged]).toEqual([0, 1, 2, 4])
    expect(changes.deny.routes.groups).toMatchObject([{ route: 'GET /orders/{id}', count: 1 }])
  })
})
