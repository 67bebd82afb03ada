import { describe, expect, test } from '@jest/globals'
import { CountersignError } from '../../../src/errors.ts'
import { explainKafkaFault } from '../../../src/sinks/kafka/fault.ts'

const destination = {
  brokers: ['kafka-0:9092', 'kafka-1:9092'],
  topic: 'countersign.audit.v1',
  login: 'PLAIN as audit',
}

function clientFault(message: string, members: object, cause?: Error): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), members)
}

describe('what the Kafka client throws', () => {
  test.each([
    [
      'UNKNOWN_TOPIC_OR_PARTITION',
      /create the topic countersign\.audit\.v1 with replication factor 3 and min\.insync\.replicas=2/,
    ],
    ['INVALID_TOPIC_EXCEPTION', /countersign\.audit\.v1 cannot be the name of a topic/],
    ['TOPIC_AUTHORIZATION_FAILED', /PLAIN as audit may not write.*DESCRIBE and WRITE/],
    ['CLUSTER_AUTHORIZATION_FAILED', /IDEMPOTENT_WRITE/],
    ['MESSAGE_TOO_LARGE', /max\.message\.bytes/],
    ['NOT_ENOUGH_REPLICAS', /min\.insync\.replicas/],
    ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', /min\.insync\.replicas/],
  ])('is said with what to do: %s', (type, said) => {
    const fault = clientFault('retries exceeded', {}, clientFault('protocol', { type, name: 'KafkaJSProtocolError' }))
    const explained = explainKafkaFault(fault, destination)
    expect(explained).toMatchObject({ code: 'KAFKA_UNAVAILABLE', retryable: true, cause: fault })
    expect(explained.message).toMatch(said)
  })

  test('is said with brokers and topic where nothing more is known', () => {
    const explained = explainKafkaFault(clientFault('Connection timeout', { type: 'toString' }), destination)
    expect(explained.message).toBe(
      'Kafka took no batch: Connection timeout (brokers kafka-0:9092, kafka-1:9092, topic countersign.audit.v1)',
    )
  })

  test('is said even when it is no error, or its own cause', () => {
    expect(explainKafkaFault('gone', destination).message).toContain('gone')
    const loop = new Error('loop')
    loop.cause = loop
    expect(explainKafkaFault(loop, destination).message).toContain('loop')
  })

  test('stays what it is when it is said already', () => {
    const fault = new CountersignError('TLS_INVALID', 'no key')
    expect(explainKafkaFault(fault, destination)).toBe(fault)
  })
})
