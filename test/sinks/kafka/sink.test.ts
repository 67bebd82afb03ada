import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { createKafkaSink, type KafkaSinkSettings } from '../../../src/sinks/kafka/sink.ts'
import { makeRecords } from '../../contract/sink.ts'

const unavailable = { code: 'KAFKA_UNAVAILABLE', retryable: true }

function makeSink(settings: Partial<KafkaSinkSettings>) {
  return createKafkaSink(
    {
      brokers: ['127.0.0.1:1'],
      topic: 'audit',
      compression: 'zstd',
      topicCheck: 'warn',
      requestTimeoutMs: 300,
      ...settings,
    },
    { replica: 'web-0', mark: null, topicProblems: () => undefined, log: () => undefined },
  )
}

/** A broker that accepts connections and answers as told. */
async function listen(answer: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).resume()
    socket.once('close', () => sockets.delete(socket))
    answer(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const stop = () => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  }
  return { brokers: [`127.0.0.1:${(server.address() as AddressInfo).port}`], sockets, stop }
}

describe('a broker that is no use', () => {
  test.each<readonly [string, (socket: Socket) => void]>([
    ['says nothing', () => undefined],
    ['hangs up', (socket) => socket.end()],
    ['resets the connection', (socket) => socket.resetAndDestroy()],
    ['speaks HTTP', (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['answers with nothing but zeros', (socket) => socket.on('data', () => socket.write(Buffer.alloc(64)))],
  ])('that %s ends a delivery with KAFKA_UNAVAILABLE, and the process lives', async (_, answer) => {
    const broker = await listen(answer)
    const sink = makeSink({ brokers: broker.brokers })
    await expect(sink.deliver(makeRecords(1))).rejects.toMatchObject(unavailable)
    await expect(sink.deliver(makeRecords(1))).rejects.toMatchObject(unavailable)
    await sink.close()
    await broker.stop()
  })

  test('that is not there is named', async () => {
    const sink = makeSink({ requestTimeoutMs: 10_000 })
    await expect(sink.deliver(makeRecords(1))).rejects.toThrow(/ECONNREFUSED.*brokers 127\.0\.0\.1:1, topic audit/)
    await sink.close()
  })

  test('keeps no connection once its producer was given up', async () => {
    const broker = await listen(() => undefined)
    const sink = makeSink({ brokers: broker.brokers })
    await expect(sink.deliver(makeRecords(1))).rejects.toMatchObject(unavailable)
    while (broker.sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    await sink.close()
    await broker.stop()
  })

  test('does not hold up closing', async () => {
    const broker = await listen(() => undefined)
    const sink = makeSink({ brokers: broker.brokers, requestTimeoutMs: 600_000 })
    const delivery = sink.deliver(makeRecords(1))
    const refused = expect(delivery).rejects.toMatchObject(unavailable)
    while (broker.sockets.size === 0) await new Promise((resolve) => setTimeout(resolve, 10))
    await sink.close()
    await refused
    while (broker.sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    await broker.stop()
  })
})

describe('files for TLS', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-tls-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('that are missing are named', async () => {
    const sink = makeSink({ tls: { ca: join(folder, 'ca.pem') } })
    const refused = expect(sink.deliver(makeRecords(1))).rejects
    await refused.toMatchObject({
      code: 'TLS_INVALID',
      message: expect.stringContaining(join(folder, 'ca.pem')),
    })
    await sink.close()
  })

  test('that hold no PEM are named', async () => {
    const key = join(folder, 'key.pem')
    await writeFile(key, 'no key')
    const sink = makeSink({ tls: { key } })
    const refused = expect(sink.deliver(makeRecords(1))).rejects
    await refused.toMatchObject({ code: 'TLS_INVALID', message: expect.stringContaining(key) })
    await sink.close()
  })
})

test('a password stands in no error and in no line of the log', async () => {
  const said: unknown[] = []
  const sasl = { mechanism: 'plain', username: 'audit', password: 'hunter2-hunter2' } as const
  const sink = createKafkaSink(
    { brokers: ['127.0.0.1:1'], topic: 'audit', sasl, compression: 'zstd', topicCheck: 'enforce' },
    {
      replica: 'web-0',
      mark: null,
      topicProblems: (problems) => said.push(problems),
      log: (...line) => said.push(line),
    },
  )
  said.push(await sink.deliver(makeRecords(1)).catch((fault: unknown) => fault))
  await sink.close()
  expect(inspect(said, { depth: 20 })).not.toContain('hunter2')
})
