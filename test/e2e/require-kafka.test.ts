import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Countersign, startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { type Answered, openAsker, ordersCheck } from '../fault/checks.ts'
import { connectPep } from '../grpc/client.ts'
import { type RealKafka, startKafka } from '../real/kafka.ts'
import { describeWith } from '../real/parts.ts'

const topic = 'countersign.audit.v1'
const askers = 4
/** Long enough for a machine that does other things too; each Check under way when the broker dies waits for so long. */
const deadlineMs = 4000

describeWith('kafka', 'answers that wait for a real Kafka', () => {
  let kafka: RealKafka
  let folder: string
  let server: Countersign | undefined

  beforeAll(async () => {
    kafka = await startKafka()
    await kafka.createTopic(topic)
    folder = mkdtempSync(join(tmpdir(), 'countersign-require-kafka-'))
  }, 120_000)

  afterAll(async () => {
    await server?.process.stop()
    await kafka.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 180_000)

  test('are allows only while it acknowledges, and every one of them stands in the topic', async () => {
    const sink = { type: 'kafka', brokers: kafka.brokers, topic, topicCheck: 'warn' }
    const settings = {
      sinks: { central: sink },
      audit: { require: 'kafka', deadlineMs },
      shutdown: { graceMs: 60_000 },
    }
    server = await startCountersign({ main: 'src/cli/main.ts', data: join(folder, 'data'), settings })
    const asking = askOnAndOn(server.port)
    await until('allows', () => asking.allows() > 100, 60_000)

    await kafka.kill()
    // What is asked from here on cannot be acknowledged; what was asked before may just have been.
    const before = asking.answered()
    await until('an answer to each that asks', () => asking.answered() > before + askers, 60_000)
    await until('the server to say so', async () => (await readyz(server)).body.includes('KAFKA_LATE'), 60_000)
    const late = await readyz(server)
    const pep = connectPep(`127.0.0.1:${server.port}`)
    const denied = await pep.check(ordersCheck('/orders/1'))
    pep.close()
    expect(denied.denied_response).toMatchObject({ status: { code: 'ServiceUnavailable' } })
    expect(denied.denied_response?.body).toContain('AUDIT_UNAVAILABLE')
    expect(late.status).toBe(503)
    expect(late.body).toMatch(/central: .*\(KAFKA_LATE\)/)

    await kafka.restart()
    const allows = asking.allows()
    await until('allows again', () => asking.allows() > allows + 20, 60_000)
    expect(await readyz(server)).toMatchObject({ status: 200 })
    const answers = await asking.stop()
    const exit = await server.process.stop()
    expect({ exit, output: exit === 0 ? '' : server.process.output() }).toEqual({ exit: 0, output: '' })

    const recorded = await decisionsIn(kafka)
    const answeredAllow = answers.filter(({ allowed }) => allowed).map(({ decisionId }) => decisionId)
    const recordedAllow = [...recorded].filter(([, effect]) => effect === 'allow').map(([decisionId]) => decisionId)
    expect(recordedAllow.toSorted()).toEqual(answeredAllow.toSorted())
    const denials = answers.filter(({ allowed }) => !allowed)
    expect(new Set(denials.map(({ reason }) => reason))).toEqual(new Set(['AUDIT_UNAVAILABLE']))
    expect(denials.filter(({ decisionId }) => recorded.get(decisionId) !== 'deny')).toEqual([])
  }, 180_000)
})

interface Asking {
  readonly answered: () => number
  readonly allows: () => number
  /** Waits for the answers under way. */
  readonly stop: () => Promise<readonly Answered[]>
}

/** Some callers, each of whom asks again as soon as it has an answer, for what the policy allows. */
function askOnAndOn(port: number): Asking {
  const asker = openAsker(port, 60_000)
  const answers: Answered[] = []
  let stopped = false
  const callers = Array.from({ length: askers }, async (_, caller) => {
    for (let count = 0; !stopped; count += 1) {
      answers.push(await asker.check(`/orders/${caller}-${count}`))
      await sleep(10)
    }
  })
  return {
    answered: () => answers.length,
    allows: () => answers.filter(({ allowed }) => allowed).length,
    stop: async () => {
      stopped = true
      await Promise.all(callers)
      asker.close()
      return answers
    },
  }
}

async function readyz(server: Countersign | undefined): Promise<{ status: number; body: string }> {
  const answer = await fetch(`http://127.0.0.1:${server?.adminPort}/readyz`)
  return { status: answer.status, body: await answer.text() }
}

/** The effect of each decision as Kafka's own consumer reads it; of two records of one decision, the later one counts. */
async function decisionsIn(kafka: RealKafka): Promise<ReadonlyMap<string, string>> {
  const consumed = await kafka.consoleConsumer({ topic, maxMessages: await kafka.recordCount(topic) })
  const effects = new Map<string, string>()
  for (const { value } of consumed) {
    const { type, data } = JSON.parse(value) as { type: string; data: { decisionId: string; effect: string } }
    if (type === 'io.countersign.decision.v1') effects.set(data.decisionId, data.effect)
  }
  return effects
}
