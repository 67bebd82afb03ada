import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts, until } from '../../deploy/envoy/demo/processes.ts'
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts'
import { runJava, startJava, type JavaProcess } from './kafka/java.ts'
import {
  clusterId,
  consoleConsumer,
  type ConsumedRecord,
  type ConsumeOptions,
  createTopic,
  recordCount,
  withAdmin,
} from './kafka.ts'

/** Three real brokers (KRaft, each a controller too) on loopback, each behind a proxy of its own. Nodes are 1, 2 and 3. */
export interface KafkaCluster {
  /** Addresses that lead straight to the brokers, for those who judge. */
  readonly brokers: readonly string[]
  /** Addresses that lead through the proxies, and name them to whoever asks for the others. */
  readonly proxiedBrokers: readonly string[]
  /** By node. */
  readonly proxies: ReadonlyMap<number, FaultProxy>
  /** With three replicas. Resolves when all of them are in sync. */
  createTopic(name: string, partitions: number, settings: Readonly<Record<string, string>>): Promise<void>
  recordCount(topic: string): Promise<number>
  consoleConsumer(options: ConsumeOptions): Promise<readonly ConsumedRecord[]>
  leaderOf(topic: string, partition: number): Promise<number>
  /** Makes another replica the leader, without ending anybody. Resolves with the new one. */
  moveLeader(topic: string, partition: number): Promise<number>
  /** kill -9. */
  kill(node: number): Promise<void>
  /** Ends a broker in order: it hands its partitions over first. */
  shutDown(node: number): Promise<void>
  /** Starts a broker that was ended, with its data. */
  start(node: number): Promise<void>
  /** Resolves when all three replicas of all partitions are in sync. */
  inSync(topic: string): Promise<void>
  /** Ends all brokers and removes their data. */
  stop(): Promise<void>
}

const host = '127.0.0.1'
const startMs = 120_000
const syncMs = 120_000
const nodes = [1, 2, 3] as const

interface Ports {
  readonly plain: number
  readonly controller: number
  /** Where the broker listens for those who come through the proxy, and where the proxy listens for them. */
  readonly behind: number
  readonly proxy: number
}

export async function startKafkaCluster(): Promise<KafkaCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-cluster-'))
  const free = await freePorts(12)
  const ports = new Map<number, Ports>(
    nodes.map((node, at) => {
      const [plain = 0, controller = 0, behind = 0, proxy = 0] = free.slice(at * 4)
      return [node, { plain, controller, behind, proxy }]
    }),
  )
  const cluster = new Cluster(folder, ports)
  try {
    await cluster.begin()
    return cluster
  } catch (fault) {
    await cluster.stop()
    throw fault
  }
}

class Cluster implements KafkaCluster {
  readonly brokers: readonly string[]
  readonly proxiedBrokers: readonly string[]
  readonly proxies = new Map<number, FaultProxy>()
  readonly #folder: string
  readonly #ports: ReadonlyMap<number, Ports>
  readonly #running = new Map<number, JavaProcess>()

  constructor(folder: string, ports: ReadonlyMap<number, Ports>) {
    this.#folder = folder
    this.#ports = ports
    this.brokers = [...ports.values()].map(({ plain }) => `${host}:${String(plain)}`)
    this.proxiedBrokers = [...ports.values()].map(({ proxy }) => `${host}:${String(proxy)}`)
  }

  async begin(): Promise<void> {
    for (const [node, { proxy, behind }] of this.#ports) this.proxies.set(node, await startFaultProxy(proxy, behind))
    await Promise.all(
      nodes.map(async (node) => {
        const file = this.#properties(node)
        await writeFile(file, serverProperties(node, this.#ports, join(this.#folder, `data-${String(node)}`)))
        await runJava('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', file])
      }),
    )
    await Promise.all(nodes.map((node) => this.start(node)))
  }

  createTopic(name: string, partitions: number, settings: Readonly<Record<string, string>>): Promise<void> {
    return retried(() => createTopic(this.brokers, name, partitions, settings, nodes.length)).then(() =>
      this.inSync(name),
    )
  }

  recordCount(topic: string): Promise<number> {
    return retried(() => recordCount(this.brokers, topic))
  }

  consoleConsumer(options: ConsumeOptions): Promise<readonly ConsumedRecord[]> {
    return consoleConsumer(this.brokers, options)
  }

  async leaderOf(topic: string, partition: number): Promise<number> {
    const found = (await this.#partitions(topic)).find(({ partitionId }) => partitionId === partition)
    if (found === undefined || found.leader < 0) throw new Error(`partition ${String(partition)} has no leader`)
    return found.leader
  }

  async moveLeader(topic: string, partition: number): Promise<number> {
    const leader = await retried(() => this.leaderOf(topic, partition))
    const others = nodes.filter((node) => node !== leader)
    const [next = 1] = others
    // The first replica of the list is the preferred one.
    const partitionAssignment = [{ partition, replicas: [...others, leader] }]
    await withAdmin(this.brokers, (admin) =>
      admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] }),
    )
    await runJava('org.apache.kafka.tools.LeaderElectionCommand', [
      ...['--bootstrap-server', this.brokers.join(','), '--election-type', 'preferred'],
      ...['--topic', topic, '--partition', String(partition)],
    ])
    await until('the new leader', async () => (await this.leaderOf(topic, partition).catch(() => 0)) === next, syncMs)
    return next
  }

  async kill(node: number): Promise<void> {
    await this.#running.get(node)?.end()
    this.#running.delete(node)
  }

  async shutDown(node: number): Promise<void> {
    await this.#running.get(node)?.stop()
    this.#running.delete(node)
  }

  async start(node: number): Promise<void> {
    const options = { folder: this.#folder, ready: 'Kafka Server started', withinMs: startMs }
    this.#running.set(node, await startJava('kafka.Kafka', [this.#properties(node)], options))
  }

  inSync(topic: string): Promise<void> {
    const whole = async (): Promise<boolean> =>
      (await this.#partitions(topic)).every(({ isr, leader }) => leader >= 0 && isr.length === nodes.length)
    return until('all replicas in sync', () => whole().catch(() => false), syncMs)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.proxies.values()].map((proxy) => proxy.close()))
    await Promise.all([...this.#running.values()].map((broker) => broker.end()))
    await rm(this.#folder, { recursive: true, force: true })
  }

  #properties(node: number): string {
    return join(this.#folder, `server-${String(node)}.properties`)
  }

  async #partitions(topic: string) {
    const { topics } = await withAdmin(this.brokers, (admin) => admin.fetchTopicMetadata({ topics: [topic] }))
    return topics.flatMap(({ partitions }) => partitions)
  }
}

function serverProperties(node: number, ports: ReadonlyMap<number, Ports>, data: string): string {
  const { plain, controller, behind, proxy } = ports.get(node) ?? { plain: 0, controller: 0, behind: 0, proxy: 0 }
  const voters = [...ports].map(([id, each]) => `${String(id)}@${host}:${String(each.controller)}`)
  const lines = {
    'process.roles': 'broker,controller',
    'node.id': node,
    'controller.quorum.voters': voters.join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT',
    listeners: `PLAINTEXT://${host}:${plain},PROXIED://${host}:${behind},CONTROLLER://${host}:${controller}`,
    'advertised.listeners': `PLAINTEXT://${host}:${plain},PROXIED://${host}:${proxy}`,
    'log.dirs': data,
    'auto.create.topics.enable': 'false',
    // Leaders change when a test says so.
    'auto.leader.rebalance.enable': 'false',
    'offsets.topic.replication.factor': 3,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 3,
    'transaction.state.log.min.isr': 2,
    'group.initial.rebalance.delay.ms': 0,
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    'num.network.threads': 2,
    'num.io.threads': 4,
  }
  return Object.entries(lines)
    .map(([name, value]) => `${name}=${String(value)}\n`)
    .join('')
}

/** Brokers refuse what they are asked for a moment after a start or a change of leaders. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await work()
    } catch (fault) {
      if (tried === 60) throw fault
      await sleep(500)
    }
  }
}
