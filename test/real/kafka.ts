import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type Admin } from 'kafkajs'
import { runJava, startJava, type JavaProcess } from './kafka/java.ts'

export interface KafkaOptions {
  /** One more listener, where this user logs in by PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. */
  readonly sasl?: { readonly username: string; readonly password: string }
  /** One more listener with this server certificate (all PEM); with `clientCa` it asks clients for a certificate. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly clientCa?: string }
  /** More lines of server.properties. */
  readonly settings?: Readonly<Record<string, string>>
}

/** One record as Kafka's own console consumer printed it. */
export interface ConsumedRecord {
  readonly partition: number
  readonly offset: number
  readonly headers: Readonly<Record<string, string>>
  readonly key: string
  readonly value: string
}

export interface ConsumeOptions {
  readonly topic: string
  readonly maxMessages: number
  /** Ends when no record came for so long. Default 10,000. */
  readonly timeoutMs?: number
}

export interface RealKafka {
  /** Bootstrap addresses of the plain listener. */
  readonly brokers: readonly string[]
  /** Of the listener that asks for a login; empty without `sasl`. */
  readonly saslBrokers: readonly string[]
  /** Of the TLS listener; empty without `tls`. */
  readonly tlsBrokers: readonly string[]
  createTopic(name: string, partitions?: number, settings?: Readonly<Record<string, string>>): Promise<void>
  deleteTopic(name: string): Promise<void>
  /** How many records stand in all partitions. */
  recordCount(topic: string): Promise<number>
  /** Reads from the beginning of all partitions, until `maxMessages` or until nothing more comes. */
  consoleConsumer(options: ConsumeOptions): Promise<readonly ConsumedRecord[]>
  /** Writes records, each a key and a value, with Kafka's own console producer. */
  consoleProducer(topic: string, records: readonly (readonly [key: string, value: string])[]): Promise<void>
  /** Ends the broker at once (kill -9) and keeps its data. */
  kill(): Promise<void>
  /** Starts it again on the same ports with the same data. For a moment more, it may refuse what it is asked. */
  restart(): Promise<void>
  /** Of a broker that is not running: cuts the log of a partition to a part of its bytes, as a disk that lost its last writes. */
  cutLog(topic: string, partition: number, part: number): Promise<void>
  /** Bytes that a partition's log has. */
  logBytes(topic: string, partition: number): Promise<number>
  /** The last lines that the broker logged. */
  logTail(): Promise<string>
  /** Ends the broker and removes its data. */
  stop(): Promise<void>
}

const host = '127.0.0.1'
const startMs = 60_000

/** Starts one real broker (KRaft, broker and controller in one) on free loopback ports, with its data in a temporary folder. */
export async function startKafka(options: KafkaOptions = {}): Promise<RealKafka> {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-kafka-'))
  try {
    const ports = await freePorts(4)
    const properties = join(folder, 'server.properties')
    await writeFile(properties, await serverProperties(folder, ports, options))
    await runJava('kafka.tools.StorageTool', ['format', '-t', clusterId, '-c', properties, ...scramUsers(options)])
    return await serve(folder, properties, ports, options)
  } catch (fault) {
    await rm(folder, { recursive: true, force: true })
    throw fault
  }
}

export const clusterId = 'MkU3OEVBNTcwNTJENDM2Qg'

type Ports = readonly [plain: number, controller: number, sasl: number, tls: number]

async function serve(folder: string, properties: string, ports: Ports, options: KafkaOptions): Promise<RealKafka> {
  const start = () =>
    startJava('kafka.Kafka', [properties], { folder, ready: 'Kafka Server started', withinMs: startMs })
  let broker: JavaProcess | undefined = await start()
  const kill = async () => {
    await broker?.end()
    broker = undefined
  }
  const brokers = [`${host}:${String(ports[0])}`]
  return {
    brokers,
    saslBrokers: options.sasl === undefined ? [] : [`${host}:${String(ports[2])}`],
    tlsBrokers: options.tls === undefined ? [] : [`${host}:${String(ports[3])}`],
    createTopic: (name, partitions = 1, settings = {}) => createTopic(brokers, name, partitions, settings, 1),
    recordCount: (topic) => recordCount(brokers, topic),
    deleteTopic: (name) => withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [name] })),
    consoleConsumer: (consume) => consoleConsumer(brokers, consume),
    consoleProducer: (topic, records) => consoleProducer(brokers, topic, records),
    kill,
    restart: async () => {
      await kill()
      broker = await start()
    },
    cutLog: async (topic, partition, part) => {
      const log = logFile(folder, topic, partition)
      await truncate(log, Math.floor((await stat(log)).size * part))
    },
    logBytes: async (topic, partition) => (await stat(logFile(folder, topic, partition))).size,
    logTail: async () => (await broker?.logTail()) ?? '(the broker is not running)',
    stop: async () => {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function logFile(folder: string, topic: string, partition: number): string {
  return join(folder, 'data', `${topic}-${String(partition)}`, `${'0'.repeat(20)}.log`)
}

async function serverProperties(folder: string, ports: Ports, options: KafkaOptions): Promise<string> {
  const [plain, controller, sasl, tls] = ports.map(String) as [string, string, string, string]
  const listeners = [`PLAINTEXT://${host}:${plain}`]
  if (options.sasl !== undefined) listeners.push(`SASL_PLAINTEXT://${host}:${sasl}`)
  if (options.tls !== undefined) listeners.push(`SSL://${host}:${tls}`)
  const lines = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@${host}:${controller}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL',
    listeners: [...listeners, `CONTROLLER://${host}:${controller}`].join(','),
    'advertised.listeners': listeners.join(','),
    'log.dirs': join(folder, 'data'),
    'auto.create.topics.enable': 'true', // as most clusters have it: the sink must not make its topic by accident
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'broker.session.timeout.ms': '2000', // a killed broker may come back after that, not after 9 s
    'broker.heartbeat.interval.ms': '400',
    ...saslProperties(options.sasl),
    ...(await tlsProperties(folder, options.tls)),
    ...options.settings,
  }
  return Object.entries(lines)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

function saslProperties(sasl: KafkaOptions['sasl']): Record<string, string> {
  if (sasl === undefined) return {}
  const listener = 'listener.name.sasl_plaintext'
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
  const plain = `org.apache.kafka.common.security.plain.PlainLoginModule required user_${sasl.username}="${sasl.password}";`
  return {
    [`${listener}.sasl.enabled.mechanisms`]: 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    [`${listener}.plain.sasl.jaas.config`]: plain,
    [`${listener}.scram-sha-256.sasl.jaas.config`]: scram,
    [`${listener}.scram-sha-512.sasl.jaas.config`]: scram,
  }
}

function scramUsers({ sasl }: KafkaOptions): readonly string[] {
  if (sasl === undefined) return []
  const user = `[name=${sasl.username},password=${sasl.password}]`
  return ['--add-scram', `SCRAM-SHA-256=${user}`, '--add-scram', `SCRAM-SHA-512=${user}`]
}

async function tlsProperties(folder: string, tls: KafkaOptions['tls']): Promise<Record<string, string>> {
  if (tls === undefined) return {}
  const keystore = join(folder, 'keystore.pem')
  await writeFile(keystore, `${tls.key}\n${tls.certificate}\n`, { mode: 0o600 })
  const own = { 'listener.name.ssl.ssl.keystore.type': 'PEM', 'listener.name.ssl.ssl.keystore.location': keystore }
  if (tls.clientCa === undefined) return own
  const truststore = join(folder, 'truststore.pem')
  await writeFile(truststore, tls.clientCa)
  return {
    ...own,
    'listener.name.ssl.ssl.client.auth': 'required',
    'listener.name.ssl.ssl.truststore.type': 'PEM',
    'listener.name.ssl.ssl.truststore.location': truststore,
  }
}

export async function createTopic(
  brokers: readonly string[],
  topic: string,
  numPartitions: number,
  settings: Readonly<Record<string, string>>,
  replicationFactor: number,
): Promise<void> {
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
  const topics = [{ topic, numPartitions, replicationFactor, configEntries }]
  await withAdmin(brokers, async (admin) => {
    await admin.createTopics({ topics, waitForLeaders: true })
    // A leader is named a moment before it serves.
    for (let tried = 1; !(await answers(admin.fetchTopicOffsets(topic))) && tried < 50; tried++) await sleep(100)
  })
}

function answers(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  )
}

export async function recordCount(brokers: readonly string[], topic: string): Promise<number> {
  const partitions = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic))
  return partitions.reduce((count, { low, high }) => count + Number(high) - Number(low), 0)
}

export async function withAdmin<T>(brokers: readonly string[], task: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  try {
    return await task(admin)
  } finally {
    await admin.disconnect()
  }
}

export async function consoleConsumer(
  brokers: readonly string[],
  { topic, maxMessages, timeoutMs = 10_000 }: ConsumeOptions,
): Promise<readonly ConsumedRecord[]> {
  const printed = ['partition', 'offset', 'headers', 'key', 'value'].flatMap((what) => [
    '--property',
    `print.${what}=true`,
  ])
  const limits = ['--max-messages', String(maxMessages), '--timeout-ms', String(timeoutMs)]
  const output = await runJava('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    ...['--bootstrap-server', brokers.join(','), '--topic', topic, '--from-beginning', ...limits, ...printed],
  ])
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map(readConsumed)
}

function readConsumed(line: string): ConsumedRecord {
  const match = /^Partition:(\d+)\tOffset:(\d+)\t([^\t]*)\t([^\t]*)\t([^]*)$/.exec(line)
  if (match === null) throw new Error(`the console consumer printed a line of an unknown form: ${line}`)
  const [, partition, offset, headers = '', key = '', value = ''] = match
  return { partition: Number(partition), offset: Number(offset), headers: readHeaders(headers), key, value }
}

function readHeaders(text: string): Record<string, string> {
  if (text === 'NO_HEADERS') return {}
  return Object.fromEntries(
    text.split(',').map((header) => {
      const colon = header.indexOf(':')
      return [header.slice(0, colon), header.slice(colon + 1)]
    }),
  )
}

export async function consoleProducer(
  brokers: readonly string[],
  topic: string,
  records: readonly (readonly [string, string])[],
): Promise<void> {
  const properties = ['--property', 'parse.key=true', '--property', 'key.separator=\t']
  const args = ['--bootstrap-server', brokers.join(','), '--topic', topic, ...properties]
  await runJava(
    'org.apache.kafka.tools.ConsoleProducer',
    args,
    records.map(([key, value]) => `${key}\t${value}\n`).join(''),
  )
}

async function freePorts(count: 4): Promise<Ports> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports as unknown as Ports
}

async function listenAnywhere() {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  return server
}
