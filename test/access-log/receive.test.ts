import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { v7 as uuidv7 } from 'uuid'
import type { Logger } from '../../src/access-log/logger.ts'
import { receive, type ReceiveParts } from '../../src/access-log/receive.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { HTTPAccessLogEntry } from '../../src/wire/envoy/data/accesslog/v3/HTTPAccessLogEntry.ts'
import type {
  StreamAccessLogsMessage,
  StreamAccessLogsMessage__Output,
} from '../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import { acceptedDomains } from '../cases/access-requests.ts'
import { FakeAuditLog } from '../fakes/audit-log.ts'
import { anyLogMessage } from './any-log-message.ts'
import { now, onTheWire, servedEntry } from './entries.ts'

/** What a stream was made into, with what the parts were told. */
class Receiver {
  readonly log = new FakeAuditLog()
  readonly events: AuditEvent[] = []
  readonly malformed: Logger[] = []
  readonly stopping = new AbortController()
  /** Events that were made, whether or not they have been taken. */
  made = 0
  readonly parts: ReceiveParts = {
    auditLog: this.log,
    trustDomains: acceptedDomains,
    newId: () => {
      this.made += 1
      return uuidv7()
    },
    now: () => now,
    onEvent: (event) => this.events.push(event),
    onMalformed: (logger) => this.malformed.push(logger),
    stopping: this.stopping.signal,
  }

  async take(messages: readonly (StreamAccessLogsMessage | undefined)[]): Promise<void> {
    await receive(streamOf(messages), this.parts)
  }
}

async function* streamOf(
  messages: readonly (StreamAccessLogsMessage | undefined)[],
): AsyncGenerator<StreamAccessLogsMessage__Output | undefined> {
  await Promise.resolve()
  for (const message of messages) yield message === undefined ? undefined : onTheWire(message)
}

const logs = (...paths: string[]): StreamAccessLogsMessage => ({
  http_logs: { log_entry: paths.map((path) => servedEntry({ metadata: {} }, { request: { path } })) },
})

const identified = (id: string): StreamAccessLogsMessage => ({
  identifier: { node: { id, cluster: 'orders' }, log_name: 'audit' },
})

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('receiving a stream', () => {
  test('remembers who logs, which stands in the first message only', async () => {
    const receiver = new Receiver()
    await receiver.take([{ ...identified('orders-1'), ...logs('/1') }, logs('/2'), logs('/3', '/4')])
    expect(receiver.log.accesses.map(({ data }) => [data.resource.path, data.envoy.node, data.envoy.logName])).toEqual([
      ['/1', 'orders-1', 'audit'],
      ['/2', 'orders-1', 'audit'],
      ['/3', 'orders-1', 'audit'],
      ['/4', 'orders-1', 'audit'],
    ])
    expect(receiver.events).toHaveLength(4)
  })

  test('keeps streams apart', async () => {
    const [one, other] = [new Receiver(), new Receiver()]
    await Promise.all([one.take([identified('a'), logs('/a')]), other.take([logs('/b')])])
    expect(one.log.accesses.map(({ data }) => data.envoy.node)).toEqual(['a'])
    expect(other.log.accesses.map(({ data }) => data.envoy.node)).toEqual([null])
  })

  test('takes entries of an Envoy that does not say who it is', async () => {
    const receiver = new Receiver()
    await receiver.take([{ identifier: {}, ...logs('/1') }, logs('/2')])
    expect(receiver.log.accesses.map(({ data }) => data.envoy)).toMatchObject([
      { node: null, cluster: null, logName: null },
      { node: null, cluster: null, logName: null },
    ])
  })

  test('counts a malformed message in the middle, and goes on as the same logger', async () => {
    const receiver = new Receiver()
    await receiver.take([{ ...identified('orders-1'), ...logs('/1') }, undefined, logs('/2')])
    expect(receiver.malformed).toEqual([{ node: 'orders-1', cluster: 'orders', logName: 'audit' }])
    expect(receiver.log.accesses.map(({ data }) => [data.resource.path, data.envoy.node])).toEqual([
      ['/1', 'orders-1'],
      ['/2', 'orders-1'],
    ])
  })

  test('counts a malformed message before Envoy has said who it is', async () => {
    const receiver = new Receiver()
    await receiver.take([undefined])
    expect(receiver.malformed).toEqual([{ node: null, cluster: null, logName: null }])
  })

  test('takes HTTP and TCP entries', async () => {
    const receiver = new Receiver()
    await receiver.take([logs('/1'), { tcp_logs: { log_entry: [{}, {}] } }, {}])
    expect(receiver.log.accesses.map(({ data }) => data.action.protocol)).toEqual(['http', 'tcp', 'tcp'])
  })

  test('rejects where the stream does, after what came before', async () => {
    const receiver = new Receiver()
    async function* broken(): AsyncGenerator<StreamAccessLogsMessage__Output> {
      yield onTheWire(logs('/1'))
      await Promise.resolve()
      throw new Error('reset')
    }
    await expect(receive(broken(), receiver.parts)).rejects.toThrow('reset')
    expect(receiver.log.accesses).toHaveLength(1)
  })

  test('makes valid records of any messages', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.option(anyLogMessage, { nil: undefined }), { maxLength: 4 }), async (messages) => {
        const receiver = new Receiver()
        await receiver.take(messages)
        expect(receiver.malformed).toHaveLength(messages.filter((message) => message === undefined).length)
        expect(receiver.log.accesses).toHaveLength(receiver.events.length)
      }),
    )
  })
})

test('lets Checks, which wait on the same thread, have their turn between a few events', async () => {
  const receiver = new Receiver()
  const received = receiver.take([{ http_logs: { log_entry: Array.from({ length: 500 }, () => ({})) } }])
  let most = 0
  for (let before = 0; before < 500; before = receiver.made) {
    await settle()
    most = Math.max(most, receiver.made - before)
  }
  await received
  expect(most).toBeLessThanOrEqual(16)
})

describe('a disk that takes nothing', () => {
  const bound = 1024

  test('holds the stream up at the bound, instead of filling the memory', async () => {
    const receiver = new Receiver()
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    receiver.log.durable = () => held
    let taken = 0
    async function* counted(): AsyncGenerator<StreamAccessLogsMessage__Output> {
      for await (const message of streamOf(Array.from({ length: 2000 }, () => logs('/1')))) {
        taken += 1
        yield message ?? {}
      }
    }
    const received = receive(counted(), receiver.parts)
    while (receiver.events.length < bound) await settle()
    for (let turn = 0; turn < 20; turn += 1) await settle()
    expect(taken).toBe(bound)
    expect(receiver.events).toHaveLength(bound)
    release()
    await received
    expect(receiver.log.accesses).toHaveLength(2000)
  }, 180_000)

  test('holds up a single message of many entries too, whose events are made one at a time', async () => {
    const receiver = new Receiver()
    receiver.log.durable = () => new Promise(() => undefined)
    const entries: HTTPAccessLogEntry[] = Array.from({ length: 5000 }, () => ({}))
    void receiver.take([{ http_logs: { log_entry: entries } }])
    while (receiver.events.length < bound) await settle()
    for (let turn = 0; turn < 20; turn += 1) await settle()
    expect(receiver.made).toBe(bound)
  }, 180_000)

  test('lets a stream that was held up come to its end when the server begins to stop', async () => {
    const receiver = new Receiver()
    receiver.log.durable = () => new Promise(() => undefined)
    const received = receiver.take(Array.from({ length: 2000 }, () => logs('/1')))
    while (receiver.events.length < bound) await settle()
    receiver.stopping.abort()
    await received
    // One that begins only now is not held up either.
    await receiver.take(Array.from({ length: 2000 }, () => logs('/2')))
    expect(receiver.log.accesses).toHaveLength(4000)
  }, 180_000)
})
