import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { Kafka, logLevel, Partitioners, type Admin, type KafkaConfig, type LogEntry, type SASLOptions } from 'kafkajs'
import { CountersignError, messageOf } from '../errors.ts'
import { KafkaConnections } from './kafka-connections.ts'
import { explainKafkaFault } from './kafka-fault.ts'
import { KafkaLane, type LanePlace, type LaneProducer, type Log } from './kafka-lane.ts'
import type { Sink } from './sink.ts'

/** Files of PEM; read again at every connect, so that they can be renewed in place. */
export interface KafkaTlsFiles {
  /** Who signs the brokers' certificates; default: what Node.js trusts. */
  readonly ca?: string | undefined
  /** This client's own certificate and key, where the brokers ask for one. */
  readonly certificate?: string | undefined
  readonly key?: string | undefined
}

export interface KafkaLogin {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

export interface KafkaSinkSettings {
  /** `host:port` of some brokers; the others are found through them. */
  readonly brokers: readonly string[]
  readonly topic: string
  /** How brokers see this client; default `countersign-<replica>`. */
  readonly clientId?: string | undefined
  readonly tls?: KafkaTlsFiles | boolean | undefined
  readonly sasl?: KafkaLogin | undefined
  /** How long a connect or a produce may take; default 10,000. */
  readonly requestTimeoutMs?: number | undefined
}

export interface KafkaSinkContext {
  /** The key of every message, and so the choice of the partition. */
  readonly replica: string
  readonly log: Log
}

const defaultRequestTimeoutMs = 10_000

/**
 * A sink that delivers to one partition of a Kafka topic under the lane rule (kafka-lane.ts). Connects at the first
 * `deliver`. A `deliver` rejects with KAFKA_UNAVAILABLE, KAFKA_REPLY_UNTRUSTED or TLS_INVALID, all retryable, when a
 * connect or one produce took longer than `requestTimeoutMs`, or failed sooner; it never waits for a broker to come back.
 */
export function createKafkaSink(settings: KafkaSinkSettings, context: KafkaSinkContext): Sink {
  const { brokers, topic, sasl, requestTimeoutMs = defaultRequestTimeoutMs } = settings
  const login = sasl === undefined ? undefined : `${sasl.mechanism.toUpperCase()} as ${sasl.username}`
  return new KafkaLane({
    topic,
    replica: context.replica,
    requestTimeoutMs,
    newProducer: () => newProducer(settings, context, requestTimeoutMs),
    explain: (thrown) => explainKafkaFault(thrown, { brokers, topic, login }),
    log: context.log,
  })
}

function newProducer(settings: KafkaSinkSettings, context: KafkaSinkContext, requestTimeoutMs: number): LaneProducer {
  const connections = new KafkaConnections()
  const log: Log = (...said) => {
    if (!connections.closed) context.log(...said)
  }
  const kafka = new Kafka(clientConfig(settings, context.replica, requestTimeoutMs, connections, log))
  const admin = kafka.admin()
  const producer = kafka.producer({
    idempotent: true,
    allowAutoTopicCreation: false,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  return {
    connect: async () => {
      const place = await findPlace(admin, settings.topic, context.replica)
      await producer.connect()
      return place
    },
    produce: (partition, messages) =>
      producer.send({
        topic: settings.topic,
        acks: -1,
        timeout: requestTimeoutMs,
        messages: messages.map(({ key, value, headers }) => ({ key, value, headers: { ...headers }, partition })),
      }),
    discard: () => {
      connections.close()
      // Only stops the client's timers: its sockets are gone.
      for (const client of [admin, producer]) client.disconnect().catch(() => undefined)
    },
  }
}

/** The partition is that of Kafka's own default partitioner (murmur2 over the key), so that any client finds the same. */
async function findPlace(admin: Admin, topic: string, replica: string): Promise<LanePlace> {
  await admin.connect()
  const metadata = await admin.fetchTopicMetadata({ topics: [topic] })
  const ends = await admin.fetchTopicOffsets(topic)
  await admin.disconnect()
  const partitionMetadata = metadata.topics.find(({ name }) => name === topic)?.partitions ?? []
  if (partitionMetadata.length === 0) throw new Error(`the brokers name no partition of ${topic}`)
  const message = { key: replica, value: null }
  const partition = Partitioners.DefaultPartitioner()({ topic, partitionMetadata, message })
  const end = ends.find((place) => place.partition === partition)?.high
  if (end === undefined)
    throw new Error(`the brokers do not tell where partition ${String(partition)} of ${topic} ends`)
  return { partition, end: BigInt(end) }
}

function clientConfig(
  { brokers, clientId, tls, sasl }: KafkaSinkSettings,
  replica: string,
  requestTimeoutMs: number,
  connections: KafkaConnections,
  log: Log,
): KafkaConfig {
  return {
    clientId: clientId ?? `countersign-${replica}`,
    brokers: [...brokers],
    connectionTimeout: Math.ceil(Math.min(requestTimeoutMs / 2, 3_000)),
    requestTimeout: requestTimeoutMs,
    // About 1.5 s: enough for a change of leaders and for every broker of the list. What takes longer gets a new producer.
    retry: {
      retries: Math.max(4, brokers.length),
      initialRetryTime: 100,
      multiplier: 2,
      factor: 0.2,
      maxRetryTime: 1_000,
    },
    socketFactory: connections.socketFactory,
    logLevel: logLevel.INFO,
    logCreator: () => (entry) => {
      logEntry(entry, log)
    },
    ...(tls === undefined || tls === false ? {} : { ssl: tls === true ? true : readTls(tls) }),
    ...(sasl === undefined ? {} : { sasl: toSasl(sasl) }),
  }
}

function toSasl({ mechanism, username, password }: KafkaLogin): SASLOptions {
  return { mechanism, username, password }
}

function readTls({ ca, certificate, key }: KafkaTlsFiles): SecureContextOptions {
  const context = {
    ...(ca === undefined ? {} : { ca: readPem('CA', ca) }),
    ...(certificate === undefined ? {} : { cert: readPem('certificate', certificate) }),
    ...(key === undefined ? {} : { key: readPem('key', key) }),
  }
  try {
    createSecureContext(context)
  } catch (cause) {
    const files = [ca, certificate, key].filter((file) => file !== undefined).join(', ')
    throw tlsInvalid(`the files for TLS to Kafka (${files}) do not fit together: ${messageOf(cause)}`, cause)
  }
  return context
}

function readPem(what: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw tlsInvalid(`the ${what} file for TLS to Kafka cannot be read: ${messageOf(cause)}`, cause)
  }
}

function tlsInvalid(message: string, cause: unknown): CountersignError {
  return new CountersignError('TLS_INVALID', message, { cause, retryable: true })
}

/** What the client says along the way is detail: what it comes to reaches the caller of `deliver` as a rejection. */
function logEntry({ namespace, label, log: said }: LogEntry, log: Log): void {
  // The client fears for exactly-once when its retries are limited; the lane discards such a producer.
  if (said.message.startsWith('Limiting retries for the idempotent producer')) return
  const { broker, error } = said as Record<string, unknown>
  const name = typeof broker === 'string' ? { broker } : {}
  const fault = error === undefined ? {} : { error: messageOf(error) }
  log('debug', `Kafka client: ${said.message}`, { severity: label, namespace, ...name, ...fault })
}

interface RequestQueue {
  readonly pending: readonly unknown[]
  scheduleCheckPendingRequests(): void
}

/**
 * kafkajs 2.2.4 looks for waiting requests once per millisecond and connection for ever, by a timer of a negative time,
 * of which Node 24 warns on the console. With nothing waiting there is nothing to look for.
 */
function stopIdleTimers(): void {
  const require = createRequire(import.meta.url)
  const { prototype } = require('kafkajs/src/network/requestQueue/index.js') as { prototype: RequestQueue }
  const schedule = Reflect.get(prototype, 'scheduleCheckPendingRequests')
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length > 0) schedule.call(this)
  }
}

stopIdleTimers()
