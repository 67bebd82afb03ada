import kafkajs, { type Admin } from 'kafkajs'
import { ruledSettings, type RightTopic, type TopicDescription } from './topic-rules.ts'

const { ConfigResourceTypes } = kafkajs

/** What the brokers say of a topic; undefined where there is none. Rejects with what the client library threw. */
export async function describeTopic(admin: Admin, topic: string): Promise<TopicDescription | undefined> {
  const partitions = await partitionsOf(admin, topic)
  if (partitions === undefined) return undefined
  return {
    partitions: partitions.length,
    replicationFactor: Math.min(...partitions.map(({ replicas }) => replicas.length)),
    config: await configOf(admin, topic),
  }
}

/** Makes a topic. Resolves with false where there is one of that name already. Rejects with what the client library threw. */
export function makeTopic(admin: Admin, topic: string, partitions: number, right: RightTopic): Promise<boolean> {
  const configEntries = Object.entries(right.config).map(([name, value]) => ({ name, value }))
  const { replicationFactor } = right
  return admin.createTopics({ topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }] })
}

async function partitionsOf(admin: Admin, topic: string): Promise<readonly { replicas: number[] }[] | undefined> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
    const partitions = topics.find(({ name }) => name === topic)?.partitions ?? []
    return partitions.length === 0 ? undefined : partitions
  } catch (thrown) {
    if (typeOf(thrown) === 'UNKNOWN_TOPIC_OR_PARTITION') return undefined
    throw thrown
  }
}

async function configOf(admin: Admin, topic: string): Promise<ReadonlyMap<string, string> | undefined> {
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic, configNames: [...ruledSettings] }
  try {
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [resource] })
    const entries = resources.flatMap(({ configEntries }) => configEntries)
    return new Map(entries.map(({ configName, configValue }) => [configName, configValue]))
  } catch (thrown) {
    if (typeOf(thrown) === 'TOPIC_AUTHORIZATION_FAILED') return undefined
    throw thrown
  }
}

function typeOf(thrown: unknown): unknown {
  return typeof thrown === 'object' && thrown !== null && 'type' in thrown ? thrown.type : undefined
}
