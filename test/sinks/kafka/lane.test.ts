import fc from 'fast-check'
import { describe, expect, test } from '@jest/globals'
import { CountersignError, messageOf } from '../../../src/errors.ts'
import type { LogLevel } from '../../../src/sinks/kafka/client.ts'
import { KafkaLane } from '../../../src/sinks/kafka/lane.ts'
import { maxProduceBytes } from '../../../src/sinks/kafka/message.ts'
import { describeSink, makeRecords } from '../../contract/sink.ts'
import { FakeKafkaPartition, type KafkaTrouble } from '../../fakes/kafka-partition.ts'

const topic = 'countersign.audit.v1'

function makeLane(kafka: FakeKafkaPartition, requestTimeoutMs = 5_000, mark: string | null = null) {
  const logged: { level: LogLevel; message: string; fields: object }[] = []
  const lane = new KafkaLane({
    topic,
    replica: 'web-0',
    mark,
    requestTimeoutMs,
    newProducer: kafka.newProducer,
    explain: (thrown) => new CountersignError('KAFKA_UNAVAILABLE', messageOf(thrown), { retryable: true }),
    log: (level, message, fields = {}) => logged.push({ level, message, fields }),
  })
  return { lane, logged }
}

const lines = (records: ReturnType<typeof makeRecords>) => records.map(({ line }) => line)

describeSink('a Kafka lane', () => {
  const kafka = new FakeKafkaPartition(topic)
  const { lane } = makeLane(kafka)
  return Promise.resolve({
    sink: lane,
    delivered: () => Promise.resolve(kafka.lines),
    fail: () => {
      kafka.refuseAll = true
      return Promise.resolve(() => {
        kafka.refuseAll = false
        return Promise.resolve()
      })
    },
    dispose: () => Promise.resolve(),
  })
})

describe('a lane in good times', () => {
  test('connects at the first delivery and keeps its producer', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    expect(kafka.producers).toBe(0)
    for (const from of [0, 5]) await lane.deliver(makeRecords(10).slice(from, from + 5))
    expect(kafka).toMatchObject({ producers: 1, discarded: 0 })
  })

  test('has one produce in flight, however many a delivery needs', async () => {
    const kafka = new FakeKafkaPartition(topic)
    await makeLane(kafka).lane.deliver(makeRecords(100, { bytes: 60_000 }))
    expect(kafka.batches.length).toBeGreaterThan(6)
    expect(kafka.mostInFlight).toBe(1)
  })

  test('refuses a second delivery while one is under way, and the first arrives', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    const first = lane.deliver(makeRecords(3))
    await expect(lane.deliver(makeRecords(3))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
    await first
    expect(kafka.lines).toEqual(lines(makeRecords(3)))
    expect(kafka.mostInFlight).toBe(1)
  })

  test('sends no batch that a broker of default settings would refuse', async () => {
    const kafka = new FakeKafkaPartition(topic)
    await makeLane(kafka).lane.deliver(makeRecords(2_000, { bytes: 1_500 }))
    const sizes = kafka.batches.map((batch) => batch.reduce((sum, { value }) => sum + value.length, 0))
    expect(Math.max(...sizes)).toBeLessThanOrEqual(maxProduceBytes)
    expect(sizes.length).toBe(Math.ceil(sizes.reduce((sum, size) => sum + size) / maxProduceBytes))
  })
})

describe('an acknowledgement that proves nothing', () => {
  const troubles: readonly (readonly [KafkaTrouble, RegExp])[] = [
    ['earlier offset', /base offset is 0, but the partition reached 5 before it/],
    ['overlapping offset', /base offset is 4, but the partition reached 5 before it/],
    ['other partition', /names partition 5 of countersign.audit.v1, not 4/],
    ['other topic', /names partition 4 of countersign.audit.v1.other, not 4/],
    ['error code', /carries error code 7/],
    ['no offset', /base offset is ""/],
    ['negative offset', /base offset is "-1"/],
    ['two replies', /2 partitions answered/],
    ['no reply', /0 partitions answered/],
  ]

  test.each(troubles)('is not believed: %s', async (trouble, why) => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    const records = makeRecords(10)
    await lane.deliver(records.slice(0, 5))
    kafka.troubles.push(trouble)
    const fault: unknown = await lane.deliver(records.slice(5)).catch((thrown: unknown) => thrown)
    expect(fault).toMatchObject({ code: 'KAFKA_REPLY_UNTRUSTED', retryable: true })
    expect(messageOf(fault)).toMatch(why)
    expect(kafka.discarded).toBe(1)
  })

  test('is not believed of a new producer either: the partition’s end is asked for at connect', async () => {
    const kafka = new FakeKafkaPartition(topic)
    await makeLane(kafka).lane.deliver(makeRecords(5))
    const { lane } = makeLane(kafka)
    kafka.troubles.push('earlier offset')
    await expect(lane.deliver(makeRecords(5))).rejects.toMatchObject({ code: 'KAFKA_REPLY_UNTRUSTED' })
  })

  test('leads to the same records through a new producer', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    const records = makeRecords(10)
    await lane.deliver(records.slice(0, 5))
    kafka.troubles.push('other partition')
    await expect(lane.deliver(records.slice(5))).rejects.toThrow()
    await lane.deliver(records.slice(5))
    expect(kafka.producers).toBe(2)
    expect(kafka.lines).toEqual(lines(records))
  })

  test('leads back to the oldest record where it gives a place that is taken: what stood there may be gone', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    const records = makeRecords(10)
    await lane.deliver(records.slice(0, 5))
    kafka.troubles.push('earlier offset')
    await expect(lane.deliver(records.slice(5))).rejects.toThrow()
    expect(await lane.deliver(records.slice(5))).toMatchObject({ kind: 'lost' })
    expect(await lane.deliver(records)).toMatchObject({ kind: 'kept' })
    expect([...new Set(kafka.lines)]).toEqual(lines(records))
  })
})

describe('a produce that fails', () => {
  test.each(['acknowledgement lost', 'refused'] as const)('discards the producer: %s', async (trouble) => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    kafka.troubles.push(trouble)
    await expect(lane.deliver(makeRecords(5))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true })
    expect(kafka.discarded).toBe(1)
    await lane.deliver(makeRecords(5))
    expect([...new Set(kafka.lines)]).toEqual(lines(makeRecords(5)))
  })

  test('is given up when no answer comes', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka, 20)
    kafka.troubles.push('silent')
    await expect(lane.deliver(makeRecords(5))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true })
    expect(kafka.discarded).toBe(1)
  })

  test('stops the delivery there: nothing is sent after a hole', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    kafka.troubles.push(undefined, 'refused')
    const records = makeRecords(60, { bytes: 50_000 })
    await expect(lane.deliver(records)).rejects.toThrow()
    expect(kafka.batches.length).toBe(1)
    expect(kafka.lines).toEqual(lines(records).slice(0, kafka.lines.length))
  })

  test.each(['silent', 'refused'] as const)('discards a producer that cannot connect: %s', async (trouble) => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka, 20)
    kafka.connectTroubles.push(trouble)
    await expect(lane.deliver(makeRecords(5))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true })
    expect(kafka.discarded).toBe(1)
    await lane.deliver(makeRecords(5))
    expect(kafka.lines).toEqual(lines(makeRecords(5)))
  })
})

describe('a partition that lost what it acknowledged', () => {
  const lost = /partition 4 of topic countersign\.audit\.v1 lost records: .* up to offset 5, and it ends at 0/

  test('is found when the lane connects again, said once, and given what it is given then', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    await lane.deliver(makeRecords(5))
    kafka.truncate()
    kafka.troubles.push('refused')
    await expect(lane.deliver(makeRecords(3))).rejects.toThrow()
    expect(await lane.deliver(makeRecords(3))).toEqual({ kind: 'lost', what: expect.stringMatching(lost) })
    expect(kafka.lines).toEqual([])
    expect(await lane.deliver(makeRecords(8))).toEqual({ kind: 'kept', mark: 'countersign.audit.v1-4@8' })
    expect(kafka.lines).toEqual(lines(makeRecords(8)))
  })

  test('is found after a restart, by the mark of the life before', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    const delivered = await lane.deliver(makeRecords(5))
    expect(delivered).toEqual({ kind: 'kept', mark: 'countersign.audit.v1-4@5' })
    kafka.truncate()
    const next = makeLane(kafka, 5_000, 'countersign.audit.v1-4@5').lane
    expect(await next.deliver(makeRecords(3))).toEqual({ kind: 'lost', what: expect.stringMatching(lost) })
    expect(await next.deliver(makeRecords(8))).toMatchObject({ kind: 'kept' })
  })

  test('is found where the topic was made anew with fewer partitions', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka, 5_000, 'countersign.audit.v1-9@5')
    expect(await lane.deliver(makeRecords(3))).toMatchObject({ kind: 'lost' })
  })

  test.each(['countersign.audit.v1-4@5', 'another.topic-4@900', 'nonsense', null])(
    'is not seen where it ends where it did, or the mark is not of this topic: %s',
    async (mark) => {
      const kafka = new FakeKafkaPartition(topic)
      await makeLane(kafka).lane.deliver(makeRecords(5))
      const { lane } = makeLane(kafka, 5_000, mark)
      expect(await lane.deliver(makeRecords(3))).toEqual({ kind: 'kept', mark: 'countersign.audit.v1-4@8' })
    },
  )

  test('keeps its mark while there is nothing to deliver', async () => {
    const { lane } = makeLane(new FakeKafkaPartition(topic), 5_000, 'countersign.audit.v1-4@5')
    expect(await lane.deliver([])).toEqual({ kind: 'kept', mark: 'countersign.audit.v1-4@5' })
  })
})

describe('closing a lane', () => {
  test.each(['produce', 'connect'] as const)('cuts short a %s that has no answer', async (step) => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka, 60_000)
    if (step === 'produce') kafka.troubles.push('silent')
    else kafka.connectTroubles.push('silent')
    const delivery = lane.deliver(makeRecords(5))
    await new Promise((resolve) => setImmediate(resolve))
    await lane.close()
    await expect(delivery).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true })
    expect(kafka.discarded).toBe(1)
  })

  test('ends delivery for good', async () => {
    const kafka = new FakeKafkaPartition(topic)
    const { lane } = makeLane(kafka)
    await lane.deliver(makeRecords(1))
    await lane.close()
    await expect(lane.deliver(makeRecords(1))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
    expect(kafka).toMatchObject({ producers: 1, discarded: 1 })
  })
})

test('no acknowledged record is lost and none changes places, whatever goes wrong in between', async () => {
  const trouble = fc.constantFrom<KafkaTrouble | undefined>(
    ...([undefined, 'acknowledgement lost', 'refused', 'earlier offset', 'overlapping offset'] as const),
    ...(['other partition', 'error code', 'no offset', 'two replies', 'no reply'] as const),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(trouble, { maxLength: 40 }), async (troubles) => {
      const kafka = new FakeKafkaPartition(topic)
      kafka.troubles.push(...troubles)
      const { lane } = makeLane(kafka)
      const records = makeRecords(20, { bytes: 10 })
      await deliverAll(lane, records, troubles.length + 1)
      expect([...new Set(kafka.lines)]).toEqual(lines(records))
    }),
    { numRuns: 100 },
  )
})

/** As the delivery loop does: the same records again, until the lane takes them, and all of them where it lost some. */
async function deliverAll(lane: KafkaLane, records: ReturnType<typeof makeRecords>, failures: number): Promise<void> {
  let failed = 0
  for (let from = 0; from < records.length;) {
    try {
      const { kind } = await lane.deliver(records.slice(from, from + 2))
      from = kind === 'lost' ? 0 : from + 2
    } catch (fault) {
      failed += 1
      if (failed === failures) throw fault
    }
  }
}
