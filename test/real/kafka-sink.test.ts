import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals'
import { createKafkaSink, type KafkaSinkSettings } from '../../src/sinks/kafka/sink.ts'
import type { Sink } from '../../src/sinks/sink.ts'
import { describeSink, makeRecords } from '../contract/sink.ts'
import { makeKafkaAuthority } from './kafka/certificates.ts'
import { startKafka, type RealKafka } from './kafka.ts'
import { describeWith } from './parts.ts'

jest.setTimeout(180_000)

const user = { username: 'audit', password: 'correct-horse' }

describeWith('kafka', 'the Kafka sink with a real Kafka', () => {
  let kafka: RealKafka
  let folder: string
  let files: { ca: string; certificate: string; key: string }
  const sinks: Sink[] = []

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-kafka-tls-'))
    files = { ca: join(folder, 'ca.pem'), certificate: join(folder, 'client.pem'), key: join(folder, 'client-key.pem') }
    const authority = await makeKafkaAuthority()
    const client = await authority.issue('countersign')
    await Promise.all([
      writeFile(files.ca, authority.ca),
      writeFile(files.certificate, client.certificate),
      writeFile(files.key, client.key),
    ])
    kafka = await startKafka({ sasl: user, tls: { ...(await authority.issue('broker')), clientCa: authority.ca } })
  })

  afterAll(async () => {
    await Promise.all(sinks.map((sink) => sink.close()))
    await kafka.stop()
    await rm(folder, { recursive: true })
  })

  function makeSink(
    settings: Partial<KafkaSinkSettings> & { topic: string },
    replica = 'web-0',
    mark: string | null = null,
  ): Sink {
    const sink = createKafkaSink(
      { brokers: kafka.brokers, compression: 'zstd', topicCheck: 'warn', ...settings },
      { replica, mark, topicProblems: () => undefined, log: () => undefined },
    )
    sinks.push(sink)
    return sink
  }

  let topics = 0
  describeSink('the Kafka sink', async () => {
    const topic = `contract-${++topics}`
    await kafka.createTopic(topic, 3)
    return {
      sink: makeSink({ topic }),
      delivered: async () => {
        const maxMessages = await kafka.recordCount(topic)
        const records = maxMessages === 0 ? [] : await kafka.consoleConsumer({ topic, maxMessages })
        return records.map(({ value }) => value)
      },
      fail: async () => {
        await kafka.kill()
        return async () => {
          await kafka.restart()
          await untilItSucceeds(() => kafka.recordCount(topic))
        }
      },
      dispose: () => kafka.deleteTopic(topic),
    }
  })

  test('5,000 records arrive in order, in one partition, with key and headers', async () => {
    await kafka.createTopic('many', 6)
    const records = makeRecords(5_000)
    const sink = makeSink({ topic: 'many' })
    for (let from = 0; from < records.length; from += 1_000) await sink.deliver(records.slice(from, from + 1_000))
    const consumed = await kafka.consoleConsumer({ topic: 'many', maxMessages: 5_000 })
    expect(consumed.map(({ value }) => value)).toEqual(records.map(({ line }) => line))
    expect(new Set(consumed.map(({ partition }) => partition)).size).toBe(1)
    expect(new Set(consumed.map(({ key }) => key))).toEqual(new Set(['web-0']))
    expect(consumed.at(-1)?.headers).toEqual({
      'content-type': 'application/cloudevents+json',
      ce_type: 'io.countersign.access.v1',
      ce_id: '01980000-0000-7000-8000-000000005000',
    })
    expect(await kafka.recordCount('many')).toBe(5_000)
  })

  test('a replica has the partition that Kafka’s own producer gives its key', async () => {
    const replicas = ['web-0', 'countersign-7d9f-x2', 'größe', 'a', 'shop.example.com']
    await kafka.createTopic('keys', 12)
    for (const replica of replicas) await makeSink({ topic: 'keys' }, replica).deliver(makeRecords(1))
    await kafka.consoleProducer(
      'keys',
      replicas.map((replica) => [replica, 'from Kafka']),
    )
    const consumed = await kafka.consoleConsumer({ topic: 'keys', maxMessages: 10 })
    const partitionsOf = (replica: string) => consumed.filter(({ key }) => key === replica).map((one) => one.partition)
    for (const replica of replicas) {
      expect(partitionsOf(replica)).toEqual([partitionsOf(replica)[0], partitionsOf(replica)[0]])
    }
  })

  test('an absent topic is not made, but asked for; once it is there, the same sink delivers', async () => {
    const sink = makeSink({ topic: 'absent' })
    await expect(sink.deliver(makeRecords(1))).rejects.toMatchObject({
      code: 'KAFKA_UNAVAILABLE',
      retryable: true,
      message: expect.stringMatching(/create the topic absent with replication factor 3 and min\.insync\.replicas=2/),
    })
    await kafka.createTopic('absent')
    await sink.deliver(makeRecords(1))
    expect(await kafka.recordCount('absent')).toBe(1)
  })

  test('a topic that takes only small batches is named, with what to do', async () => {
    await kafka.createTopic('small', 1, { 'max.message.bytes': '10000' })
    await expect(makeSink({ topic: 'small', compression: 'none' }).deliver(makeRecords(100))).rejects.toThrow(
      /max\.message\.bytes/,
    )
  })

  test('a topic that was made anew has lost what it acknowledged: it is said, and everything is taken again', async () => {
    await kafka.createTopic('renewed')
    const sink = makeSink({ topic: 'renewed' })
    await sink.deliver(makeRecords(5))
    await kafka.deleteTopic('renewed')
    await expect(sink.deliver(makeRecords(2))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
    await kafka.createTopic('renewed')
    expect(await sink.deliver(makeRecords(2))).toEqual({ kind: 'lost', what: expect.stringContaining('lost records') })
    expect(await sink.deliver(makeRecords(7))).toEqual({ kind: 'kept', mark: 'renewed-0@7' })
    expect(await kafka.recordCount('renewed')).toBe(7)
  })

  test('a partition whose log was cut short is found after a restart, by the mark', async () => {
    await kafka.createTopic('cut', 1)
    const first = makeSink({ topic: 'cut' })
    for (let from = 0; from < 100; from += 10) await first.deliver(makeRecords(100).slice(from, from + 10))
    const end = await first.deliver([])
    expect(end).toEqual({ kind: 'kept', mark: 'cut-0@100' })
    await first.close()
    await kafka.kill()
    await kafka.cutLog('cut', 0, 0.5)
    await kafka.restart()
    await untilItSucceeds(() => kafka.recordCount('cut'))
    const left = await kafka.recordCount('cut')
    expect(left).toBeLessThan(100)
    const next = makeSink({ topic: 'cut' }, 'web-0', 'cut-0@100')
    expect(await next.deliver(makeRecords(1))).toEqual({
      kind: 'lost',
      what: `partition 0 of topic cut lost records: they were acknowledged up to offset 100, and it ends at ${String(left)}`,
    })
  })

  test.each(['none', 'gzip', 'zstd'] as const)(
    'compressed by %s, records reach a consumer byte for byte',
    async (compression) => {
      const topic = `compressed-${compression}`
      await kafka.createTopic(topic)
      const records = makeRecords(500, { text: 'größer 日本 \u{1f511}' })
      await makeSink({ topic, compression }).deliver(records)
      const consumed = await kafka.consoleConsumer({ topic, maxMessages: 500 })
      expect(consumed.map(({ value }) => value)).toEqual(records.map(({ line }) => line))
      const bytes = await kafka.logBytes(topic, 0)
      const raw = records.reduce((sum, { line }) => sum + line.length, 0)
      expect({ smaller: bytes < raw / 2 }).toEqual({ smaller: compression !== 'none' })
    },
  )

  describe('login', () => {
    beforeAll(() => kafka.createTopic('login'))

    test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('by %s', async (mechanism) => {
      const settings = { brokers: kafka.saslBrokers, topic: 'login' }
      const before = await kafka.recordCount('login')
      await makeSink({ ...settings, sasl: { mechanism, ...user } }).deliver(makeRecords(3))
      expect(await kafka.recordCount('login')).toBe(before + 3)

      const wrong = makeSink({ ...settings, sasl: { mechanism, ...user, password: 'wrong-horse' } })
      const fault: unknown = await wrong.deliver(makeRecords(1)).catch((thrown: unknown) => thrown)
      expect(fault).toMatchObject({
        code: 'KAFKA_UNAVAILABLE',
        message: expect.stringContaining(`the login was refused (${mechanism.toUpperCase()} as audit)`),
      })
      expect(inspect(fault, { depth: 20 })).not.toContain('horse')
    })
  })

  describe('TLS', () => {
    beforeAll(() => kafka.createTopic('tls'))

    test('delivers with a CA and a client certificate', async () => {
      await makeSink({ brokers: kafka.tlsBrokers, topic: 'tls', tls: files }).deliver(makeRecords(3))
      expect(await kafka.recordCount('tls')).toBe(3)
    })

    test('refuses a broker whose certificate nobody it trusts has signed', async () => {
      const sink = makeSink({ brokers: kafka.tlsBrokers, topic: 'tls', tls: true })
      await expect(sink.deliver(makeRecords(1))).rejects.toMatchObject({
        code: 'KAFKA_UNAVAILABLE',
        message: expect.stringMatching(/certificate/),
      })
    })

    test('is refused by a broker that wants a client certificate and gets none', async () => {
      const sink = makeSink({ brokers: kafka.tlsBrokers, topic: 'tls', tls: { ca: files.ca } })
      await expect(sink.deliver(makeRecords(1))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
    })
  })

  test('says nothing on the console, and leaves nothing that keeps the process alive', async () => {
    await kafka.createTopic('quiet')
    const program = `
      const { createKafkaSink } = await import('./src/sinks/kafka/sink.ts')
      const settings = { brokers: ${JSON.stringify(kafka.brokers)}, topic: 'quiet', compression: 'zstd', topicCheck: 'warn' }
      const sink = createKafkaSink(settings, { replica: 'web-0', mark: null, topicProblems: () => {}, log: () => {} })
      const line = '{"specversion":"1.0","id":"1","type":"t"}'
      await sink.deliver([{ position: 1, trail: 't', sequence: 1, line }])
      await sink.close()`
    expect(await runNode(program)).toEqual({ code: 0, said: '' })
    expect(await kafka.recordCount('quiet')).toBe(1)
  })

  test('a broker that goes away ends the delivery, and once it is back the same sink delivers on', async () => {
    await kafka.createTopic('outage')
    const records = makeRecords(30)
    const sink = makeSink({ topic: 'outage', requestTimeoutMs: 5_000 })
    await sink.deliver(records.slice(0, 10))
    await kafka.kill()
    for (let tried = 0; tried < 2; tried++) {
      await expect(sink.deliver(records.slice(10))).rejects.toMatchObject({
        code: 'KAFKA_UNAVAILABLE',
        retryable: true,
      })
    }
    await kafka.restart()
    await untilItSucceeds(() => sink.deliver(records.slice(10)))
    const maxMessages = await kafka.recordCount('outage')
    const consumed = await kafka.consoleConsumer({ topic: 'outage', maxMessages })
    expect(consumed.map(({ value }) => value)).toEqual(records.map(({ line }) => line))
  })
})

/** As the delivery loop does: a broker that has just started refuses for a moment. */
async function untilItSucceeds<T>(work: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work()
    } catch (fault) {
      if (tried === 50) throw fault
      await sleep(200)
    }
  }
}

async function runNode(program: string): Promise<{ code: number | null; said: string }> {
  const node = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    env: { PATH: process.env['PATH'] },
  })
  let said = ''
  for (const stream of [node.stdout, node.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  const code = await new Promise<number | null>((resolve) => node.once('close', resolve))
  return { code, said }
}
