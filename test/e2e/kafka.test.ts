import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { checkLine } from '../../src/audit/chain.ts'
import { expectValidRecord } from '../contract/event-schema.ts'
import { openAsker } from '../fault/checks.ts'
import { archivedLines } from './mesh.ts'
import { type RealKafka, startKafka } from '../real/kafka.ts'
import { describeWith } from '../real/parts.ts'

const checks = 500
const topic = 'countersign.audit.v1'

describeWith('kafka', 'a real Kafka', () => {
  let kafka: RealKafka
  let folder: string

  beforeAll(async () => {
    kafka = await startKafka()
    await kafka.createTopic(topic, 3)
    folder = mkdtempSync(join(tmpdir(), 'countersign-kafka-e2e-'))
  }, 180_000)

  afterAll(async () => {
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 180_000)

  test('gets every record of two runs, in order per trail, byte for byte as the archive has it', async () => {
    const data = join(folder, 'data')
    const decided = [...(await serveOnce(data)), ...(await serveOnce(data))]
    const archived = archivedLines(data)
    expect(decided.length).toBe(2 * checks)

    // Read by Kafka's own console consumer.
    const consumed = await kafka.consoleConsumer({ topic, maxMessages: archived.length })
    const lines = consumed.map(({ value }) => value)
    expect(lines).toEqual(archived)
    expect(new Set(consumed.map(({ partition }) => partition)).size).toBe(1)
    for (const { key, headers, value } of consumed) {
      const record = expectValidRecord(value)
      expect(key).toBe('demo-1')
      expect(headers).toEqual({
        'content-type': 'application/cloudevents+json',
        ce_type: record['type'],
        ce_id: record['id'],
      })
    }
    expectChained(lines)
    const ids = new Set(lines.map((line) => (JSON.parse(line) as { id: string }).id))
    expect(decided.filter((id) => !ids.has(id))).toEqual([])
  }, 120_000)

  /** Serves, asks, and stops once everything is delivered; returns the decision ids that were answered. */
  async function serveOnce(data: string): Promise<string[]> {
    const central = { type: 'kafka', brokers: kafka.brokers, topic, topicCheck: 'warn' }
    const sinks = { archive: { type: 'archive' }, kafka: central }
    const settings = { sinks, audit: { deadlineMs: 5000 } }
    const server = await startCountersign({ main: 'src/cli/main.ts', data, settings })
    const asker = openAsker(server.port)
    const paths = Array.from({ length: checks }, (_, number) => (number % 7 === 0 ? '/admin' : `/orders/${number}`))
    const answers = await Promise.all(paths.map((path) => asker.check(path)))
    asker.close()
    const status = await server.process.stop()
    expect({ status, output: status === 0 ? '' : server.process.output() }).toEqual({ status: 0, output: '' })
    return answers.map(({ decisionId }) => decisionId)
  }
})

function expectChained(lines: readonly string[]): void {
  const ends = new Map<string, { sequence: number; hash: string }>()
  for (const line of lines) {
    const checked = checkLine(line)
    if (!checked.ok) throw new Error(checked.problem)
    const { trail, sequence, prevHash, hash } = checked.place
    const end = ends.get(trail) ?? { sequence: 0, hash: '0'.repeat(64) }
    expect([sequence, prevHash]).toEqual([end.sequence + 1, end.hash])
    ends.set(trail, { sequence, hash })
  }
  expect(ends.size).toBe(2)
}
