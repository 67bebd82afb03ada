import { CountersignError } from '../../errors.ts'
import { type AdminContext, withAdmin } from './admin.ts'
import type { KafkaConnectionSettings } from './client.ts'
import { explainKafkaFault } from './fault.ts'
import { loginName } from './login.ts'
import { describeTopic, makeTopic } from './topic.ts'
import { type RightTopic, type TopicDescription, type TopicDifference, topicDifferences } from './topic-rules.ts'

/** A topic with how to reach its brokers. */
export interface TopicTarget extends KafkaConnectionSettings {
  readonly topic: string
}

/** How a topic was found, or how it was made. */
export interface FoundTopic {
  readonly topic: string
  readonly made: boolean
  readonly description: TopicDescription
  readonly differences: readonly TopicDifference[]
}

const context: AdminContext = { clientId: 'countersign-topic', log: () => undefined }

/** Looks at a topic; undefined where there is none. Throws KAFKA_UNAVAILABLE or TLS_INVALID. */
export function lookAtTopic(target: TopicTarget): Promise<FoundTopic | undefined> {
  return asking(target, (admin) => found(admin, target, false))
}

/** Makes a topic, or tells how the one is that is there already, which it MUST NOT alter. Throws KAFKA_UNAVAILABLE or TLS_INVALID. */
export async function createTopic(target: TopicTarget, partitions: number, right: RightTopic): Promise<FoundTopic> {
  return await asking(target, async (admin) => {
    const there = await found(admin, target, false)
    if (there !== undefined) return there
    const made = await makeTopic(admin, target.topic, partitions, right)
    const now = await found(admin, target, made)
    if (now === undefined) throw new CountersignError('KAFKA_UNAVAILABLE', `${target.topic} was made, and is not there`)
    return now
  })
}

type Admin = Parameters<Parameters<typeof withAdmin>[2]>[0]

async function found(admin: Admin, target: TopicTarget, made: boolean): Promise<FoundTopic | undefined> {
  const description = await describeTopic(admin, target.topic)
  if (description === undefined) return undefined
  return { topic: target.topic, made, description, differences: topicDifferences(description, target) }
}

async function asking<T>(target: TopicTarget, ask: (admin: Admin) => Promise<T>): Promise<T> {
  try {
    return await withAdmin(target, context, ask)
  } catch (thrown) {
    throw explainKafkaFault(thrown, { ...target, login: loginName(target.sasl) }, 'Kafka made or showed no topic')
  }
}
