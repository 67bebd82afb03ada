import { createRequire } from 'node:module'
import { Kafka, logLevel, type LogEntry, type SASLOptions } from 'kafkajs'
import { messageOf } from '../../errors.ts'
import { knowZstd } from './compression.ts'
import type { KafkaConnections } from './connections.ts'
import type { KafkaLogin } from './login.ts'
import { type KafkaTlsFiles, readTls } from './tls.ts'

/** How brokers are reached. */
export interface KafkaConnectionSettings {
  /** `host:port` of some brokers; the others are found through them. */
  readonly brokers: readonly string[]
  readonly tls?: KafkaTlsFiles | boolean | undefined
  readonly sasl?: KafkaLogin | undefined
  /** How long a connect or a request may take; default 10,000. */
  readonly requestTimeoutMs?: number | undefined
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void

export interface KafkaClientContext {
  /** How brokers see this client. */
  readonly clientId: string
  /** Where its connections are held, to be cut. */
  readonly connections: KafkaConnections
  readonly log: Log
}

export const defaultRequestTimeoutMs = 10_000

/** A client of these brokers; connects when it is first used. Throws TLS_INVALID. */
export function openKafka(
  settings: KafkaConnectionSettings,
  { clientId, connections, log }: KafkaClientContext,
): Kafka {
  const { brokers, tls, sasl, requestTimeoutMs = defaultRequestTimeoutMs } = settings
  return new Kafka({
    clientId,
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
      // What a discarded client still says is of no use to anybody.
      if (!connections.closed) logEntry(entry, log)
    },
    ...(tls === undefined || tls === false ? {} : { ssl: tls === true ? true : readTls(tls) }),
    ...(sasl === undefined ? {} : { sasl: toSasl(sasl) }),
  })
}

function toSasl({ mechanism, username, password }: KafkaLogin): SASLOptions {
  return { mechanism, username, password }
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
knowZstd()
