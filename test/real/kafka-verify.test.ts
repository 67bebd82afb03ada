import { afterAll, beforeAll, expect, jest, test } from '@jest/globals'
import { topicParts } from '../../src/readers/verify/topic-parts.ts'
import { verifyParts, type Verification } from '../../src/readers/verify/verify.ts'
import { openTopic } from '../../src/sinks/kafka/read-topic.ts'
import { createKafkaSink } from '../../src/sinks/kafka/sink.ts'
import { asPrevious, decisions, idOf, makeTrail, type MadeRecord } from '../archive/trails.ts'
import { startKafka, type RealKafka } from './kafka.ts'
import { describeWith } from './parts.ts'

jest.setTimeout(180_000)

const first = makeTrail({ trail: `web-0-${idOf(1)}` }, decisions(400))
const second = makeTrail(
  { trail: `web-0-${idOf(2)}`, atMs: 600_000, previous: asPrevious(first), position: 402 },
  decisions(300),
)

describeWith('kafka', 'verifying a topic of a real Kafka', () => {
  let kafka: RealKafka

  beforeAll(async () => {
    kafka = await startKafka()
  })

  afterAll(async () => {
    await kafka.stop()
  })

  async function deliver(topic: string, batches: readonly (readonly MadeRecord[])[]): Promise<void> {
    await kafka.createTopic(topic, 3)
    const settings = { brokers: kafka.brokers, topic, compression: 'zstd', topicCheck: 'warn' } as const
    const context = { replica: 'web-0', mark: null, topicProblems: () => undefined, log: () => undefined }
    const sink = createKafkaSink(settings, context)
    for (const batch of batches) await sink.deliver(batch)
    await sink.close()
  }

  async function verified(topic: string): Promise<Verification> {
    const opened = await openTopic({ brokers: kafka.brokers }, topic)
    try {
      return await verifyParts(topicParts(topic, opened.partitions), { threads: 0 })
    } finally {
      opened.close()
    }
  }

  test('finds it whole, with what was sent again', async () => {
    await deliver('whole', [first, second.slice(0, 200), second.slice(150)])
    const result = await verified('whole')
    expect(result).toMatchObject({ verdict: 'whole', totals: { trails: 2, records: 702, duplicates: 50 } })
    expect(result.notes.join('\n')).toMatch(/50 records were met again.*first sequence 151, at whole\[\d\]:601/)
  })

  test('names the place of a record that is missing by partition and offset', async () => {
    await deliver('missing', [first, second.slice(0, 10), second.slice(11)])
    expect((await verified('missing')).first).toMatchObject({
      kind: 'missing',
      trail: second[0]?.trail,
      sequence: 11,
      source: 'topic',
      file: expect.stringMatching(/^missing\[\d\]$/),
      line: 411,
    })
  })

  test('says what it cannot read', async () => {
    await expect(openTopic({ brokers: kafka.brokers, requestTimeoutMs: 3000 }, 'nowhere')).rejects.toMatchObject({
      code: 'KAFKA_UNAVAILABLE',
    })
  })
})
