import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCountersign } from '../../../deploy/envoy/demo/countersign.ts'
import { rightTopic } from '../../../src/sinks/kafka/topic-rules.ts'
import { type RealKafka, startKafka } from '../../real/kafka.ts'
import { isLong } from '../form.ts'
import { judge, type Verdict } from './judge.ts'
import { type Load, type Pace, startLoad } from './load.ts'
import { prepareServer, type Server } from './server.ts'
import type { SmallDisk } from './small-disk.ts'
import { dumpTopic } from './topic.ts'

export const topic = 'countersign.audit.v1'

/** A broker, a server that delivers to it, and a client that asks, each a process of its own. */
export interface Rig {
  readonly folder: string
  /** The server's data folder. */
  readonly data: string
  /** What the client writes its answers to. */
  readonly ledger: string
  readonly kafka: RealKafka
  readonly server: Server
  /** Starts the client. The server must run. */
  load(pace: Pace, connections: number): Load
  /** Reads the topic with a foreign consumer, compares the ledger, and runs `verify`. The server must have stopped. */
  judge(): Promise<Judged>
  /** Ends all processes and removes all files. */
  remove(): Promise<void>
}

export interface Judged extends Verdict {
  /** `countersign verify` over the archive, and over what the topic holds. */
  readonly verified: readonly Verified[]
}

interface Verified {
  readonly status: number | null
  /** Empty where the status is 0. */
  readonly output: string
}

export interface RigOptions {
  /** Settings beside the sinks. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** The disk that holds the server's data; the machine's own where it is left out. */
  readonly disk?: SmallDisk
  /** Command before the server, for example one that gives it a clock of its own. */
  readonly within?: readonly string[]
}

/** Starts the broker and prepares the server; an archive stands beside Kafka. */
export async function buildRig({ settings = {}, disk, within = [] }: RigOptions = {}): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-fault-'))
  const data = join(disk?.path ?? folder, 'data')
  const ledger = join(folder, 'ledger')
  const onDisk = disk?.within ?? []
  const kafka = await startKafka()
  await kafka.createTopic(topic, 1, rightTopic(1).config)
  const central = { type: 'kafka', brokers: kafka.brokers, topic, topicCheck: 'warn' }
  const sinks = { archive: { type: 'archive' }, kafka: central }
  const server = await prepareServer({
    data,
    settings: { sinks, ...patient, ...settings },
    within: [...onDisk, ...within],
  })
  return {
    ...{ folder, data, ledger, kafka, server },
    load: (pace, connections) => startLoad({ port: server.port, connections, pace, ledger }),
    judge: async () => {
      const dump = join(folder, 'topic.ndjson')
      await dumpTopic(kafka, topic, dump)
      // Signed by the server's own key; what was kept beside the trail proves where each one ends.
      const kept = ['--keys', join(data, 'keys/checkpoint.pub'), '--checkpoints', join(data, 'checkpoints.ndjson')]
      const verified = [await verify(['--data', data], onDisk), await verify([dump, ...kept], onDisk)]
      return { ...(await judge(ledger, dump)), verified }
    },
    remove: async () => {
      await server.remove()
      await kafka.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The tests are about what is kept, not about how fast: several programs share the machine. */
const patient = { audit: { deadlineMs: 10_000 }, shutdown: { graceMs: 120_000 }, connections: { maxAgeMs: 86_400_000 } }

async function verify(args: readonly string[], within: readonly string[]): Promise<Verified> {
  const main = isLong ? 'dist/cli/main.js' : 'src/cli/main.ts'
  const { status, output } = await runCountersign(['verify', ...args], { main, within })
  return { status, output: status === 0 ? '' : output.slice(-2000) }
}
