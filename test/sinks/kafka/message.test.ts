import { describe, expect, test } from '@jest/globals'
import { maxProduceBytes, toMessages } from '../../../src/sinks/kafka/message.ts'
import { makeRecords } from '../../contract/sink.ts'

const contentType = { 'content-type': 'application/cloudevents+json' }

function messageOfLine(line: string) {
  return [...toMessages([{ position: 1, trail: 'web-0-x', sequence: 1, line }], 'web-0')].flat()[0]!
}

describe('a record as a Kafka message', () => {
  test('is its own bytes, under the replica’s name, with its id and type as headers', () => {
    const [record] = makeRecords(1, { text: 'größer' })
    const message = messageOfLine(record!.line)
    expect(message.value.equals(Buffer.from(record!.line))).toBe(true)
    expect(message).toMatchObject({
      key: 'web-0',
      headers: {
        ...contentType,
        ce_type: 'io.countersign.access.v1',
        ce_id: '01980000-0000-7000-8000-000000000001',
      },
    })
  })

  test.each([
    [
      'whose members stand in another order',
      '{"type":"t.v1","data":{"id":"no"},"id":"a-1"}',
      { ce_type: 't.v1', ce_id: 'a-1' },
    ],
    ['whose id is escaped', '{"specversion":"1.0","id":"a\\u002d1","type":"t.v1"}', { ce_type: 't.v1', ce_id: 'a-1' }],
    ['that has ids of another kind', '{"specversion":"1.0","id":7,"type":null}', {}],
    ['that is not JSON', '{"specversion":"1.0","id":"', {}],
    ['that is no object', '"id"', {}],
    ['that is null', 'null', {}],
    ['that is empty', '', {}],
  ])('is made of a line %s', (_, line, headers) => {
    const message = messageOfLine(line)
    expect(message.headers).toEqual({ ...contentType, ...headers })
    expect(message.value.toString()).toBe(line)
  })
})

describe('batches', () => {
  test('keep the order, and leave nothing out', () => {
    const records = makeRecords(100, { bytes: 64_000 })
    const batches = [...toMessages(records, 'web-0')]
    expect(batches.flat().map(({ value }) => value.toString())).toEqual(records.map(({ line }) => line))
    expect(batches.length).toBe(8)
  })

  test('count keys and headers too', () => {
    const replica = 'r'.repeat(1_000)
    const [first] = [...toMessages(makeRecords(1_000, { bytes: 10 }), replica)]
    expect(first!.length).toBeLessThan(maxProduceBytes / replica.length)
  })

  test('hold a record by itself that is larger than a batch may be', () => {
    const large = { position: 2, trail: 't', sequence: 2, line: 'x'.repeat(maxProduceBytes + 1) }
    const small = { position: 1, trail: 't', sequence: 1, line: '{}' }
    const sizes = [...toMessages([small, large, small], 'web-0')].map((batch) => batch.length)
    expect(sizes).toEqual([1, 1, 1])
  })

  test('are none for no records', () => {
    expect([...toMessages([], 'web-0')]).toEqual([])
  })
})
