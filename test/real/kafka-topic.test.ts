import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { v7 as uuidv7 } from 'uuid'
import { stringify } from 'yaml'
import { runCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { type Delivery, type DeliveryContext, startDelivery } from '../../src/sinks/delivery.ts'
import type { SinkSettings } from '../../src/sinks/protocol.ts'
import { createKafkaSink } from '../../src/sinks/kafka/sink.ts'
import { Spool } from '../../src/spool/spool.ts'
import { makeRecords } from '../contract/sink.ts'
import { newAccess, openingIn } from '../spool/opening.ts'
import { startKafka, type RealKafka } from './kafka.ts'
import { describeWith } from './parts.ts'

const user = { username: 'audit', password: 'correct-horse' }

let kafka: RealKafka
let folder: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-topic-'))
  kafka = await startKafka({ sasl: user })
}, 120_000)

afterAll(async () => {
  await kafka.stop()
  rmSync(folder, { recursive: true, force: true })
}, 180_000)

const countersign = (...args: readonly string[]) => runCountersign(args, { main: 'src/cli/main.ts' })

describeWith('kafka', 'countersign topic', () => {
  test('makes a topic, and says what a single broker makes of it', async () => {
    const brokers = kafka.brokers.join(',')
    const args = ['--brokers', brokers, '--topic', 'made', '--replication-factor', '1', '--partitions', '2']
    const made = await countersign('topic', 'create', ...args)
    expect(made.output).toContain('made: made, 2 partitions, replication factor 1, it can lose records')
    expect(made.output).toContain('min.insync.replicas is 1, not 2 or more')
    expect(made.status).toBe(0)
    const again = await countersign('topic', 'create', ...args)
    expect(again.output).toContain('made: is there already, 2 partitions')
    expect(again.status).toBe(1)
  }, 180_000)

  test('does not make a topic with more replicas than there are brokers', async () => {
    const made = await countersign('topic', 'create', '--brokers', kafka.brokers.join(','), '--topic', 'too-many')
    expect(made.output).toMatch(/KAFKA_UNAVAILABLE: .*--replication-factor/)
    expect(made.status).toBe(1)
  }, 180_000)

  test('makes both topics of the settings, with their login, and alters none that is there', async () => {
    await kafka.createTopic('second', 1, { 'cleanup.policy': 'compact', 'retention.ms': '1000' })
    const sasl = { mechanism: 'scram-sha-512', ...user }
    const sink = { type: 'kafka', brokers: kafka.saslBrokers, sasl, topic: 'first', checkpointTopic: 'second' }
    const config = join(folder, 'settings.yaml')
    writeFileSync(config, stringify({ sinks: { central: sink } }))
    const { output, status } = await countersign('topic', 'create', '--config', config, '--replication-factor', '1')
    expect(output).toContain('first: made, 6 partitions')
    expect(output).toContain('second: is there already, 1 partition')
    expect(output).toContain('cleanup.policy is compact, not delete')
    expect(output).toMatch(/kafka-configs\.sh .* --entity-name second --add-config cleanup\.policy=delete/)
    expect(output).not.toContain('correct-horse')
    expect(status).toBe(1)
    const checked = await countersign('topic', 'check', '--config', config)
    expect(checked.output).toContain('cleanup.policy is compact')
    expect(checked.status).toBe(1)
  }, 180_000)

  test('says that a topic is absent', async () => {
    const { output, status } = await countersign(
      'topic',
      'check',
      '--brokers',
      kafka.brokers.join(','),
      '--topic',
      'none',
    )
    expect(output).toContain('none: there is none; countersign topic create makes it')
    expect(status).toBe(1)
  }, 180_000)
})

describeWith('kafka', 'a topic that can lose records', () => {
  test('gets nothing where the check is enforced, and everything where it warns', async () => {
    await kafka.createTopic('weak')
    const told: (readonly string[])[] = []
    const deliverWith = async (topicCheck: 'enforce' | 'warn') => {
      const settings = { brokers: kafka.brokers, topic: 'weak', compression: 'zstd', topicCheck } as const
      const topicProblems = (problems: readonly string[]) => told.push(problems)
      const sink = createKafkaSink(settings, { replica: 'web-0', mark: null, topicProblems, log: () => undefined })
      return await sink.deliver(makeRecords(3)).finally(() => sink.close())
    }
    await expect(deliverWith('enforce')).rejects.toMatchObject({ code: 'KAFKA_TOPIC_WRONG', retryable: true })
    expect(await kafka.recordCount('weak')).toBe(0)
    await deliverWith('warn')
    expect(await kafka.recordCount('weak')).toBe(3)
    expect(told).toHaveLength(2)
    expect(told[1]).toEqual([
      'replication factor is 1, not 3 or more: records are lost with too few disks',
      'min.insync.replicas is 1, not 2 or more: a record counts as delivered while a single broker has it',
    ])
  })
})

describeWith('kafka', 'a topic that is deleted and made anew', () => {
  test('gets everything that the spool still has, also after a restart in between, and the problem stands until then', async () => {
    await kafka.createTopic('anew')
    const sinks: Record<string, SinkSettings> = {
      central: { type: 'kafka', brokers: kafka.brokers, topic: 'anew', topicCheck: 'warn', compression: 'zstd' },
    }
    const first = await open(sinks)
    await first.append(200)
    await until('delivery', () => first.position() === first.last())
    await first.stop()
    await kafka.deleteTopic('anew')
    await kafka.createTopic('anew')
    expect(await kafka.recordCount('anew')).toBe(0)

    const second = await open(sinks)
    await until('the loss to be seen', () => second.rewound.length > 0)
    expect(second.rewound).toEqual([expect.stringMatching(/partition 0 of topic anew lost records: .*it ends at 0/)])
    await second.append(50)
    await until('delivery', () => second.position() === second.last())
    expect(second.delivery.status().get('central')?.problem).toBeNull()
    expect(second.problemsSeen).toContain('SINK_LOST_RECORDS')
    await second.stop()
    const consumed = await kafka.consoleConsumer({ topic: 'anew', maxMessages: await kafka.recordCount('anew') })
    // Each record that either run wrote, in the order of the spool.
    const kept = [...new Set(consumed.map(({ value }) => value))]
    expect(kept).toHaveLength(second.last())
    expect(second.last()).toBeGreaterThan(250)
  }, 120_000)
})

interface Opened {
  readonly delivery: Delivery
  readonly rewound: readonly string[]
  readonly problemsSeen: readonly string[]
  position(): number
  last(): number
  append(count: number): Promise<void>
  stop(): Promise<void>
}

/** A spool in `folder` with its delivery, as the server puts them together. */
async function open(sinks: Readonly<Record<string, SinkSettings>>): Promise<Opened> {
  const dir = join(folder, 'spool')
  const opening = openingIn(dir, { sinks: Object.keys(sinks) })
  const settings = { mode: 'strict', deadlineMs: 60_000, maxBytes: 2 ** 30, whenFull: 'deny' } as const
  const spool = await Spool.open(opening, settings, { newId: () => uuidv7(), now: () => new Date() })
  const rewound: string[] = []
  const problemsSeen: string[] = []
  const context: DeliveryContext = {
    onDelivered: (cursor) => {
      spool.advance(cursor)
      const problem = delivery.status().get(cursor.sink)?.problem
      if (problem) problemsSeen.push(problem.code)
    },
    onRewound: (cursor, message) => {
      rewound.push(message)
      spool.advance(cursor)
      problemsSeen.push(delivery.status().get(cursor.sink)?.problem?.code ?? 'none')
    },
    onTrouble: () => undefined,
    log: () => undefined,
  }
  const delivery = startDelivery({ spoolDir: dir, replica: 'test-1', sinks }, context)
  spool.onCommit(() => {
    delivery.appended()
  })
  const last = (): number => spool.status().lastPosition
  return {
    ...{ delivery, rewound, problemsSeen, last },
    position: () => delivery.status().get('central')?.position ?? 0,
    append: async (count) => {
      await Promise.all(Array.from({ length: count }, () => spool.record(newAccess())))
    },
    stop: async () => {
      await spool.seal()
      await delivery.stop(last(), 20_000)
      await spool.close()
    },
  }
}
