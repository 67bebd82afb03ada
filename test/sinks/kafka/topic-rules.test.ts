import { describe, expect, test } from '@jest/globals'
import {
  differenceText,
  rightTopic,
  type TopicDescription,
  topicDifferences,
} from '../../../src/sinks/kafka/topic-rules.ts'

const place = { brokers: ['kafka-1:9092', 'kafka-2:9092'], topic: 'countersign.audit.v1' }
const brokerDefaults = { 'retention.bytes': '-1' }

function described(replicationFactor: number, config: Record<string, string> = {}): TopicDescription {
  const settings = { ...brokerDefaults, ...rightTopic(replicationFactor).config, ...config }
  return { partitions: 6, replicationFactor, config: new Map(Object.entries(settings)) }
}

describe('a topic', () => {
  test('that is made as it should be has no differences', () => {
    expect(topicDifferences(described(3), place)).toEqual([])
  })

  test.each([
    ['min.insync.replicas', '1', true],
    ['unclean.leader.election.enable', 'true', true],
    ['cleanup.policy', 'compact', true],
    ['cleanup.policy', 'compact,delete', true],
    ['max.message.bytes', '900000', true],
    ['retention.ms', '86400000', false],
    ['retention.bytes', '1073741824', false],
    ['min.insync.replicas', '3', false],
  ])('with %s=%s is told of, with the command that mends it', (name, value, grave) => {
    const [difference, ...others] = topicDifferences(described(3, { [name]: value }), place)
    expect(others).toEqual([])
    expect(difference).toMatchObject({ what: name, found: value, grave })
    expect(difference?.mend).toMatch(
      new RegExp(`--bootstrap-server kafka-1:9092,kafka-2:9092 --alter .*countersign.audit.v1 --add-config ${name}=`),
    )
  })

  test.each([
    ['retention.ms', '-1'],
    ['retention.ms', '604800000'],
    ['min.insync.replicas', '2'],
    ['max.message.bytes', '10485880'],
  ])('with %s=%s is as it should be', (name, value) => {
    expect(topicDifferences(described(3, { [name]: value }), place)).toEqual([])
  })

  test.each([1, 2])('with %s replicas loses records with too few disks', (replicas) => {
    const found = topicDifferences(described(replicas, { 'min.insync.replicas': '2' }), place)
    expect(found.map(differenceText)).toEqual([
      `replication factor is ${replicas}, not 3 or more: records are lost with too few disks`,
    ])
    expect(found[0]).toMatchObject({ grave: true })
  })

  test('whose settings nobody shows is not taken for right', () => {
    const found = topicDifferences({ partitions: 6, replicationFactor: 3, config: undefined }, place)
    expect(found).toEqual([expect.objectContaining({ grave: true, mend: expect.stringContaining('DescribeConfigs') })])
  })

  test('whose broker leaves a setting out is not taken for right', () => {
    const found = topicDifferences({ partitions: 6, replicationFactor: 3, config: new Map() }, place)
    expect(found.every(({ found: value }) => value === 'not told')).toBe(true)
    expect(found.length).toBe(6)
  })
})
