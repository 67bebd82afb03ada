import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, constants } from 'node:http2'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { status } from '@grpc/grpc-js'
import { type Authority, type Certificate, makeAuthority } from '../../deploy/envoy/demo/certificates.ts'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { parseListenAddress } from '../../src/grpc/address.ts'
import type { Caller } from '../../src/grpc/caller.ts'
import {
  type IncomingCheck,
  listen,
  type Listener,
  type ListenerParts,
  type ListenerSettings,
} from '../../src/grpc/listener.ts'
import { connectPep, type PepClient } from './client.ts'

const sidecar = 'spiffe://cluster.local/ns/shop/sa/orders'
const allow = { status: { code: 0 } }

const folder = mkdtempSync(join(tmpdir(), 'countersign-listener-'))
const toClose: (() => unknown)[] = []
let ours: Authority
let server: Certificate

beforeAll(async () => {
  ours = await makeAuthority('cluster.local')
  server = await ours.issue('spiffe://cluster.local/ns/countersign/sa/countersign')
})

afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
  rmSync(folder, { recursive: true, force: true })
})

interface Under {
  readonly listener: Listener
  readonly calls: IncomingCheck[]
  readonly refused: (readonly [Caller, string])[]
  readonly faults: unknown[]
}

async function listening(
  address: string,
  settings: Partial<ListenerSettings> = {},
  parts: Partial<ListenerParts> = {},
): Promise<Under> {
  const under = { calls: [] as IncomingCheck[], refused: [] as (readonly [Caller, string])[], faults: [] as unknown[] }
  const parsed = parseListenAddress(address)
  if (!parsed.ok) throw new Error(parsed.problem)
  const limits = { maxConnectionAgeMs: 60_000, maxConcurrentStreams: 100, maxSessionMemoryMb: 16 }
  const listener = await listen(
    { listen: parsed.value, insecure: false, ...limits, ...settings },
    {
      check: async (call) => {
        under.calls.push(call)
        return allow
      },
      receive: async (messages) => {
        for await (const _ of messages);
      },
      isListed: (id) => id.uri === sidecar,
      onRefused: (caller, problem) => under.refused.push([caller, problem]),
      onFault: (fault) => under.faults.push(fault),
      ...parts,
    },
  )
  toClose.push(() => listener.drain(0))
  return { listener, ...under }
}

function client(...args: Parameters<typeof connectPep>): PepClient {
  const pep = connectPep(...args)
  toClose.push(() => {
    pep.close()
  })
  return pep
}

describe('plaintext', () => {
  test('is refused on an address that others can reach', async () => {
    await expect(listening('0.0.0.0:0')).rejects.toMatchObject({
      code: 'LISTEN_REFUSED',
      message: expect.stringMatching(/^listen: 0\.0\.0\.0:0 .* tls\.certificate.*loopback.*insecure: true$/),
    })
  })

  test('is taken there where the settings say insecure', async () => {
    const { listener, calls } = await listening('0.0.0.0:0', { insecure: true })
    await client(`127.0.0.1:${listener.port}`).check()
    expect(calls).toHaveLength(1)
  })

  test('is taken on loopback, and names no principal of the caller', async () => {
    const { listener, calls } = await listening('127.0.0.1:0')
    await client(`127.0.0.1:${listener.port}`).check()
    expect(calls[0]?.pep).toEqual({ address: '127.0.0.1' })
  })

  test('is taken on IPv6', async () => {
    const { listener, calls } = await listening('[::1]:0')
    await client(`[::1]:${listener.port}`).check()
    expect(calls[0]?.pep).toEqual({ address: '::1' })
  })

  test('is taken on a Unix socket', async () => {
    const path = socketPath()
    const { calls } = await listening(`unix:${path}`)
    await client(`unix:${path}`).check()
    expect(calls).toHaveLength(1)
  })
})

describe('an address that is taken', () => {
  test('is told as a port', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    toClose.push(() => closed(other))
    const { port } = other.address() as { port: number }
    await expect(listening(`127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'ADDRESS_IN_USE',
      message: `listen: 127.0.0.1:${port} is taken by another process`,
    })
  })

  test('is told as a Unix socket, and its owner keeps it', async () => {
    const path = socketPath()
    const { calls } = await listening(`unix:${path}`)
    await expect(listening(`unix:${path}`)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
    await client(`unix:${path}`).check()
    expect(calls).toHaveLength(1)
  })

  test('is not the Unix socket that a killed server left behind', async () => {
    const path = socketPath()
    const code = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
    await once(spawn(process.execPath, ['-e', code], { stdio: 'ignore', env: {} }), 'close')
    const { calls } = await listening(`unix:${path}`)
    await client(`unix:${path}`).check()
    expect(calls).toHaveLength(1)
  })

  test('is told where a file stands in the place of a Unix socket, and the file stays', async () => {
    const path = socketPath()
    writeFileSync(path, 'mine')
    await expect(listening(`unix:${path}`)).rejects.toMatchObject({ code: 'ADDRESS_IN_USE' })
  })

  test('is told apart from one that this machine does not have', async () => {
    await expect(listening('203.0.113.7:0', { insecure: true })).rejects.toMatchObject({ code: 'LISTEN_REFUSED' })
  })
})

describe('mTLS', () => {
  const secure = async (parts: Partial<ListenerParts> = {}): Promise<Under> => {
    const tls = {
      certificate: Buffer.from(server.certificate),
      key: Buffer.from(server.key),
      clientCa: Buffer.from(ours.certificate),
    }
    return listening('127.0.0.1:0', { tls }, parts)
  }
  const as = (under: Under, own: Certificate | null): PepClient =>
    client(`127.0.0.1:${under.listener.port}`, { ca: ours.certificate, own })

  test('takes a listed caller, and names it', async () => {
    const under = await secure()
    await as(under, await ours.issue(sidecar)).check()
    expect(under.calls[0]?.pep).toEqual({ principal: sidecar, address: '127.0.0.1' })
    expect(under.refused).toEqual([])
  })

  test('refuses a caller without a certificate in the handshake', async () => {
    const under = await secure()
    await expect(as(under, null).check()).rejects.toMatchObject({ code: status.UNAVAILABLE })
    expect(under.calls).toEqual([])
  })

  test('refuses a certificate of another CA in the handshake, whatever name it has', async () => {
    const under = await secure()
    const forged = await (await makeAuthority('cluster.local')).issue(sidecar)
    await expect(as(under, forged).check()).rejects.toMatchObject({ code: status.UNAVAILABLE })
    expect(under.calls).toEqual([])
  })

  test('refuses plaintext', async () => {
    const under = await secure()
    await expect(client(`127.0.0.1:${under.listener.port}`).check()).rejects.toMatchObject({
      code: status.UNAVAILABLE,
    })
  })

  test.each([
    ['that is not listed', ['spiffe://cluster.local/ns/shop/sa/web'], /is not one of tls\.callers/],
    ['with two URI SANs', [sidecar, 'spiffe://cluster.local/ns/shop/sa/web'], /more than one URI SAN/],
    ['with no URI SAN', [], /no URI SAN/],
  ])('refuses a caller %s, for Checks and access logs, and tells of it', async (_, uris, problem) => {
    const under = await secure()
    const pep = as(under, await ours.issue(...uris))
    await expect(pep.check()).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: expect.stringMatching(problem),
    })
    expect(await pep.logs().ended).toBe(status.PERMISSION_DENIED)
    expect(under.calls).toEqual([])
    expect(under.refused.map(([, why]) => why)).toEqual([
      expect.stringMatching(problem),
      expect.stringMatching(problem),
    ])
  })
})

describe('a call', () => {
  test('brings the time that is left before Envoy’s deadline, less what the answer needs', async () => {
    const { listener, calls } = await listening('127.0.0.1:0')
    await client(`127.0.0.1:${listener.port}`).check({}, { deadline: Date.now() + 60_000 })
    expect(calls[0]?.withinMs).toBeLessThanOrEqual(60_000 - 30)
    expect(calls[0]?.withinMs).toBeGreaterThan(30_000)
  })

  test('brings no time where Envoy has no deadline', async () => {
    const { listener, calls } = await listening('127.0.0.1:0')
    await client(`127.0.0.1:${listener.port}`).check()
    expect(calls[0]).not.toHaveProperty('withinMs')
  })

  test('that fails inside is an RPC error, which Envoy does not take for an allow; the server lives', async () => {
    const parts = { check: () => Promise.reject(new Error('broken')) }
    const { listener, faults } = await listening('127.0.0.1:0', {}, parts)
    const pep = client(`127.0.0.1:${listener.port}`)
    for (let time = 0; time < 2; time += 1) {
      await expect(pep.check()).rejects.toMatchObject({ code: status.INTERNAL, details: 'the check failed inside' })
    }
    expect(faults).toHaveLength(2)
  })

  test('that an Envoy breaks off is no fault', async () => {
    const opened = Promise.withResolvers<undefined>()
    const ended = Promise.withResolvers<undefined>()
    const receive: ListenerParts['receive'] = async (messages) => {
      try {
        for await (const _ of messages) opened.resolve(undefined)
      } finally {
        ended.resolve(undefined)
      }
    }
    const { listener, faults } = await listening('127.0.0.1:0', {}, { receive })
    const { stream } = client(`127.0.0.1:${listener.port}`).logs()
    stream.write({})
    await opened.promise
    stream.cancel()
    await ended.promise
    await client(`127.0.0.1:${listener.port}`).check()
    expect(faults).toEqual([])
  })
})

describe('health', () => {
  const services = ['', 'envoy.service.auth.v3.Authorization', 'envoy.service.accesslog.v3.AccessLogService']

  test('does not serve before it is told so, and follows what it is told', async () => {
    const { listener } = await listening('127.0.0.1:0')
    const pep = client(`127.0.0.1:${listener.port}`)
    const all = () => Promise.all(services.map((service) => pep.health(service)))
    expect(await all()).toEqual(services.map(() => 'NOT_SERVING'))
    listener.setServing(true)
    expect(await all()).toEqual(services.map(() => 'SERVING'))
    listener.setServing(false)
    expect(await all()).toEqual(services.map(() => 'NOT_SERVING'))
  })

  test('knows no other service', async () => {
    const { listener } = await listening('127.0.0.1:0')
    await expect(client(`127.0.0.1:${listener.port}`).health('other')).rejects.toMatchObject({ code: status.NOT_FOUND })
  })

  test('tells a watch of each change once', async () => {
    const { listener } = await listening('127.0.0.1:0')
    const { seen } = client(`127.0.0.1:${listener.port}`).watch()
    await until('the first state', () => seen.length === 1)
    for (const serving of [false, true, true, true, false, false]) listener.setServing(serving)
    await until('the last state', () => seen.length >= 3)
    expect(seen).toEqual(['NOT_SERVING', 'SERVING', 'NOT_SERVING'])
  })
})

describe('a drain', () => {
  const never = 2 ** 31 - 1

  test('answers the Check that is under way, takes no new connection, and ends', async () => {
    const arrived = Promise.withResolvers<undefined>()
    const answer = Promise.withResolvers<typeof allow>()
    const check: ListenerParts['check'] = () => {
      arrived.resolve(undefined)
      return answer.promise
    }
    const { listener } = await listening('127.0.0.1:0', {}, { check })
    const answered = client(`127.0.0.1:${listener.port}`).check()
    await arrived.promise
    const drained = listener.drain(never)
    await expect(client(`127.0.0.1:${listener.port}`).check()).rejects.toMatchObject({ code: status.UNAVAILABLE })
    answer.resolve(allow)
    expect((await answered).status?.code).toBe(0)
    await drained
  })

  test('ends access-log streams and watches, which would go on for ever', async () => {
    const { listener } = await listening('127.0.0.1:0')
    const pep = client(`127.0.0.1:${listener.port}`)
    const { stream, ended } = pep.logs()
    stream.write({})
    const watch = pep.watch()
    await until('the watch', () => watch.seen.length === 1)
    await listener.drain(never)
    expect(await ended).toBe(status.OK)
    await watch.ended
  })

  test('does not wait for an idle connection', async () => {
    const { listener } = await listening('127.0.0.1:0')
    await client(`127.0.0.1:${listener.port}`).check()
    await listener.drain(never)
  })

  test('gives up a Check that never ends when the grace time is over', async () => {
    const { listener } = await listening('127.0.0.1:0', {}, { check: () => new Promise(() => undefined) })
    const answered = client(`127.0.0.1:${listener.port}`).check()
    const failed = expect(answered).rejects.toMatchObject({ code: expect.any(Number) })
    await listener.drain(100)
    await failed
  })
})

test('a connection is asked to be made anew when it has reached its maximum age', async () => {
  const { listener } = await listening('127.0.0.1:0', { maxConnectionAgeMs: 50 })
  const session = connect(`http://127.0.0.1:${listener.port}`)
  const [code] = (await once(session, 'goaway')) as [number]
  expect(code).toBe(constants.NGHTTP2_NO_ERROR)
  session.close()
})

test('a connection is told how many calls it may have at a time', async () => {
  const { listener } = await listening('127.0.0.1:0', { maxConcurrentStreams: 7 })
  const session = connect(`http://127.0.0.1:${listener.port}`)
  await once(session, 'remoteSettings')
  expect(session.remoteSettings.maxConcurrentStreams).toBe(7)
  session.close()
})

function socketPath(): string {
  return join(mkdtempSync(join(tmpdir(), 'countersign-socket-')), 'countersign.sock')
}

function closed(other: Server): Promise<unknown> {
  other.close()
  return once(other, 'close')
}
