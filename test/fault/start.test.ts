import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { once } from 'node:events'
import { DatabaseSync } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { examplePolicy } from '../../deploy/envoy/demo/countersign.ts'
import { freePorts, type Running, start as startCommand, until } from '../../deploy/envoy/demo/processes.ts'
import { makeAuthority } from '../../deploy/envoy/demo/certificates.ts'
import { allowedCheck, serve, type Served } from '../app/served.ts'
import { recordsIn } from '../e2e/mesh.ts'

// Servers under way on a busy machine.
jest.setTimeout(180_000)

let folder: string
let data: string
let served: Served | undefined
const others: Server[] = []
const started: Running[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-start-'))
  data = join(folder, 'data')
})

afterEach(async () => {
  await served?.stop()
  served = undefined
  for (const other of others.splice(0)) other.close()
  // A start that is to fail, and did not.
  for (const process of started.splice(0)) process.signal('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

/** A start that does not succeed: its exit status and what it said, without the operational log. */
async function startInVain(...flags: readonly string[]): Promise<{ status: number | null; said: string }> {
  const [port = 0, admin = 0] = await freePorts(2)
  const addresses = ['--listen', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${admin}`]
  const args = ['serve', '--policy', examplePolicy, '--data', data, ...addresses, ...flags]
  const process = startCommand('node', ['--disable-warning=ExperimentalWarning', 'src/cli/main.ts', ...args])
  started.push(process)
  const status = await process.exited
  const said = process
    .output()
    .split('\n')
    .filter((line) => !line.startsWith('{'))
  return { status, said: said.join('\n') }
}

async function takenPort(): Promise<number> {
  const other = createServer().listen(0, '127.0.0.1')
  others.push(other)
  await once(other, 'listening')
  return (other.address() as { port: number }).port
}

describe('a start ends with status 1 and one line that says what is wrong', () => {
  test('where the port for Envoy is taken', async () => {
    const port = await takenPort()
    const { status, said } = await startInVain('--listen', `127.0.0.1:${port}`)
    expect(said).toBe(`countersign: ADDRESS_IN_USE: listen: 127.0.0.1:${port} is taken by another process\n`)
    expect(status).toBe(1)
  })

  test('where the admin port is taken, also while Kafka cannot be reached', async () => {
    const port = await takenPort()
    const { status, said } = await startInVain('--admin', `127.0.0.1:${port}`, '--kafka', '127.0.0.1:1')
    expect(said).toBe(`countersign: ADDRESS_IN_USE: admin: 127.0.0.1:${port} is taken by another process\n`)
    expect(status).toBe(1)
  })

  test('where plaintext would be open to others', async () => {
    const { status, said } = await startInVain('--listen', '0.0.0.0:0')
    expect(said).toMatch(/^countersign: LISTEN_REFUSED: listen: 0\.0\.0\.0:0 can be reached by others.*\n$/)
    expect(status).toBe(1)
  })

  test('where the key does not fit the certificate', async () => {
    const ours = await makeAuthority('cluster.local')
    const [own, other] = await Promise.all([
      ours.issue('spiffe://cluster.local/a'),
      ours.issue('spiffe://cluster.local/b'),
    ])
    writeFileSync(join(folder, 'own.crt'), own.certificate)
    writeFileSync(join(folder, 'other.key'), other.key)
    writeFileSync(join(folder, 'ca.crt'), ours.certificate)
    const callers = "callers: ['spiffe://cluster.local/**']"
    const files = ['certificate: own.crt', 'key: other.key', 'clientCa: ca.crt'].map((line) =>
      line.replace(': ', `: ${folder}/`),
    )
    writeFileSync(join(folder, 'settings.yaml'), ['tls:', ...[...files, callers].map((line) => `  ${line}`)].join('\n'))
    const { status, said } = await startInVain('--config', join(folder, 'settings.yaml'))
    expect(said).toMatch(/^countersign: TLS_INVALID: tls\.key: .*other\.key cannot be used: it is not the key .*\n$/)
    expect(status).toBe(1)
  })

  test('where the spool was written by a newer version, which it leaves as it is', async () => {
    const running = await serve()
    await running.pep.check(allowedCheck)
    running.pep.close()
    await running.server.process.stop()
    const file = join(running.data, 'spool/spool.sqlite')
    const database = new DatabaseSync(file)
    database.exec('PRAGMA user_version = 999')
    database.close()
    data = running.data
    const { status, said } = await startInVain()
    expect(said).toMatch(/^countersign: SPOOL_VERSION: the spool .* has version 999; .*newer Countersign.*\n$/)
    expect(status).toBe(1)
    rmSync(running.folder, { recursive: true })
  })

  test('where another process uses the spool, which goes on undisturbed', async () => {
    served = await serve()
    data = served.data
    const { status, said } = await startInVain()
    expect(said).toMatch(/^countersign: SPOOL_IN_USE: the spool .* is in use by another process: .*\n$/)
    expect(status).toBe(1)
    expect((await served.pep.check(allowedCheck)).status?.code).toBe(0)
  })

  test('where a file stands in the place of the data folder', async () => {
    writeFileSync(data, 'mine')
    const { status, said } = await startInVain()
    expect(said).toMatch(/^countersign: SPOOL_FAILED: data: cannot make .*\/data: .*\n$/)
    expect(status).toBe(1)
  })

  test('where a file stands in the place of the spool', async () => {
    mkdirSync(data)
    writeFileSync(join(data, 'spool'), 'mine')
    const { status, said } = await startInVain()
    expect(said).toMatch(/^countersign: SPOOL_FAILED: .*spool.*\n$/)
    expect(status).toBe(1)
  })
})

describe('a start ends with status 2', () => {
  test('where the password file of a sink is missing', async () => {
    const sasl = '{mechanism: plain, username: u, passwordFile: /nowhere/password}'
    writeFileSync(join(folder, 's.yaml'), `sinks: {k: {type: kafka, brokers: ['127.0.0.1:1'], sasl: ${sasl}}}`)
    const { status, said } = await startInVain('--config', join(folder, 's.yaml'))
    expect(said).toMatch(/^countersign: CONFIG_INVALID: sinks\.k\.sasl\.passwordFile: ENOENT.*\n$/)
    expect(status).toBe(2)
  })

  test('where a caller is no SPIFFE pattern', async () => {
    const ours = await makeAuthority('cluster.local')
    const own = await ours.issue('spiffe://cluster.local/a')
    for (const [name, text] of Object.entries({ crt: own.certificate, key: own.key, ca: ours.certificate })) {
      writeFileSync(join(folder, name), text)
    }
    const files = `certificate: ${folder}/crt, key: ${folder}/key, clientCa: ${folder}/ca`
    writeFileSync(join(folder, 's.yaml'), `tls: {${files}, callers: ['everybody']}`)
    const { status, said } = await startInVain('--config', join(folder, 's.yaml'))
    expect(said).toMatch(/^countersign: CONFIG_INVALID: tls\.callers: found "everybody"; .*\n$/)
    expect(status).toBe(2)
  })
})

describe('a start succeeds', () => {
  test('without a policy folder: it is not ready, and denies, recorded', async () => {
    served = await serve({ ready: false, settings: (at) => ({ policy: { dir: join(at, 'nowhere') } }) })
    const denied = await served.pep.check(allowedCheck)
    expect(denied.denied_response?.status?.code).toBe('ServiceUnavailable')
    expect(denied.denied_response?.body).toContain('POLICY_UNAVAILABLE')
    const readyz = await served.admin('readyz')
    expect(readyz.status).toBe(503)
    expect(readyz.body).toContain('nowhere')
    const decisions = (await recordsIn(served.data)).filter(({ type }) => type === 'io.countersign.decision.v1')
    expect(decisions.map((record) => record.data)).toEqual([
      expect.objectContaining({ effect: 'deny', reason: 'POLICY_UNAVAILABLE' }),
    ])
  })

  test('without Kafka: it allows, archives, warns, and what it recorded waits', async () => {
    const [port = 0] = await freePorts(1)
    const sinks = { archive: { type: 'archive' }, central: { type: 'kafka', brokers: [`127.0.0.1:${port}`] } }
    served = await serve({ settings: () => ({ sinks, shutdown: { graceMs: 1 } }) })
    const { pep, admin } = served
    expect((await pep.check(allowedCheck)).status?.code).toBe(0)
    const measure = async (series: string): Promise<number> => {
      const found = (await admin('metrics')).body.split('\n').find((line) => line.startsWith(`${series} `))
      return Number(found?.split(' ').at(-1))
    }
    await until('the archive', async () => (await measure('countersign_sink_lag_records{sink="archive"}')) === 0)
    await until('the warning', async () => (await admin('readyz')).body.includes('KAFKA_UNAVAILABLE'))
    expect((await admin('readyz')).status).toBe(200)
    expect(await measure('countersign_spool_waiting_records')).toBeGreaterThanOrEqual(3)
  })
})
