import { cpSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { status } from '@grpc/grpc-js'
import { makeAuthority, writePki } from '../../deploy/envoy/demo/certificates.ts'
import { freePorts, until } from '../../deploy/envoy/demo/processes.ts'
import type { DecisionData } from '../../src/audit/event-data.ts'
import { metricTable } from '../../src/telemetry/metrics.ts'
import { recordsIn, type TrailRecord } from '../e2e/mesh.ts'
import { connectPep } from '../grpc/client.ts'
import { allowedCheck, deniedCheck, serve, type ServeOptions, type Served } from './served.ts'

const sidecar = 'spiffe://cluster.local/ns/shop/sa/orders'
const permissionDenied = 7
const accessLog = {
  identifier: { node: { id: 'sidecar-1', cluster: 'orders' }, log_name: 'audit' },
  http_logs: { log_entry: [{ common_properties: { access_log_type: 'DownstreamEnd' as const } }] },
}

// Processes under way on a busy machine.
jest.setTimeout(180_000)

let served: Served | undefined
afterEach(async () => {
  await served?.stop()
  served = undefined
})

async function start(options?: ServeOptions): Promise<Served> {
  served = await serve(options)
  return served
}

async function decisionsIn(data: string): Promise<readonly DecisionData[]> {
  const records = await recordsIn(data)
  const decisions = records.filter(({ type }) => type === 'io.countersign.decision.v1') as TrailRecord<DecisionData>[]
  return decisions.map((record) => record.data)
}

/** A sink that nobody answers for, beside the archive. */
async function withUnreachableKafka(graceMs: number): Promise<ServeOptions> {
  const [port = 0] = await freePorts(1)
  const sinks = { archive: { type: 'archive' }, central: { type: 'kafka', brokers: [`127.0.0.1:${port}`] } }
  return { settings: () => ({ sinks, shutdown: { graceMs } }) }
}

describe('while no usable policy is there', () => {
  test('it denies, recorded; with the policy put right it serves, without a restart', async () => {
    const { pep, policy, data, admin } = await start({
      ready: false,
      before: (folder) => {
        renameSync(join(folder, 'policy/model.conf'), join(folder, 'model.conf'))
      },
    })
    expect(await pep.health()).toBe('NOT_SERVING')
    const denied = await pep.check(allowedCheck)
    expect(denied.status?.code).not.toBe(0)
    expect(denied.denied_response?.status?.code).toBe('ServiceUnavailable')
    expect(await decisionsIn(data)).toEqual([
      expect.objectContaining({ effect: 'deny', reason: 'POLICY_UNAVAILABLE', rule: null, policyVersion: null }),
    ])
    const readyz = await admin('readyz')
    expect(readyz.status).toBe(503)
    expect(readyz.body).toMatch(/no usable policy has been loaded: .*model\.conf/)

    renameSync(join(policy, '../model.conf'), join(policy, 'model.conf'))
    await until('SERVING', async () => (await pep.health()) === 'SERVING')
    expect((await pep.check(allowedCheck)).status?.code).toBe(0)
    expect((await admin('readyz')).status).toBe(200)
  })
})

describe('a newer policy that is refused', () => {
  test('leaves the last good one in force, and is a warning with file and line', async () => {
    const { pep, policy, admin } = await start()
    writeFileSync(join(policy, 'more.csv'), '# broken\np, one, two\n')
    await until('the warning', async () => (await admin('readyz')).body.includes('more.csv:2'))
    expect((await admin('readyz')).status).toBe(200)
    expect(await pep.health()).toBe('SERVING')
    expect((await pep.check(allowedCheck)).status?.code).toBe(0)
    expect((await admin('metrics')).body).toMatch(/^countersign_policy_rejected_total 1$/m)
  })
})

describe('a sink that cannot be reached', () => {
  test('is a warning; everything else goes on, and every metric of the table is there', async () => {
    const { settings } = await withUnreachableKafka(1)
    const { pep, admin, data } = await start({
      settings: (folder) => ({
        policy: { dir: join(folder, 'policy'), candidate: join(folder, 'candidate') },
        ...settings?.(folder),
      }),
      before: (folder) => {
        cpSync(join(folder, 'policy'), join(folder, 'candidate'), { recursive: true })
      },
    })
    await until('the candidate', async () => (await admin('metrics')).body.includes('countersign_candidate_loaded{'))
    await until('the warning', async () => (await admin('readyz')).body.includes('"sink central"'))
    expect((await admin('readyz')).status).toBe(200)
    expect((await pep.check(allowedCheck)).status?.code).toBe(0)
    expect((await pep.check(deniedCheck)).status?.code).toBe(permissionDenied)
    const { stream, ended } = pep.logs()
    stream.end(accessLog)
    expect(await ended).toBe(status.OK)

    await until('the archive', async () =>
      (await admin('metrics')).body.includes('sink_lag_records{sink="archive"} 0\n'),
    )
    expect(await decisionsIn(data)).toHaveLength(2)
    const { body } = await admin('metrics')
    const series = [...body.matchAll(/^(countersign_\w+?)(?:_bucket|_sum|_count)?(?:\{.*\})? \S+$/gm)].map(
      ([, name]) => name,
    )
    // What nothing has happened of has no label yet; what another program does is not shown at all.
    const calm = ['events_missed_total', 'sink_rewinds_total', 'spool_lost_total'].map((name) => `countersign_${name}`)
    const others = Object.keys(metricTable).filter((name) => name.startsWith('countersign_archive_'))
    const shown = Object.keys(metricTable).filter((name) => ![...calm, ...others].includes(name))
    expect([...new Set(series)].sort()).toEqual(shown.sort())
    for (const name of calm) expect(body).toContain(`# TYPE ${name} counter\n`)
    expect(body).toContain('countersign_checks_total{effect="allow",reason="ALLOWED_BY_RULE"} 1\n')
    expect(body).toContain('countersign_checks_total{effect="deny",reason="DENIED_BY_RULE"} 1\n')
    expect(body).toContain('countersign_access_log_entries_total{mediation="unchecked",phase="end"} 1\n')
    expect(body).toMatch(/^countersign_sink_failures_total\{sink="central",code="KAFKA_UNAVAILABLE"\} [1-9]/m)
    expect(body).not.toMatch(/^countersign_sink_lag_records\{sink="central"\} 0$/m)
  })
})

describe('mTLS', () => {
  test('lets the listed Envoys in, records which one asked, and counts those that it refuses', async () => {
    const ours = await makeAuthority('cluster.local')
    const server = await ours.issue('spiffe://cluster.local/ns/countersign/sa/countersign')
    const {
      data,
      server: running,
      admin,
    } = await start({
      before: (folder) => {
        writePki(folder, 'own', server, [ours])
      },
      settings: (folder) => ({
        tls: {
          certificate: join(folder, 'own.crt'),
          key: join(folder, 'own.key'),
          clientCa: join(folder, 'ca.crt'),
          callers: ['spiffe://cluster.local/ns/shop/sa/*'],
        },
      }),
    })
    const as = async (uri: string) =>
      connectPep(`127.0.0.1:${running.port}`, { ca: ours.certificate, own: await ours.issue(uri) })

    const listed = await as(sidecar)
    expect((await listed.check(allowedCheck)).status?.code).toBe(0)
    expect((await decisionsIn(data)).map(({ pep }) => pep)).toEqual([{ principal: sidecar, address: '127.0.0.1' }])

    const unlisted = await as('spiffe://cluster.local/ns/other/sa/orders')
    await expect(unlisted.check(allowedCheck)).rejects.toMatchObject({ code: status.PERMISSION_DENIED })
    expect(await decisionsIn(data)).toHaveLength(1)
    expect((await admin('metrics')).body).toMatch(/^countersign_callers_refused_total 1$/m)
    for (const client of [listed, unlisted]) client.close()
  })
})

describe('a stop', () => {
  test('ends access-log streams, takes no new calls, delivers everything, and exits with 0', async () => {
    const { pep, server, data } = await start()
    await pep.check(allowedCheck)
    const { stream, ended } = pep.logs()
    stream.write(accessLog)
    await until('the access record', async () =>
      (await recordsIn(data)).some(({ type }) => type === 'io.countersign.access.v1'),
    )
    server.process.signal('SIGTERM')
    expect(await ended).toBe(status.OK)
    expect(await server.process.exited).toBe(0)
    await expect(pep.check(allowedCheck)).rejects.toMatchObject({ code: status.UNAVAILABLE })
    const records = (await recordsIn(data)) as TrailRecord<{ change?: string; left?: number }>[]
    const ends = records.slice(-2).map(({ type, data: { change } }) => change ?? type)
    expect(ends).toEqual(['closed', 'io.countersign.checkpoint.v1'])
  })

  test('exits with 75 where a sink lacks records, and says how many', async () => {
    const { pep, server } = await start(await withUnreachableKafka(1))
    await pep.check(allowedCheck)
    server.process.signal('SIGINT')
    expect(await server.process.exited).toBe(75)
    expect(server.process.output()).toMatch(/^countersign: \d+ records stay in the spool; /m)
  })

  test('exits with 75 where events have no record and no gap, and says how many', async () => {
    const { pep, server, data } = await start()
    await pep.check(allowedCheck)
    // Nothing can be kept there any more.
    rmSync(join(data, 'spool'), { recursive: true })
    writeFileSync(join(data, 'spool'), '')
    await until('a denial', async () => (await pep.check(allowedCheck)).status?.code !== 0)
    pep.close()
    server.process.signal('SIGTERM')
    expect(await server.process.exited).toBe(75)
    expect(server.process.output()).toMatch(/^countersign: \d+ events have no record, and no gap/m)
  })

  test('that is asked for twice ends at once', async () => {
    const { server } = await start(await withUnreachableKafka(2 ** 31 - 1))
    server.process.signal('SIGTERM')
    await until('the stop', () => server.process.output().includes('"stopping"'))
    server.process.signal('SIGTERM')
    expect(await server.process.exited).toBe(75)
  })
})

test('the log is JSON and tells neither who asked nor for what', async () => {
  const { pep, server } = await start({ settings: () => ({ log: { level: 'debug' } }) })
  await pep.check(allowedCheck)
  await pep.check(deniedCheck)
  const { stream, ended } = pep.logs()
  stream.end(accessLog)
  await ended
  await server.process.stop()
  const said = server.process.output().trimEnd().split('\n')
  expect(said.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(
    expect.arrayContaining(['policy in force', 'serving', 'stopping', 'stopped']),
  )
  expect(said.filter((line) => /spiffe:|\/orders|\/admin\/|sa\/web/.test(line))).toEqual([])
})
