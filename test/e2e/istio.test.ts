import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { type Answer, ask, type Ask, type Client, echoTcp } from '../../deploy/envoy/demo/request.ts'
import type { AccessData, DecisionData } from '../../src/audit/event-data.ts'
import { describeWith } from '../real/parts.ts'
import { greet, sendPlaintext } from './connections.ts'
import { type IstioSidecar, type IstioSidecarOptions, mtlsSettings, startIstioSidecar } from './istio-sidecar.ts'
import { type Mesh, orderId, startMesh, type TrailRecord } from './mesh.ts'

const web = 'spiffe://cluster.local/ns/shop/sa/web'
const admin = 'spiffe://cluster.local/ns/shop/sa/admin'
const node = 'sidecar~127.0.0.2~orders-1.shop~shop.svc.cluster.local'

describeWith('envoy', 'a sidecar that Istio configured asks Countersign over mTLS', () => {
  let mesh: Mesh
  let sidecar: IstioSidecar

  beforeAll(async () => {
    mesh = await startMesh({ settingsIn: mtlsSettings([orderId]) })
    sidecar = await sidecarOf(mesh, { authorizationTimeout: '5s' })
  }, 180_000)

  afterAll(async () => {
    await sidecar.process.stop()
    await mesh.stop()
  }, 180_000)

  test('allows by rule, and records which sidecar asked and what came of it under one id', async () => {
    const answer = await asking(mesh.clients.web, { path: '/orders/1?fields=total' })
    expect(answer.status).toBe(200)
    const headers = headersAtService(answer)
    expect(headers['x-countersign-principal']).toBe(web)
    const { decision, access } = await pairOf(headers['x-countersign-decision-id'])
    expect(decision).toMatchObject({
      effect: 'allow',
      reason: 'ALLOWED_BY_RULE',
      subject: { principal: web, namespace: 'shop', serviceAccount: 'web' },
      pep: { principal: orderId },
      resource: { principal: orderId, host: 'orders.shop', path: '/orders/1', query: ['fields'] },
    })
    expect(access).toMatchObject({
      mediation: 'checked',
      effect: 'allow',
      rule: decision.rule,
      policyVersion: decision.policyVersion,
      subject: { principal: web },
      resource: { principal: orderId, path: '/orders/1' },
      outcome: { status: 200, final: 'served', details: 'via_upstream', upstream: { cluster: 'inbound|9443||' } },
      envoy: { node, cluster: 'orders.shop', logName: 'audit', direction: 'inbound', entry: 'DownstreamEnd' },
    })
    expect(access.context.requestId).toBe(decision.context.requestId)
  })

  test('denies by rule, and names the rule', async () => {
    const { decision, access } = await denied(
      await asking(mesh.clients.web, { path: '/admin/users' }),
      'DENIED_BY_RULE',
    )
    expect(decision.rule?.text).toBe('p, *, http, *, /admin/**, deny')
    expect(access.rule).toEqual(decision.rule)
    expect(access.outcome).toMatchObject({ status: 403, final: 'refused', flags: ['UAEX'] })
  })

  test('denies where no rule allows', async () => {
    const answer = await asking(mesh.clients.report, { method: 'POST', path: '/orders', body: 'x' })
    const { decision } = await denied(answer, 'NO_MATCHING_RULE')
    expect(decision.rule).toBeNull()
  })

  test('believes no forged header, although Istio hands the forged certificate on as the first element', async () => {
    const headers = { 'x-countersign-principal': admin, 'x-forwarded-client-cert': `By=${orderId};URI=${admin}` }
    const atService = headersAtService(await asking(mesh.clients.web, { path: '/orders/2', headers }))
    expect(atService['x-countersign-principal']).toBe(web)
    const elements = (atService['x-forwarded-client-cert'] ?? '').split(',')
    expect(elements.map((element) => /URI=([^;]*)/.exec(element)?.[1])).toEqual([admin, web])
    const { decision, access } = await pairOf(atService['x-countersign-decision-id'])
    expect([decision.subject.principal, access.subject.principal]).toEqual([web, web])

    const asWeb = { 'x-countersign-principal': web, 'x-forwarded-client-cert': `By=${orderId};URI=${web}` }
    const refused = await asking(mesh.clients.report, { method: 'POST', path: '/orders', headers: asWeb })
    await denied(refused, 'NO_MATCHING_RULE')
  })

  test.each(['/orders//1', '/orders%2f1', '/orders/1%2f..%2f..%2fadmin'])(
    'denies %s, which Istio passes on as it is',
    async (path) => {
      const { decision } = await denied(await asking(mesh.clients.web, { path }), 'PATH_SUSPICIOUS')
      expect(decision.resource.path).toBe(path)
    },
  )

  test('decides on the path that is left where Istio has resolved dot segments', async () => {
    const { decision } = await denied(
      await asking(mesh.clients.web, { path: '/orders/../admin/users' }),
      'DENIED_BY_RULE',
    )
    expect(decision.resource.path).toBe('/admin/users')
  })

  test('refuses a client without a certificate in the handshake of its own port', async () => {
    await expect(greet(mesh.countersign.port, {})).rejects.toThrow(/certificate required/i)
    await expect(greet(mesh.countersign.port, mesh.clients.partner)).rejects.toThrow()
    await expect(greet(mesh.countersign.port, mesh.clients.web)).resolves.toBe('h2')
  })

  test('records a plaintext connection, which strict mTLS turns away, as unchecked and failed', async () => {
    await sendPlaintext(sidecar.port)
    let turnedAway: TrailRecord<AccessData>[] = []
    await until('the entry of the listener', async () => {
      turnedAway = accessesOf(await mesh.records()).filter(({ data }) => data.mediation !== 'checked')
      return turnedAway.length > 0
    })
    expect(turnedAway.map(({ data }) => data)).toMatchObject([
      { decisionId: null, mediation: 'unchecked', outcome: { status: null, flags: ['NR'], final: 'failed' } },
    ])
  })

  test('leaves exactly one decision and one access record for each request, and a trail that verifies', async () => {
    await until('an outcome for each decision', async () => (await unmatched(mesh)).length === 0)
    const decided = decisionsOf(await mesh.records())
    expect(new Set(decided.map(({ data }) => data.pep.principal))).toEqual(new Set([orderId]))
    expect(decided.length).toBeGreaterThanOrEqual(9)
    expect(await mesh.verify()).toMatchObject({ status: 0 })
  })

  function asking(client: Client, request: Omit<Ask, 'port'>): Promise<Answer> {
    return ask(client, { port: sidecar.port, ...request })
  }

  async function pairOf(decisionId: string | undefined): Promise<{ decision: DecisionData; access: AccessData }> {
    if (decisionId === undefined) throw new Error('the answer carries no decision id')
    const { decisions, accesses } = await mesh.recordsOf(decisionId)
    expect([decisions.length, accesses.length]).toEqual([1, 1])
    return { decision: decisions[0]!.data, access: accesses[0]!.data }
  }

  async function denied(answer: Answer, reason: string): Promise<{ decision: DecisionData; access: AccessData }> {
    expect(answer.status).toBe(403)
    const body = JSON.parse(answer.body) as { decisionId: string; reason: string }
    expect(body).toEqual({ decisionId: answer.headers['x-countersign-decision-id'], reason })
    const pair = await pairOf(body.decisionId)
    expect(pair.decision).toMatchObject({ effect: 'deny', reason, pep: { principal: orderId } })
    expect(pair.access).toMatchObject({ mediation: 'checked', effect: 'deny', reason, envoy: { direction: 'inbound' } })
    return pair
  }
})

describeWith('envoy', 'a TCP port behind a sidecar that Istio configured', () => {
  test('is decided and recorded as TCP, although Istio gives it the logger of HTTP', async () => {
    const mesh = await startMesh({ settingsIn: mtlsSettings([orderId]) })
    const sidecar = await sidecarOf(mesh, { authorizationTimeout: '5s', tcp: true })
    try {
      expect(await echoTcp(mesh.clients.web, sidecar.port, 'hello')).toBe('hello')
      expect(await echoTcp(mesh.clients.report, sidecar.port, 'hello')).toBe('')
      await until('both outcomes', async () => accessesOf(await mesh.records()).length >= 2)
      const records = await mesh.records()
      expect(await unmatched(mesh)).toEqual([])
      expect(decisionsOf(records).map(({ data }) => data.action.protocol)).toEqual(['tcp', 'tcp'])
      const action = { protocol: 'tcp', method: null, rpc: null }
      // Envoy's threads log by themselves: which entry comes first is not said.
      const accesses = accessesOf(records).map(({ data }) => data)
      expect(accesses.toSorted((a, b) => String(a.effect).localeCompare(String(b.effect)))).toMatchObject([
        {
          ...{ mediation: 'checked', effect: 'allow', subject: { principal: web }, action },
          resource: { principal: orderId, host: null, path: null },
          outcome: { status: null, final: 'served', bytesReceived: 5, bytesSent: 5 },
        },
        {
          ...{ mediation: 'checked', reason: 'NO_MATCHING_RULE', action },
          outcome: { status: null, final: 'refused', flags: ['UAEX'] },
        },
      ])
    } finally {
      await sidecar.process.stop()
      await mesh.stop()
    }
  }, 180_000)
})

describeWith('envoy', 'a sidecar that is not on the list of callers', () => {
  test('gets no answer, and refuses every request', async () => {
    const mesh = await startMesh({ settingsIn: mtlsSettings(['spiffe://cluster.local/ns/shop/sa/billing']) })
    const sidecar = await sidecarOf(mesh, { authorizationTimeout: '5s' })
    try {
      expect((await ask(mesh.clients.web, { port: sidecar.port, path: '/orders/1' })).status).toBe(403)
      // Its access log is refused too: whoever may not ask may not tell either.
      await until('both refusals', async () => (await refusedCallers(mesh)) >= 2)
      expect(mesh.countersign.process.output()).toContain(`${orderId} is not one of tls.callers`)
      const records = await mesh.records()
      expect([...decisionsOf(records), ...accessesOf(records)]).toEqual([])
    } finally {
      await sidecar.process.stop()
      await mesh.stop()
    }
  }, 180_000)
})

describeWith('envoy', 'accesses without a decision, as Istio leaves them', () => {
  let mesh: Mesh
  let sidecars: IstioSidecar[]

  beforeAll(async () => {
    mesh = await startMesh({ settingsIn: mtlsSettings(['spiffe://cluster.local/ns/shop/sa/**']) })
    const variants = [{ demandedPath: '/orders' }, { demandedPath: '/orders', failOpen: true }]
    sidecars = await Promise.all(variants.map((variant) => sidecarOf(mesh, { authorizationTimeout: '2s', ...variant })))
  }, 180_000)

  afterAll(async () => {
    mesh.countersign.process.signal('SIGCONT')
    await Promise.all(sidecars.map((sidecar) => sidecar.process.stop()))
    await mesh.stop()
  }, 180_000)

  test('a path for which no check was demanded is unchecked', async () => {
    const [{ port } = { port: 0 }] = sidecars
    expect((await ask(mesh.clients.web, { port, path: '/orders/1' })).status).toBe(200)
    expect((await ask(mesh.clients.report, { port, path: '/health' })).status).toBe(200)
    const { data } = await accessTo('/health')
    expect(data).toMatchObject({
      decisionId: null,
      effect: null,
      mediation: 'unchecked',
      subject: { principal: 'spiffe://cluster.local/ns/shop/sa/report' },
      outcome: { status: 200, final: 'served' },
      envoy: { direction: 'inbound' },
    })
  })

  test('an authorizer that does not answer is named, where Istio failed closed and where it failed open', async () => {
    const [closed, open] = sidecars.map(({ port }) => port)
    // Each Envoy's stream is open before the authorizer stops, so that what it logs is not lost.
    expect((await ask(mesh.clients.web, { port: open ?? 0, path: '/orders/1' })).status).toBe(200)
    mesh.countersign.process.signal('SIGSTOP')
    const answers = await Promise.all([
      ask(mesh.clients.web, { port: closed ?? 0, path: '/orders/closed' }),
      ask(mesh.clients.web, { port: open ?? 0, path: '/orders/open' }),
    ])
    mesh.countersign.process.signal('SIGCONT')
    expect(answers.map(({ status }) => status)).toEqual([403, 200])
    expect((await accessTo('/orders/closed')).data).toMatchObject({
      decisionId: null,
      mediation: 'authorizer-error',
      outcome: { status: 403, flags: ['UAEX'], details: 'ext_authz_error', final: 'refused' },
    })
    // Nothing else tells: Istio adds no header, and the request went the way of an allowed one.
    expect((await accessTo('/orders/open')).data).toMatchObject({
      decisionId: null,
      mediation: 'authorizer-error',
      outcome: { status: 200, flags: [], details: 'via_upstream', final: 'served' },
    })
  })

  async function accessTo(path: string): Promise<TrailRecord<AccessData>> {
    let found: TrailRecord<AccessData>[] = []
    await until(`the access record of ${path}`, async () => {
      found = accessesOf(await mesh.records()).filter(({ data }) => data.resource.path === path)
      return found.length > 0
    })
    expect(found).toHaveLength(1)
    return found[0]!
  }
})

function sidecarOf(
  mesh: Mesh,
  options: Pick<IstioSidecarOptions, 'authorizationTimeout' | 'failOpen' | 'demandedPath' | 'tcp'>,
): Promise<IstioSidecar> {
  const { folder, ours, orders, countersign } = mesh
  const upstreamPort = options.tcp === true ? orders.tcp : orders.http
  const ports = { countersignPort: countersign.port, upstreamPort }
  return startIstioSidecar({ folder, ours, id: orderId, ...ports, ...options })
}

function headersAtService({ body }: Answer): Readonly<Record<string, string>> {
  return (JSON.parse(body) as { headers: Record<string, string> }).headers
}

function decisionsOf(records: readonly TrailRecord[]): TrailRecord<DecisionData>[] {
  return records.filter(({ type }) => type === 'io.countersign.decision.v1') as TrailRecord<DecisionData>[]
}

function accessesOf(records: readonly TrailRecord[]): TrailRecord<AccessData>[] {
  return records.filter(({ type }) => type === 'io.countersign.access.v1') as TrailRecord<AccessData>[]
}

/** Decision ids that do not stand in exactly one decision and one access record. */
async function unmatched(mesh: Mesh): Promise<string[]> {
  const records = await mesh.records()
  const decided = decisionsOf(records).map(({ data }) => data.decisionId)
  const ended = accessesOf(records).flatMap(({ data }) => data.decisionId ?? [])
  const once = (ids: readonly string[], id: string): boolean => ids.filter((other) => other === id).length === 1
  return [...new Set([...decided, ...ended])].filter((id) => !once(decided, id) || !once(ended, id))
}

async function refusedCallers(mesh: Mesh): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${mesh.countersign.adminPort}/metrics`)).text()
  return Number(/^countersign_callers_refused_total (\d+)/m.exec(metrics)?.[1] ?? 0)
}
