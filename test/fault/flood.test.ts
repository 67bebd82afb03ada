import { afterEach, expect, jest, test } from '@jest/globals'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, connect, type Server, type Socket } from 'node:net'
import { freePorts, until } from '../../deploy/envoy/demo/processes.ts'
import { allowedCheck, serve, type Served } from '../app/served.ts'
import { connectPep, type PepClient } from '../grpc/client.ts'

jest.setTimeout(180_000)

const mebibyte = 1024 * 1024
/** What the flood brings where nobody holds it up. */
const floodBytes = 256 * mebibyte

let served: Served | undefined
let proxy: CountingProxy | undefined
const clients: PepClient[] = []

afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  proxy?.close()
  await served?.stop()
  served = undefined
})

/** Passes bytes on as fast as the server takes them, and counts them. */
interface CountingProxy {
  readonly port: number
  readonly passed: () => number
  readonly close: () => void
}

async function countBytesTo(port: number): Promise<CountingProxy> {
  let passed = 0
  const sockets: Socket[] = []
  const server: Server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    for (const socket of [client, upstream]) sockets.push(socket.on('error', () => undefined))
    upstream.pipe(client)
    client.on('data', (chunk: Buffer) => {
      passed += chunk.length
      if (upstream.write(chunk)) return
      client.pause()
      upstream.once('drain', () => client.resume())
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    passed: () => passed,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

/** An Envoy whose log does not end; it waits where it is held up, as HTTP/2 demands. */
async function flood(client: PepClient, bytes: number): Promise<void> {
  const { stream } = client.logs()
  stream.on('error', () => undefined)
  const path = `/orders/${'x'.repeat(1000)}`
  const entry = { common_properties: { access_log_type: 'DownstreamEnd' }, request: { request_method: 'GET', path } }
  const message = {
    identifier: { node: { id: 'sidecar-1', cluster: 'orders' }, log_name: 'audit' },
    http_logs: { log_entry: Array.from({ length: 16 }, () => entry) },
  }
  for (let sent = 0; sent < bytes; sent += 16 * path.length) {
    if (!stream.write(message as never)) await once(stream, 'drain')
  }
}

function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) * 1024
}

test('a flood of access logs is held up by flow control while the spool is full, and memory stays bounded', async () => {
  const [nobody = 0] = await freePorts(1)
  const sinks = { central: { type: 'kafka', brokers: [`127.0.0.1:${nobody}`] } }
  served = await serve({ settings: () => ({ sinks, spool: { maxBytes: mebibyte }, shutdown: { graceMs: 1 } }) })
  const { admin, server, pep } = served
  proxy = await countBytesTo(server.port)
  for (let streams = 0; streams < 4; streams += 1) {
    const client = connectPep(`127.0.0.1:${proxy.port}`)
    clients.push(client)
    void flood(client, floodBytes / 4)
  }
  await until('the spool to be full', async () => (await admin('readyz')).body.includes('spool.maxBytes'))
  // Nothing passes any more, although most of the flood is still to come.
  let [before, same] = [-1, 0]
  await until('the flood to stand still', async () => {
    const now = proxy?.passed() ?? 0
    same = now === before ? same + 1 : 0
    before = now
    await new Promise((resolve) => setTimeout(resolve, 200))
    return same >= 10
  })
  expect(before).toBeLessThan(floodBytes / 8)
  expect(residentBytes(server.process.pid)).toBeLessThan(400 * mebibyte)
  // Held up, not dropped; and whoever asks meanwhile is denied.
  const metrics = (await admin('metrics')).body
  expect(metrics).not.toMatch(/countersign_events_missed_total\{of="access"/)
  const denied = await pep.check(allowedCheck)
  expect(denied.denied_response?.body).toContain('AUDIT_UNAVAILABLE')
})
