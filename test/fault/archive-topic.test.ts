import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { run } from '../../src/cli/run.ts'
import { keptLines } from '../archive/kept-lines.ts'
import { asPrevious, decisions, idOf, makeTrail, type MadeRecord } from '../archive/trails.ts'
import { describeWith } from '../real/parts.ts'
import { type RealKafka, startKafka } from '../real/kafka.ts'
import { ArchiveInstance, until } from './archive-instance.ts'

jest.setTimeout(300_000)

const partitions = 4
const sessionTimeoutMs = 3000

describeWith('kafka', 'the archive of a topic', () => {
  let kafka: RealKafka
  let client: Kafka
  let producer: Producer
  let data: string
  let topic: string
  let topics = 0
  let instances: ArchiveInstance[] = []
  /** What the topic was given: lines of records, and offsets of what is none, by partition. */
  let given: Set<string>
  let rejected: string[]

  beforeAll(async () => {
    kafka = await startKafka({ settings: { 'group.min.session.timeout.ms': '1000' } })
    client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING })
    producer = client.producer()
    await producer.connect()
  })

  afterAll(async () => {
    await producer.disconnect()
    await kafka.stop()
  })

  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), 'countersign-archive-topic-'))
    topic = `audit-${++topics}`
    given = new Set()
    rejected = []
    await kafka.createTopic(topic, partitions)
  })

  afterEach(async () => {
    for (const instance of instances) await instance.end('SIGKILL')
    instances = []
    rmSync(data, { recursive: true, force: true })
  })

  function start(archive: object = {}): ArchiveInstance {
    const limits = { segmentBytes: 65_536, segmentMs: 300, sessionTimeoutMs }
    const instance = new ArchiveInstance(data, {
      data,
      admin: '127.0.0.1:0',
      archive: { brokers: kafka.brokers, topic, group: `group-${topic}`, ...limits, ...archive },
    })
    instances.push(instance)
    return instance
  }

  async function produce(partition: number, values: readonly (string | Buffer | null)[]): Promise<void> {
    const messages = values.map((value) => ({ partition, key: 'k', value }))
    await producer.send({ topic, acks: -1, messages })
  }

  async function give(partition: number, records: readonly MadeRecord[]): Promise<void> {
    for (const { line } of records) given.add(line)
    for (let at = 0; at < records.length; at += 50) {
      await produce(
        partition,
        records.slice(at, at + 50).map(({ line }) => line),
      )
    }
  }

  async function giveGarbage(partition: number, value: string | Buffer | null): Promise<void> {
    const before = await endOf(partition)
    await produce(partition, [value])
    rejected.push(`${String(partition)}:${before}`)
  }

  async function endOf(partition: number): Promise<string> {
    const admin = client.admin()
    await admin.connect()
    const ends = await admin.fetchTopicOffsets(topic)
    await admin.disconnect()
    return ends.find((place) => place.partition === partition)?.high ?? ''
  }

  /** Whether the group has committed the end of each partition. */
  async function isCommitted(): Promise<boolean> {
    const admin = client.admin()
    await admin.connect()
    const ends = await admin.fetchTopicOffsets(topic)
    // A broker that has just come up may still be reading what its groups committed.
    const groups = await admin.fetchOffsets({ groupId: `group-${topic}`, topics: [topic] }).catch(() => [])
    await admin.disconnect()
    const committed = new Map(groups[0]?.partitions.map((place) => [place.partition, place.offset]))
    return ends.every(({ partition, high }) => high === '0' || committed.get(partition) === high)
  }

  function kept(): string[] {
    const archive = join(data, 'archive')
    return existsSync(archive) ? keptLines(archive) : []
  }

  function keptAside(): string[] {
    const dir = join(data, 'rejected')
    const names = existsSync(dir) ? readdirSync(dir).filter((name) => name.endsWith('.ndjson')) : []
    const lines = names.flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n').slice(0, -1))
    return lines
      .map((line) => JSON.parse(line) as { partition: number; offset: string })
      .map(({ partition, offset }) => `${String(partition)}:${offset}`)
  }

  /** Each record exactly once by (trail, sequence, hash), judged by the files alone: a line is its trail, sequence and hash. */
  function expectExactlyOnce(): void {
    const lines = kept()
    const count = { kept: lines.length, distinct: new Set(lines).size, missing: 0, foreign: 0 }
    count.missing = [...given].filter((line) => !new Set(lines).has(line)).length
    count.foreign = lines.filter((line) => !given.has(line)).length
    expect(count).toEqual({ kept: given.size, distinct: given.size, missing: 0, foreign: 0 })
    expect(keptAside().sort()).toEqual([...rejected].sort())
  }

  function trailOf(number: number, records: number, from = 0): MadeRecord[] {
    return makeTrail({ trail: `web-${String(number)}-${idOf(number)}` }, decisions(records - 1, from))
  }

  test('holds each record once, forks too, whatever is doubled; keeps aside what is none; and verify tells of the fork', async () => {
    const [first, second] = [trailOf(1, 400), trailOf(2, 300)]
    const forked = makeTrail({ trail: first[0]!.trail }, [...decisions(99), ...decisions(60, 5000)]).slice(100)
    await give(0, first)
    await give(0, first.slice(300))
    await giveGarbage(0, 'hello')
    await give(1, second.slice(0, 200))
    await giveGarbage(1, null)
    await giveGarbage(1, first[7]!.line.replace('GET', 'PUT'))
    await give(1, second.slice(150))
    // A replica that moved to another partition, and a writer that is not the trail's own.
    await give(2, first.slice(350))
    await give(3, forked)
    await giveGarbage(3, Buffer.from([0xff, 0xfe, 0x00]))
    const instance = start()
    await until(() => isCommitted())
    expectExactlyOnce()
    expect(await instance.end('SIGTERM')).toBe(0)
    expect(instance.log).toContain('countersign: forks: 60 records claim places that others have')
    expect(instance.said('another record stands in the same place: a fork; both are kept')).toHaveLength(20)
    expect(instance.said('a message is no record and was kept aside')).toHaveLength(rejected.length)
    const printed = jest.spyOn(process.stdout, 'write').mockReturnValue(true)
    await run(['node', 'countersign', 'verify', '--data', data], '0.0.0')
    printed.mockRestore()
    expect(process.exitCode).toBe(1)
    process.exitCode = undefined
    // A group that begins anew reads everything again, and adds nothing.
    const again = start({ group: `again-${topic}` })
    await until(() => again.log.includes('"duplicates":'))
    await again.end('SIGTERM')
    expectExactlyOnce()
  })

  test('holds each record once when instances come, are killed, and sleep past their time in the group', async () => {
    const trails = Array.from({ length: partitions }, (_, partition) => trailOf(partition + 1, 900))
    const next = trails.map((trail, partition) =>
      makeTrail(
        { trail: `web-${String(partition)}-${idOf(100 + partition)}`, previous: asPrevious(trail) },
        decisions(99),
      ),
    )
    const giveAll = (from: number, to: number) =>
      Promise.all(trails.map((trail, partition) => give(partition, trail.slice(from, to))))
    const sleeper = start()
    await giveAll(0, 300)
    await until(() => kept().length > 100)
    // Another comes in the middle.
    const second = start()
    await giveAll(300, 400)
    await until(() => second.partitions.length > 0 && sleeper.partitions.length < partitions)
    await giveAll(400, 500)
    // The first sleeps, with records in its hands, until the group has given its partitions away.
    sleeper.signal('SIGSTOP')
    await giveAll(500, 600)
    await until(() => second.partitions.length === partitions)
    await giveAll(600, 700)
    sleeper.signal('SIGCONT')
    await giveAll(700, 750)
    // The second is killed in the middle of its work, and a third comes.
    await second.end('SIGKILL')
    const third = start()
    await giveAll(750, 900)
    await Promise.all(next.map((trail, partition) => give(partition, trail)))
    await until(async () => kept().length >= given.size && (await isCommitted()))
    expectExactlyOnce()
    expect([await sleeper.end('SIGTERM'), await third.end('SIGTERM')]).toEqual([0, 0])
    expectExactlyOnce()
  })
})
