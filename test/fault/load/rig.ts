import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCountersign } from '../../../deploy/envoy/demo/countersign.ts'
import { type RealKafka, startKafka } from '../../real/kafka.ts'
import { isLong } from '../form.ts'
import { judge, type Verdict } from './judge.ts'
import { type Load, type Pace, startLoad } from './load.ts'
import { prepareServer, type Server, type ServerOptions } from './server.ts'
import { dumpTopic } from './topic.ts'

export const topic = 'countersign.audit.v1'

/** A broker, a server that delivers to it, and a client that asks, each a process of its own. */
export interface Rig {
  readonly folder: string
  /** The server's data folder. */
  readonly data: string
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
  readonly verified: readonly { readonly status: number | null; readonly output: string }[]
}

export interface RigOptions {
  /** Settings beside the sinks. */
  readonly settings?: Readonly<Record<string, unknown>>
  readonly within?: (folder: string) => ServerOptions['within']
}

/** Starts the broker and prepares the server; an archive stands beside Kafka. */
export async function buildRig({ settings = {}, within }: RigOptions = {}): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-fault-'))
  const [data, ledger, dump] = ['data', 'ledger', 'topic.ndjson'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ]
  const kafka = await startKafka()
  await kafka.createTopic(topic, 1)
  const sinks = { archive: { type: 'archive' }, kafka: { type: 'kafka', brokers: kafka.brokers, topic } }
  const wrapped = within?.(folder)
  const server = await prepareServer({
    data,
    settings: { sinks, ...patient, ...settings },
    ...(wrapped === undefined ? {} : { within: wrapped }),
  })
  return {
    ...{ folder, data, kafka, server },
    load: (pace, connections) => startLoad({ port: server.port, connections, pace, ledger }),
    judge: async () => {
      await dumpTopic(kafka, topic, dump)
      const verdict = await judge(ledger, dump)
      return { ...verdict, verified: [await verify(['--data', data])] }
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

async function verify(args: readonly string[]): Promise<{ status: number | null; output: string }> {
  const { status, output } = await runCountersign(['verify', ...args], {
    main: isLong ? 'dist/cli/main.js' : 'src/cli/main.ts',
  })
  return { status, output: status === 0 ? '' : output.slice(-2000) }
}
