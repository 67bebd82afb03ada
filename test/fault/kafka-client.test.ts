import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { Kafka, logLevel, type Producer } from 'kafkajs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createKafkaSink } from '../../src/sinks/kafka/sink.ts'
import { rightTopic } from '../../src/sinks/kafka/topic-rules.ts'
import { makeRecords } from '../contract/sink.ts'
import type { Fault } from '../real/fault-proxy.ts'
import { type KafkaCluster, startKafkaCluster } from '../real/kafka-cluster.ts'
import { describeWith } from '../real/parts.ts'
import { figure, isLong } from './form.ts'

const title = 'the client library, alone and under the lane rule'
const partitions = 6

let cluster: KafkaCluster
const producers: Producer[] = []

beforeAll(async () => {
  cluster = await startKafkaCluster()
}, 180_000)

afterAll(async () => {
  await Promise.all(producers.map((producer) => producer.disconnect().catch(() => undefined)))
  await cluster.stop()
}, 180_000)

describeWith('kafka', title, () => {
  const lostAcknowledgements: Fault = { kind: 'cut before the acknowledgement', every: 7 }

  test('alone, with concurrent sends, it loses messages that it says are acknowledged when acknowledgements are lost', async () => {
    await cluster.createTopic('concurrent', 1, rightTopic(3).config)
    const producer = await connect({ idempotent: true })
    const acknowledged: string[] = []
    setAll(lostAcknowledgements)
    const send = async (lane: number): Promise<void> => {
      for (let number = 0; number < 60; number += 1) {
        const value = `${lane}-${number}`
        const sent = await producer.send({ topic: 'concurrent', messages: [{ value, partition: 0 }] }).catch(() => null)
        if (sent !== null) acknowledged.push(value)
      }
    }
    await Promise.all([0, 1, 2, 3].map(send))
    setAll({ kind: 'none' })
    const lost = await missing('concurrent', acknowledged)
    figure(title, 'acknowledged to concurrent sends, and lost', `${lost.length} of ${acknowledged.length}`)
    expect(acknowledged.length).toBeGreaterThan(100)
    expect(lost.length).toBeGreaterThan(0)
  }, 300_000)

  test('alone, with one send to several partitions, it loses messages that it says are acknowledged when a leader changes', async () => {
    await cluster.createTopic('several', partitions, rightTopic(3).config)
    const producer = await connect({})
    const acknowledged: string[] = []
    const sending = { over: false }
    const sent = (async () => {
      for (let round = 0; !sending.over; round += 1) {
        const values = Array.from({ length: partitions }, (_, partition) => `${round}-${partition}`)
        const messages = values.map((value, partition) => ({ value, partition }))
        const replies = await producer.send({ topic: 'several', acks: -1, messages }).catch(() => null)
        if (replies !== null) acknowledged.push(...values)
        await sleep(2)
      }
    })()
    let lost: readonly string[] = []
    // It takes a send that is under way to a broker as it ends.
    for (let kill = 0; kill < 8 && lost.length === 0; kill += 1) {
      await killLeader('several', kill % partitions)
      lost = await missing('several', [...acknowledged])
    }
    sending.over = true
    await sent
    figure(title, 'acknowledged to sends over several partitions, and lost', `${lost.length} of ${acknowledged.length}`)
    expect(lost.length).toBeGreaterThan(0)
  }, 600_000)

  test('under the lane rule it loses nothing when acknowledgements are lost', async () => {
    await cluster.createTopic('lane-acknowledgements', partitions, rightTopic(3).config)
    setAll(lostAcknowledgements)
    const delivered = await deliverBy('lane-acknowledgements', { batches: 60, size: 3 })
    setAll({ kind: 'none' })
    const lost = await missing('lane-acknowledgements', delivered)
    figure(title, 'lost by a lane when acknowledgements are lost', `${lost.length} of ${delivered.length}`, 0)
    expect([...cluster.proxies.values()].reduce((sum, proxy) => sum + proxy.counts().cut, 0)).toBeGreaterThan(5)
    expect(lost).toEqual([])
  }, 300_000)

  test('under the lane rule it loses nothing when leaders change', async () => {
    await cluster.createTopic('lane-leaders', partitions, rightTopic(3).config)
    let over = false
    const delivering = deliverBy('lane-leaders', { batches: Infinity, size: 5, until: () => over })
    for (let kill = 0; kill < (isLong ? 6 : 2); kill += 1) {
      for (let partition = 0; partition < partitions; partition += 1)
        await cluster.moveLeader('lane-leaders', partition)
      await killLeader('lane-leaders', kill % partitions)
    }
    over = true
    const delivered = await delivering
    const lost = await missing('lane-leaders', delivered)
    figure(title, 'lost by a lane when leaders change', `${lost.length} of ${delivered.length}`, 0)
    expect(delivered.length).toBeGreaterThan(100)
    expect(lost).toEqual([])
  }, 900_000)
})

/** Plainly, as its documentation shows it. */
async function connect(options: { idempotent?: boolean }): Promise<Producer> {
  const kafka = new Kafka({ brokers: [...cluster.proxiedBrokers], logLevel: logLevel.NOTHING })
  const producer = kafka.producer({ allowAutoTopicCreation: false, ...options })
  producers.push(producer)
  await producer.connect()
  return producer
}

/** Delivers records as a lane does, the same ones again until they are taken; gives the lines that were. */
async function deliverBy(
  topic: string,
  { batches, size, until = () => false }: { batches: number; size: number; until?: () => boolean },
): Promise<readonly string[]> {
  const sink = createKafkaSink(
    { brokers: cluster.proxiedBrokers, topic, compression: 'zstd', topicCheck: 'enforce' },
    { replica: 'web-0', mark: null, topicProblems: () => undefined, log: () => undefined },
  )
  const taken: string[] = []
  for (let batch = 0; batch < batches && !until(); batch += 1) {
    const records = makeRecords(size, { position: batch * size + 1, text: String(batch) })
    while ((await sink.deliver(records).catch(() => null))?.kind !== 'kept') await sleep(50)
    taken.push(...records.map(({ line }) => line))
  }
  await sink.close()
  return taken
}

async function killLeader(topic: string, partition: number): Promise<void> {
  await cluster.inSync(topic)
  const leader = await cluster.leaderOf(topic, partition)
  await cluster.kill(leader)
  await sleep(4000)
  await cluster.start(leader)
  await cluster.inSync(topic)
}

async function missing(topic: string, acknowledged: readonly string[]): Promise<readonly string[]> {
  await cluster.inSync(topic)
  const consumed = await cluster.consoleConsumer({ topic, maxMessages: await cluster.recordCount(topic) })
  const there = new Set(consumed.map(({ value }) => value))
  return acknowledged.filter((value) => !there.has(value))
}

function setAll(fault: Fault): void {
  for (const proxy of cluster.proxies.values()) proxy.set(fault)
}
