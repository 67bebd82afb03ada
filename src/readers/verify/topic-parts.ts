import type { Part, PartBlock } from './part.ts'

/** A partition of a topic as it stood when it was opened. */
export interface TopicPartition {
  readonly partition: number
  /** Offset of the first message that the topic still has, and of the one behind the last. */
  readonly first: number
  readonly end: number
  /** The messages between the two, in order, as they come. */
  messages(): AsyncIterable<readonly TopicMessage[]>
}

export interface TopicMessage {
  readonly offset: number
  /** Null where a message has none: then it is no record. */
  readonly value: Uint8Array | null
}

/** The records of a topic, a partition one part. */
export function topicParts(topic: string, partitions: readonly TopicPartition[]): readonly Part[] {
  // Where partitions were added, a replica moved to another one: its records before that are gone with those of the old one.
  const isCut = partitions.some(({ first }) => first > 0)
  return partitions.map((opened) => {
    const { partition, first } = opened
    const name = `${topic}[${String(partition)}]`
    const removed = { line: first, why: 'older records are beyond what the topic keeps' }
    return {
      source: 'topic',
      name,
      stream: name,
      bytes: undefined,
      ...(isCut ? { removed } : {}),
      async *blocks() {
        for await (const batch of opened.messages()) if (batch.length > 0) yield blockOf(batch)
      },
    }
  })
}

function blockOf(messages: readonly TopicMessage[]): PartBlock {
  let end = 0
  const ends = Uint32Array.from(messages, ({ value }) => (end += value?.length ?? 0))
  const bytes = Buffer.allocUnsafeSlow(end)
  for (const [index, { value }] of messages.entries()) {
    if (value !== null) bytes.set(value, (ends[index] as number) - value.length)
  }
  return { bytes, ends, numbers: Float64Array.from(messages, ({ offset }) => offset) }
}
