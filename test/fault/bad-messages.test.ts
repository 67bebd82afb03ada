import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { status } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { type Countersign, startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { until } from '../../deploy/envoy/demo/processes.ts'
import type { AccessData, DecisionData } from '../../src/audit/event-data.ts'
import { queryCommand } from '../../src/cli/commands/query.ts'
import { verifyCommand } from '../../src/cli/commands/verify.ts'
import type { CheckResponse__Output } from '../../src/wire/envoy/service/auth/v3/CheckResponse.ts'
import type { StreamAccessLogsMessage } from '../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import { logMethod } from '../access-log/entries.ts'
import { checkMethod, httpAttributes } from '../check/calls.ts'
import { runCommand } from '../cli/run-command.ts'
import { expectValidRecord } from '../contract/event-schema.ts'
import type { TrailRecord } from '../e2e/mesh.ts'
import { checkPath, type Ended, framed, logPath, RawCaller, RawSession, sendRaw } from './bad-caller.ts'

const good = checkMethod.requestSerialize({ attributes: httpAttributes() })
const garbage = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x7f, 0x00])

const ok: number = status.OK
const cancelled: number = status.CANCELLED

describe('a server that is sent what no Envoy sends', () => {
  let folder: string
  let server: Countersign
  let caller: RawCaller

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-fault-'))
    server = await startCountersign({
      ...{ main: 'src/cli/main.ts', data: join(folder, 'data') },
      settings: { audit: { deadlineMs: 4000 } },
    })
    caller = new RawCaller(server.port)
  }, 180_000)

  afterAll(async () => {
    caller.close()
    expect(await server.process.stop()).toBe(0)
    rmSync(folder, { recursive: true, force: true })
  }, 180_000)

  // Whatever it was sent: it lives, still decides, and its trail is whole.
  afterEach(async () => {
    const answer = answerOf(await caller.check(good))
    expect(answer.ok_response).toBeDefined()
    expect((await decisionOf(answer)).data).toMatchObject({ effect: 'allow', reason: 'ALLOWED_BY_RULE' })
    expect(await runCommand(verifyCommand, ['--data', join(folder, 'data')])).toMatchObject({ exitCode: 0 })
  }, 180_000)

  test.each<[string, Buffer]>([
    ['bytes that are no message', garbage],
    ['a message that is cut off', good.subarray(0, good.length - 3)],
    [
      'random bytes behind a field that is longer than they are',
      Buffer.concat([Buffer.from([0x0a, 0xff, 0x7f]), randomBytes(64)]),
    ],
    ['groups nested a hundred thousand deep', nestedGroups(100_000)],
    ['groups that never end', Buffer.alloc(1000, 0x7b)],
    ['nothing at all', Buffer.alloc(0)],
    [
      'a message larger than 1 MiB',
      checkMethod.requestSerialize({ attributes: httpAttributes({ headers: { x: 'a'.repeat(1_100_000) } }) }),
    ],
  ])('denies %s as malformed, and the denial stands in the trail', async (_, bytes) => {
    const answer = answerOf(await caller.check(bytes))
    expect(answer.status?.message).toBe('REQUEST_MALFORMED')
    expect(answer.denied_response?.status?.code).toBe('Forbidden')
    expect((await decisionOf(answer)).data).toMatchObject({ effect: 'deny', reason: 'REQUEST_MALFORMED', rule: null })
  })

  test.each<[string, Parameters<typeof httpAttributes>[0], string]>([
    ['a path of 9 KiB', { path: `/orders/${'a'.repeat(9 * 1024)}` }, 'REQUEST_MALFORMED'],
    ['invalid UTF-8 in the path', { path: '/orders/\uFFFD' }, 'PATH_SUSPICIOUS'],
    ['an encoded slash', { path: '/orders/1%2f..%2fadmin' }, 'PATH_SUSPICIOUS'],
    ['a method that is none', { method: 'GET\n' }, 'REQUEST_MALFORMED'],
  ])('denies %s', async (_, http, reason) => {
    const answer = answerOf(await caller.check(checkMethod.requestSerialize({ attributes: httpAttributes(http) })))
    expect(answer.status?.message).toBe(reason)
    expect((await decisionOf(answer)).data).toMatchObject({ effect: 'deny', reason })
  })

  test('decides a request of 1,000 headers with the names of an object’s own members', async () => {
    const names = Array.from({ length: 1000 }, (_, index) => [`x-${String(index)}`, 'v'])
    const headers = Object.fromEntries([...names, ['constructor', 'x'], ['__proto__', 'x']]) as Record<string, string>
    const answer = answerOf(
      await caller.check(checkMethod.requestSerialize({ attributes: httpAttributes({ headers }) })),
    )
    expect(answer.ok_response).toBeDefined()
  })

  test('refuses a message larger than 4 MiB with RESOURCE_EXHAUSTED', async () => {
    const large = Buffer.alloc(4 * 1024 * 1024 + 1)
    expect(await caller.check(large)).toEqual({ code: status.RESOURCE_EXHAUSTED })
    const stream = caller.openLog()
    void stream.send(large)
    expect(await stream.end()).toEqual({ code: status.RESOURCE_EXHAUSTED })
  })

  test.each<[string, Buffer]>([
    ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n')],
    ['a TLS handshake', Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])],
    ['random bytes', randomBytes(4096)],
    [
      'HTTP/2 that breaks off into random bytes',
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), randomBytes(4096)]),
    ],
    ['nothing', Buffer.alloc(0)],
  ])('outlives %s on its port', async (_, bytes) => {
    await sendRaw(server.port, bytes)
  })

  test.each<[string, string, Buffer, string | undefined, number]>([
    ['an unknown method', '/envoy.service.auth.v3.Authorization/Delete', framed(good), undefined, status.UNIMPLEMENTED],
    ['a path that is no method', '/', framed(good), undefined, status.UNIMPLEMENTED],
    ['a call without a message', checkPath, Buffer.alloc(0), undefined, status.UNIMPLEMENTED],
    [
      'a frame that promises more than comes',
      checkPath,
      framed(good, { length: 1000 }),
      undefined,
      status.UNIMPLEMENTED,
    ],
    [
      'a frame that promises 4 GiB',
      checkPath,
      framed(good, { length: 0xffff_ffff }),
      undefined,
      status.RESOURCE_EXHAUSTED,
    ],
    ['a compression that nobody knows', checkPath, framed(good, { flag: 1 }), 'zebra', status.UNIMPLEMENTED],
    ['what is not compressed as it says', checkPath, framed(good, { flag: 1 }), 'gzip', status.INTERNAL],
    [
      'a little that is 64 MiB once it is unpacked',
      checkPath,
      framed(gzipSync(Buffer.alloc(64 * 1024 * 1024)), { flag: 1 }),
      'gzip',
      status.RESOURCE_EXHAUSTED,
    ],
  ])('answers %s with an error, not with an allow', async (_, path, frame, encoding, code) => {
    const session = new RawSession(server.port)
    expect(await session.call(path, frame, encoding)).toBe(String(code))
    session.destroy()
  })

  test('answers what is HTTP/2 but not gRPC with an error', async () => {
    const session = new RawSession(server.port)
    expect(await session.get('/')).toBeGreaterThanOrEqual(400)
    session.destroy()
  })

  test('counts garbage in the middle of an access-log stream, and takes what comes after', async () => {
    const before = await malformedCount()
    const stream = caller.openLog()
    await stream.send(logOf('/middle/before', 'orders-1'))
    await stream.send(garbage)
    await stream.send(logOf('/middle/after'))
    expect((await stream.end()).code).toBe(status.OK)
    const [first, second] = await accessesOf('/middle/', 2)
    expect(first?.data.envoy).toMatchObject({ node: 'orders-1', logName: 'audit' })
    expect(second?.data.envoy).toMatchObject({ node: 'orders-1', logName: 'audit' })
    expect(await malformedCount()).toBe(before + 1)
  })

  test('takes entries of an Envoy that does not say who it is, and entries that say nothing', async () => {
    const stream = caller.openLog()
    await stream.send(logOf('/nameless/1'))
    await stream.send(logMethod.requestSerialize({ http_logs: { log_entry: [{}] }, identifier: { node: {} } }))
    await stream.send(logMethod.requestSerialize({ tcp_logs: { log_entry: [{}] } }))
    expect((await stream.end()).code).toBe(status.OK)
    const [access] = await accessesOf('/nameless/', 1)
    expect(access?.data.envoy).toMatchObject({ node: null, cluster: null, logName: null })
  })

  test('serves hundreds of streams at once', async () => {
    const streams = Array.from({ length: 300 }, () => caller.openLog())
    await Promise.all(
      streams.map((stream, index) => stream.send(logOf(`/many/${String(index)}`, `envoy-${String(index)}`))),
    )
    expect(answerOf(await caller.check(good)).ok_response).toBeDefined()
    const ended = await Promise.all(streams.map((stream) => stream.end()))
    expect(ended.filter(({ code }) => code !== ok)).toEqual([])
    const accesses = await accessesOf('/many/', 300)
    expect(new Set(accesses.map(({ data }) => data.envoy.node)).size).toBe(300)
  }, 180_000)

  test('outlives callers that cancel', async () => {
    const codes = await Promise.all(Array.from({ length: 100 }, () => caller.cancelled(good)))
    expect(codes.filter((code) => code !== ok && code !== cancelled)).toEqual([])
    const stream = caller.openLog()
    await stream.send(logOf('/cancelled/1'))
    await accessesOf('/cancelled/', 1)
    expect((await stream.cancel()).code).toBe(status.CANCELLED)
  })

  test('outlives streams that are reset, and connections that break off', async () => {
    const session = new RawSession(server.port)
    const begun = Array.from({ length: 200 }, (_, index) =>
      session.begin(index % 2 === 0 ? checkPath : logPath, framed(good).subarray(0, 3 + (index % 20))),
    )
    await Promise.all(begun.map((stream) => session.reset(stream)))
    for (let index = 0; index < 50; index += 1) session.begin(logPath, framed(logOf('/broken/1')))
    session.destroy()
    await session.closed
  })

  test('ends a connection that resets without end, and no other', async () => {
    const session = new RawSession(server.port)
    for (let index = 0; index < 200 && !session.destroyed; index += 1) {
      const begun = Array.from({ length: 50 }, () => session.begin(checkPath, framed(good)))
      await Promise.race([session.closed, Promise.all(begun.map((stream) => session.reset(stream)))])
    }
    expect(session.destroyed).toBe(true)
  }, 180_000)

  test('has not been restarted, and told of no fault inside', () => {
    expect(server.process.output()).not.toMatch(/a call failed inside|unhandled|uncaught/i)
  })

  /** All records so far, each validated. */
  async function records(): Promise<TrailRecord[]> {
    const { out } = await runCommand(queryCommand, ['--data', join(folder, 'data'), '--json'])
    const lines = out.split('\n').filter((line) => line !== '')
    return lines.map((line) => expectValidRecord(line) as unknown as TrailRecord)
  }

  /** The decision record of an answer, once it can be read. */
  async function decisionOf(answer: CheckResponse__Output): Promise<TrailRecord<DecisionData>> {
    const id = answer.dynamic_metadata?.fields?.['decisionId']?.stringValue
    let found: TrailRecord | undefined
    await until(`the record of decision ${String(id)}`, async () => {
      found = (await records()).find((record) => record.id === id)
      return found !== undefined
    })
    return found as TrailRecord<DecisionData>
  }

  async function accessesOf(path: string, count: number): Promise<TrailRecord<AccessData>[]> {
    let found: TrailRecord<AccessData>[] = []
    await until(`${String(count)} accesses of ${path}`, async () => {
      const all = (await records()) as TrailRecord<AccessData>[]
      found = all.filter(
        ({ type, data }) => type === 'io.countersign.access.v1' && data.resource.path?.startsWith(path) === true,
      )
      return found.length >= count
    })
    expect(found).toHaveLength(count)
    return found
  }

  async function malformedCount(): Promise<number> {
    const page = await (await fetch(`http://127.0.0.1:${String(server.adminPort)}/metrics`)).text()
    return Number(/^countersign_access_log_malformed_total (\d+)$/m.exec(page)?.[1] ?? 0)
  }
})

function answerOf({ code, bytes }: Ended): CheckResponse__Output {
  expect(code).toBe(status.OK)
  return checkMethod.responseDeserialize(bytes ?? Buffer.alloc(0))
}

function logOf(path: string, node?: string): Buffer {
  const message: StreamAccessLogsMessage = {
    ...(node === undefined ? {} : { identifier: { node: { id: node, cluster: 'orders' }, log_name: 'audit' } }),
    http_logs: { log_entry: [{ common_properties: { access_log_type: 'DownstreamEnd' }, request: { path } }] },
  }
  return logMethod.requestSerialize(message)
}

/** A group within a group and so on, of a field that nobody knows. */
function nestedGroups(depth: number): Buffer {
  return Buffer.concat([Buffer.alloc(depth, 0x7b), Buffer.alloc(depth, 0x7c)])
}
