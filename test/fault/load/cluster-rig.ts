import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCountersign } from '../../../deploy/envoy/demo/countersign.ts'
import { rightTopic } from '../../../src/sinks/kafka/topic-rules.ts'
import { type KafkaCluster, startKafkaCluster } from '../../real/kafka-cluster.ts'
import { isLong } from '../form.ts'
import { judge, type Verdict } from './judge.ts'
import { linesOf } from './lines.ts'
import { type Load, type Pace, startLoad } from './load.ts'
import { prepareServer, type Server } from './server.ts'
import { dumpTopic } from './topic.ts'

export const topic = 'countersign.audit.v1'
const checkpointTopic = 'countersign.checkpoints.v1'
const lanes = ['kafka', 'kafka.checkpoints', 'checkpoints', 'archive']

/** Three brokers behind proxies, a server that delivers through them to topics as they should be, and a client that asks. */
export interface ClusterRig {
  readonly cluster: KafkaCluster
  readonly server: Server
  load(pace: Pace): Load
  /** Waits until every lane has everything, stops the server, and compares the client's ledger with what a foreign consumer reads. */
  judge(): Promise<ClusterVerdict>
  remove(): Promise<void>
}

export interface ClusterVerdict extends Verdict {
  /** Of `countersign verify` over the data folder: empty where all is well. */
  readonly verifyProblems: string
  /** Checkpoints of the trail, and those of them that the second topic and the file lack. */
  readonly checkpoints: number
  readonly missingInTopic: number
  readonly missingInFile: number
}

export async function buildClusterRig(): Promise<ClusterRig> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-fault-'))
  const data = join(folder, 'data')
  const ledger = join(folder, 'ledger')
  const cluster = await startKafkaCluster()
  await cluster.createTopic(topic, 1, rightTopic(3).config)
  await cluster.createTopic(checkpointTopic, 1, rightTopic(3, -1).config)
  const kafka = { type: 'kafka', brokers: cluster.proxiedBrokers, topic, checkpointTopic, topicCheck: 'enforce' }
  const server = await prepareServer({
    data,
    settings: {
      sinks: { archive: { type: 'archive' }, kafka },
      checkpoint: { everyRecords: 100, everyMs: 1000 },
      // The tests are about what is kept, not about how fast: several programs share the machine.
      audit: { deadlineMs: 10_000 },
      shutdown: { graceMs: 120_000 },
      connections: { maxAgeMs: 86_400_000 },
    },
  })
  let endLoad = async (): Promise<unknown> => undefined
  return {
    cluster,
    server,
    load: (pace) => {
      const load = startLoad({ port: server.port, connections: 2, pace, ledger })
      endLoad = () => load.stop()
      return load
    },
    judge: async () => {
      for (const lane of lanes) await server.delivered(lane, 300_000)
      const exit = await server.stop()
      if (exit !== 0) throw new Error(`the server ended with ${String(exit)}:\n${server.output()}`)
      const dump = join(folder, 'topic.ndjson')
      await dumpTopic(cluster, topic, dump)
      return { ...(await judge(ledger, dump)), ...(await judgeCheckpoints(dump)), verifyProblems: await verify(data) }
    },
    remove: async () => {
      // It may have been stopped already; where a test failed it was not.
      await endLoad().catch(() => undefined)
      await server.remove()
      await cluster.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }

  async function judgeCheckpoints(dump: string) {
    const inTrail: string[] = []
    for await (const line of linesOf(dump))
      if (line.includes('"type":"io.countersign.checkpoint.v1"')) inTrail.push(line)
    const second = await cluster.consoleConsumer({
      topic: checkpointTopic,
      maxMessages: await cluster.recordCount(checkpointTopic),
    })
    const inTopic = new Set(second.map(({ value }) => value))
    const inFile = new Set(readFileSync(join(data, 'checkpoints.ndjson'), 'utf8').split('\n'))
    const lacking = (there: ReadonlySet<string>): number => inTrail.filter((line) => !there.has(line)).length
    return { checkpoints: inTrail.length, missingInTopic: lacking(inTopic), missingInFile: lacking(inFile) }
  }
}

async function verify(data: string): Promise<string> {
  const main = isLong ? 'dist/cli/main.js' : 'src/cli/main.ts'
  const { status, output } = await runCountersign(['verify', '--data', data], { main })
  return status === 0 ? '' : output.slice(-2000)
}

/** What a verdict says when nothing was lost, doubled or answered otherwise. */
export const nothingWrong = {
  ...{ lost: none(), contradicted: none(), doubled: none(), forks: none(), holes: none(), unrecordedAllows: none() },
  ...{ gapDecisions: 0, gapAccesses: 0, refused: 0 },
  ...{ missingInTopic: 0, missingInFile: 0, verifyProblems: '' },
}

function none(): Verdict['lost'] {
  return { count: 0, first: [] }
}
