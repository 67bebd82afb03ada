import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { ask, callGrpc, echoTcp } from '../../deploy/envoy/demo/request.ts'
import { type Sidecar, startSidecar } from '../../deploy/envoy/demo/sidecar.ts'
import type { AccessData, DecisionData } from '../../src/audit/event-data.ts'
import { describeWith } from '../real/parts.ts'
import { type Mesh, orderId, startMesh, type TrailRecord } from './mesh.ts'

const web = 'spiffe://cluster.local/ns/shop/sa/web'

describeWith('envoy', 'a real Envoy with mTLS asks Countersign', () => {
  let mesh: Mesh
  let sidecar: Sidecar

  beforeAll(async () => {
    mesh = await startMesh()
    sidecar = await startSidecar({ ...mesh.sidecar, authorizationTimeout: '5s' })
  }, 180_000)

  afterAll(async () => {
    await sidecar.process.stop()
    await mesh.stop()
  }, 180_000)

  test('allows by rule, tells the service who called, and records decision and outcome under one id', async () => {
    const answer = await ask(mesh.clients.web, {
      port: sidecar.ports.http,
      path: '/orders/1?fields=total&token=hunter2',
    })
    expect(answer.status).toBe(200)
    const { headers } = echoOf(answer.body)
    expect(headers['x-countersign-principal']).toBe(web)
    const { decision, access } = await pairOf(headers['x-countersign-decision-id'])
    expect(decision).toMatchObject({
      effect: 'allow',
      reason: 'ALLOWED_BY_RULE',
      rule: { file: 'policy.csv', text: 'p, orders-reader, http, GET, /orders/{id}, allow' },
      roles: ['orders-writer', 'orders-reader'],
      supersedes: false,
      subject: { principal: web, trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'web' },
      action: { protocol: 'http', method: 'GET' },
      resource: { principal: orderId, host: 'orders.shop', path: '/orders/1', query: ['fields', 'token'] },
    })
    expect(access).toMatchObject({
      mediation: 'checked',
      effect: 'allow',
      reason: 'ALLOWED_BY_RULE',
      rule: decision.rule,
      policyVersion: decision.policyVersion,
      subject: { principal: web },
      resource: { principal: orderId, host: 'orders.shop', path: '/orders/1', query: ['fields', 'token'] },
      outcome: { status: 200, final: 'served', details: 'via_upstream', upstream: { cluster: 'orders' } },
      envoy: { node: 'orders-1', cluster: 'orders', logName: 'audit', direction: 'inbound', entry: 'DownstreamEnd' },
    })
    expect(access.context.requestId).toBe(decision.context.requestId)
  })

  test('denies where no rule allows, and says why to the caller and in the trail', async () => {
    const answer = await ask(mesh.clients.report, {
      port: sidecar.ports.http,
      method: 'POST',
      path: '/orders',
      body: 'x',
    })
    const { decision, access } = await denied(answer, 'NO_MATCHING_RULE')
    expect(decision.rule).toBeNull()
    expect(access.outcome).toMatchObject({
      status: 403,
      final: 'refused',
      flags: ['UAEX'],
      details: 'ext_authz_denied',
    })
  })

  test('denies by rule, and names the rule', async () => {
    const answer = await ask(mesh.clients.web, { port: sidecar.ports.http, path: '/admin/users' })
    const { decision, access } = await denied(answer, 'DENIED_BY_RULE')
    expect(decision.rule?.text).toBe('p, *, http, *, /admin/**, deny')
    expect(access.rule).toEqual(decision.rule)
  })

  test('denies who presents no certificate where the listener lets such a caller in', async () => {
    const answer = await ask(mesh.clients.nobody, { port: sidecar.ports.edge, path: '/orders/1' })
    const { decision } = await denied(answer, 'PRINCIPAL_MISSING')
    expect(decision.subject.principal).toBe('anonymous')
  })

  test('lets Envoy refuse who presents no certificate where one is required', async () => {
    await expect(ask(mesh.clients.nobody, { port: sidecar.ports.http, path: '/orders/1' })).rejects.toThrow()
  })

  test('denies a workload of a foreign trust domain although its certificate is valid', async () => {
    const answer = await ask(mesh.clients.partner, { port: sidecar.ports.http, path: '/orders/1' })
    const { decision } = await denied(answer, 'TRUST_DOMAIN_UNKNOWN')
    expect(decision.subject).toMatchObject({
      principal: 'spiffe://partner.example/ns/shop/sa/web',
      trustDomain: 'partner.example',
    })
  })

  test('believes none of the identity headers that a client forges', async () => {
    const forged = {
      'x-countersign-principal': 'spiffe://cluster.local/ns/shop/sa/admin',
      'x-countersign-decision-id': 'forged',
      'x-forwarded-client-cert': 'URI=spiffe://cluster.local/ns/shop/sa/admin',
      x_countersign_principal: 'spiffe://cluster.local/ns/shop/sa/admin',
    }
    const answer = await ask(mesh.clients.web, { port: sidecar.ports.http, path: '/orders/2', headers: forged })
    const { headers } = echoOf(answer.body)
    expect(headers['x-countersign-principal']).toBe(web)
    expect(headers['x-countersign-decision-id']).toMatch(/^[0-9a-f-]{36}$/)
    expect(headers['x-forwarded-client-cert']).not.toContain('admin')
    expect(headers).not.toHaveProperty('x_countersign_principal')
    const { decision } = await pairOf(headers['x-countersign-decision-id'])
    expect(decision.subject.principal).toBe(web)

    const refused = await ask(mesh.clients.report, {
      port: sidecar.ports.http,
      method: 'POST',
      path: '/orders',
      headers: { ...forged, 'x-countersign-principal': web, 'x-forwarded-client-cert': `URI=${web}` },
    })
    await denied(refused, 'NO_MATCHING_RULE')
  })

  test('decides a gRPC call by its method, and records its gRPC status', async () => {
    const allowed = await callGrpc(mesh.clients.web, sidecar.ports.http, 'shop.Orders/Get')
    expect(allowed).toEqual({ status: 200, grpcStatus: '0' })
    const { access } = await lastPair(({ action }) => action.rpc === 'shop.Orders/Get')
    expect(access).toMatchObject({
      action: { protocol: 'grpc', method: 'POST', rpc: 'shop.Orders/Get' },
      outcome: { status: 200, grpcStatus: 0, final: 'served' },
    })

    const refused = await callGrpc(mesh.clients.report, sidecar.ports.http, 'shop.Orders/Get')
    // Envoy maps a 403 to PERMISSION_DENIED.
    expect(refused).toEqual({ status: 200, grpcStatus: '7' })
  })

  test('passes a POST with a body on, and records its size but not its content', async () => {
    const body = 'secret-order-content'.repeat(100)
    const answer = await ask(mesh.clients.web, { port: sidecar.ports.http, method: 'POST', path: '/orders', body })
    const { access } = await pairOf(echoOf(answer.body).headers['x-countersign-decision-id'])
    expect(access.outcome).toMatchObject({ status: 200, bytesReceived: body.length })
    expect(JSON.stringify(await mesh.records())).not.toContain('secret-order-content')
  })

  test('decides a TCP connection, and records its outcome under the same id', async () => {
    expect(await echoTcp(mesh.clients.web, sidecar.ports.tcp, 'hello')).toBe('hello')
    const allowed = await lastPair(({ action, effect }) => action.protocol === 'tcp' && effect === 'allow')
    expect(allowed.decision.resource).toMatchObject({ principal: orderId, port: sidecar.ports.tcp, path: null })
    expect(allowed.access).toMatchObject({
      mediation: 'checked',
      subject: { principal: web },
      outcome: { bytesReceived: 5, bytesSent: 5, final: 'served' },
    })

    expect(await echoTcp(mesh.clients.report, sidecar.ports.tcp, 'hello')).toBe('')
    const refused = await lastPair(({ action, effect }) => action.protocol === 'tcp' && effect === 'deny')
    expect(refused.access).toMatchObject({
      mediation: 'checked',
      reason: 'NO_MATCHING_RULE',
      outcome: { final: 'refused' },
    })
  })

  test('denies a path that an application may read as another one', async () => {
    const answer = await ask(mesh.clients.web, { port: sidecar.ports.http, path: '/orders/1;x=/admin' })
    await denied(answer, 'PATH_SUSPICIOUS')
  })

  test('leaves exactly one decision and one access record for each access, and a trail that verifies', async () => {
    await until('an outcome for each decision', async () => (await unmatched()).length === 0)
    const records = await mesh.records()
    const decided = records.filter(({ type }) => type === 'io.countersign.decision.v1')
    const ended = records.filter(({ type, data }) => type === 'io.countersign.access.v1' && isEnd(data as AccessData))
    expect(idsOf(decided)).toEqual(idsOf(ended))
    expect(new Set(idsOf(decided)).size).toBe(decided.length)
    expect(decided.length).toBeGreaterThanOrEqual(12)
    expect(await mesh.verify()).toMatchObject({ status: 0 })
  })

  /** Decision ids that have not exactly one record of each kind. */
  async function unmatched(): Promise<string[]> {
    const counts = new Map<string, number>()
    for (const { type, data } of await mesh.records()) {
      const { decisionId } = data as { decisionId?: string | null }
      if (decisionId === undefined || decisionId === null) continue
      counts.set(decisionId, (counts.get(decisionId) ?? 0) + (type === 'io.countersign.decision.v1' ? 1 : 100))
    }
    return [...counts].filter(([, count]) => count !== 101).map(([id]) => id)
  }

  async function pairOf(decisionId: string | undefined): Promise<{ decision: DecisionData; access: AccessData }> {
    if (decisionId === undefined) throw new Error('the answer carries no decision id')
    const { decisions, accesses } = await mesh.recordsOf(decisionId)
    expect([decisions.length, accesses.length]).toEqual([1, 1])
    const [decision] = decisions
    const [access] = accesses
    if (decision === undefined || access === undefined) throw new Error('unreachable')
    expect(decision.id).toBe(decisionId)
    return { decision: decision.data, access: access.data }
  }

  async function lastPair(
    picks: (decision: DecisionData) => boolean,
  ): Promise<{ decision: DecisionData; access: AccessData }> {
    let found: TrailRecord | undefined
    await until('the decision', async () => {
      found = (await mesh.records()).findLast(
        ({ type, data }) => type === 'io.countersign.decision.v1' && picks(data as DecisionData),
      )
      return found !== undefined
    })
    return pairOf(found?.id)
  }

  async function denied(
    answer: Awaited<ReturnType<typeof ask>>,
    reason: string,
  ): Promise<{ decision: DecisionData; access: AccessData }> {
    expect(answer.status).toBe(403)
    const body = JSON.parse(answer.body) as { decisionId: string; reason: string }
    expect(body).toEqual({ decisionId: answer.headers['x-countersign-decision-id'], reason })
    const pair = await pairOf(body.decisionId)
    expect(pair.decision).toMatchObject({ effect: 'deny', reason })
    expect(pair.access).toMatchObject({ mediation: 'checked', effect: 'deny', reason })
    return pair
  }
})

describeWith('envoy', 'a real Envoy whose authorizer has stopped', () => {
  test('fails closed, and the access log names the error once it is there again', async () => {
    const mesh = await startMesh()
    const sidecar = await startSidecar({ ...mesh.sidecar, authorizationTimeout: '2s' })
    try {
      const { web: client } = mesh.clients
      expect((await ask(client, { port: sidecar.ports.http, path: '/orders/1' })).status).toBe(200)
      // Stopped, not ended: the access-log stream stays, so that nothing which Envoy logs is lost.
      mesh.countersign.process.signal('SIGSTOP')
      expect((await ask(client, { port: sidecar.ports.http, path: '/orders/2' })).status).toBe(503)
      mesh.countersign.process.signal('SIGCONT')
      let errors: TrailRecord[] = []
      await until('the entry of the refused request', async () => {
        errors = (await mesh.records()).filter(
          ({ data }) => (data as Partial<AccessData>).mediation === 'authorizer-error',
        )
        return errors.length > 0
      })
      expect(errors).toHaveLength(1)
      expect(errors[0]?.data).toMatchObject({
        decisionId: null,
        effect: null,
        resource: { path: '/orders/2' },
        outcome: { status: 503, flags: ['UAEX'], details: 'ext_authz_error', final: 'refused' },
      })
      // Countersign found the question when Envoy had long given up: what it keeps of it must not say that it was allowed.
      const said = (await mesh.records()).map(({ data }) => data as DecisionData)
      const asked = said.filter((one) => 'supersedes' in one && one.resource.path === '/orders/2')
      expect(asked.at(-1)).toMatchObject({ effect: 'deny', reason: 'AUDIT_UNAVAILABLE' })
    } finally {
      mesh.countersign.process.signal('SIGCONT')
      await sidecar.process.stop()
      await mesh.stop()
    }
  }, 180_000)
})

function echoOf(body: string): { readonly headers: Readonly<Record<string, string>> } {
  return JSON.parse(body) as { headers: Record<string, string> }
}

function isEnd(access: AccessData): boolean {
  return access.phase === 'end'
}

function idsOf(records: readonly TrailRecord[]): string[] {
  return records.map(({ data }) => (data as { decisionId: string }).decisionId).sort()
}
