import type { Admin } from 'kafkajs'
import { CountersignError } from '../../errors.ts'
import { defaultRequestTimeoutMs, type KafkaConnectionSettings, type Log, openKafka } from './client.ts'
import { KafkaConnections } from './connections.ts'

export interface AdminContext {
  /** How brokers see this client. */
  readonly clientId: string
  readonly log: Log
  /** Ends the question. */
  readonly signal?: AbortSignal
}

/**
 * Asks the brokers something, over connections of its own, which are cut afterwards. Rejects with what the client library threw,
 * or with KAFKA_UNAVAILABLE when there is no answer within the request timeout.
 */
export async function withAdmin<T>(
  settings: KafkaConnectionSettings,
  { clientId, log, signal }: AdminContext,
  ask: (admin: Admin) => Promise<T>,
): Promise<T> {
  const { requestTimeoutMs = defaultRequestTimeoutMs, brokers } = settings
  const connections = new KafkaConnections()
  const admin = openKafka(settings, { clientId, connections, log }).admin()
  const cut = Promise.withResolvers<never>()
  const giveUp = (why: string): void => {
    const message = `Kafka told nothing: ${why} (brokers ${brokers.join(', ')})`
    cut.reject(new CountersignError('KAFKA_UNAVAILABLE', message, { retryable: true }))
  }
  const closed = (): void => {
    giveUp('the sink was closed')
  }
  const timer = setTimeout(() => {
    giveUp(`no broker answered within ${String(requestTimeoutMs)} ms`)
  }, requestTimeoutMs)
  signal?.addEventListener('abort', closed, { once: true })
  try {
    return await Promise.race([admin.connect().then(() => ask(admin)), cut.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', closed)
    connections.close()
    // Only stops the client's timers: its sockets are gone.
    admin.disconnect().catch(() => undefined)
  }
}
