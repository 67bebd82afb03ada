import { CountersignError, messageOf } from '../../errors.ts'

/** Where a lane delivers, as far as a person needs it to understand a fault. Never the password. */
export interface KafkaDestination {
  readonly brokers: readonly string[]
  readonly topic: string
  /** `SCRAM-SHA-512 as audit`, or undefined without a login. */
  readonly login?: string | undefined
}

/**
 * Says what the Kafka client threw: what happened, where, and what to do about it. All of them are retryable: a broker
 * comes back, a topic or a user is made, and the records wait in the spool until then.
 */
export function explainKafkaFault(
  thrown: unknown,
  destination: KafkaDestination,
  refused = 'Kafka took no batch',
): CountersignError {
  if (thrown instanceof CountersignError) return thrown
  const cause = deepestCause(thrown)
  const message = `${refused}: ${describe(cause, destination)}`
  return new CountersignError('KAFKA_UNAVAILABLE', message, { cause: thrown, retryable: true })
}

interface ClientFault {
  readonly name?: unknown
  readonly type?: unknown
  readonly code?: unknown
  readonly cause?: unknown
  /** Of a fault that stands for several. */
  readonly errors?: unknown
}

const protocolFaults: Readonly<Record<string, (destination: KafkaDestination) => string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: ({ topic }) =>
    `there is no topic ${topic}: create the topic ${topic} with replication factor 3 and min.insync.replicas=2, as countersign topic create does (docs/kafka.md)`,
  INVALID_TOPIC_EXCEPTION: ({ topic }) => `${topic} cannot be the name of a topic`,
  TOPIC_AUTHORIZATION_FAILED: ({ topic, login }) =>
    `${login ?? 'this client'} may not write to the topic ${topic}: allow DESCRIBE and WRITE on it`,
  CLUSTER_AUTHORIZATION_FAILED: ({ login }) =>
    `${login ?? 'this client'} may not use an idempotent producer: allow IDEMPOTENT_WRITE on the cluster`,
  INVALID_REPLICATION_FACTOR: ({ topic }) =>
    `there are fewer brokers than the topic ${topic} should have replicas: give a smaller --replication-factor for a first look`,
  MESSAGE_TOO_LARGE: ({ topic }) =>
    `the topic ${topic} takes smaller batches than are sent: set its max.message.bytes to 1048588 or more`,
  INVALID_TIMESTAMP: ({ topic }) =>
    `the clock of this machine is too far from the brokers’: set it, or give the topic ${topic} message.timestamp.type=LogAppendTime`,
  NOT_ENOUGH_REPLICAS: ({ topic }) => `fewer replicas of ${topic} are in sync than its min.insync.replicas asks for`,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: ({ topic }) =>
    `fewer replicas of ${topic} are in sync than its min.insync.replicas asks for`,
}

function describe(fault: unknown, destination: KafkaDestination): string {
  const { name, type } = asClientFault(fault)
  const known = typeof type === 'string' && Object.hasOwn(protocolFaults, type) ? protocolFaults[type] : undefined
  if (known !== undefined) return known(destination)
  if (name === 'KafkaJSSASLAuthenticationError') {
    const login = destination.login === undefined ? '' : ` (${destination.login})`
    return `the login was refused${login}: ${messageOf(fault)}`
  }
  return `${messageOf(fault)} (brokers ${destination.brokers.join(', ')}, topic ${destination.topic})`
}

/** The client wraps what happened into what it tried; the innermost one says what happened. */
function deepestCause(thrown: unknown): unknown {
  let fault = thrown
  for (let depth = 0; depth < 8; depth++) {
    const { cause, errors } = asClientFault(fault)
    const inner: unknown = Array.isArray(errors) ? errors[0] : cause
    if (!(inner instanceof Error)) return fault
    fault = inner
  }
  return fault
}

function asClientFault(thrown: unknown): ClientFault {
  return typeof thrown === 'object' && thrown !== null ? thrown : {}
}
