import { describe, expect, test } from '@jest/globals'
import { CountersignError } from '../../../src/errors.ts'
import { CheckedTopic, type TopicCheck } from '../../../src/sinks/kafka/checked-topic.ts'
import { type TopicDifference } from '../../../src/sinks/kafka/topic-rules.ts'
import { makeRecords } from '../../contract/sink.ts'

const minute = 60_000
const grave: TopicDifference = {
  what: 'min.insync.replicas',
  found: '1',
  wanted: '2 or more',
  why: 'one broker is enough',
  grave: true,
  mend: 'kafka-configs.sh',
}
const slight: TopicDifference = { ...grave, what: 'retention.ms', grave: false }

/** A topic that is as it is told to be, and a sink behind the check. */
class Scene {
  found: readonly TopicDifference[] | undefined | Error = []
  nowMs = 0
  looks = 0
  delivered = 0
  readonly problems: (readonly string[])[] = []
  readonly logged: string[] = []
  readonly sink: CheckedTopic

  constructor(topicCheck: TopicCheck) {
    const behind = {
      deliver: async () => {
        this.delivered += 1
        return { kind: 'kept', mark: null } as const
      },
      close: () => Promise.resolve(),
    }
    this.sink = new CheckedTopic(behind, {
      topic: 'audit',
      topicCheck,
      inspect: async () => {
        this.looks += 1
        if (this.found instanceof Error) throw this.found
        return this.found
      },
      absent: () => new CountersignError('KAFKA_UNAVAILABLE', 'there is no topic', { retryable: true }),
      topicProblems: (problems) => this.problems.push(problems),
      log: (level, message) => this.logged.push(`${level}: ${message}`),
      nowMs: () => this.nowMs,
    })
  }

  deliver() {
    return this.sink.deliver(makeRecords(1))
  }
}

describe('a topic that is right', () => {
  test('is looked at before the first delivery, and every five minutes', async () => {
    const scene = new Scene('enforce')
    for (const at of [0, 1, 4.9, 5, 6, 9.9, 10]) {
      scene.nowMs = at * minute
      await scene.deliver()
    }
    expect(scene).toMatchObject({ looks: 3, delivered: 7 })
  })

  test('is delivered to on while no broker says how it is', async () => {
    const scene = new Scene('enforce')
    await scene.deliver()
    scene.found = new Error('no broker')
    scene.nowMs = 5 * minute
    await scene.deliver()
    scene.nowMs = 5.6 * minute
    await scene.deliver()
    expect(scene).toMatchObject({ looks: 3, delivered: 3 })
  })
})

describe('a topic that can lose records', () => {
  test('gets nothing where the check is enforced, until it is mended', async () => {
    const scene = new Scene('enforce')
    scene.found = [grave, slight]
    for (let tried = 0; tried < 3; tried++)
      await expect(scene.deliver()).rejects.toMatchObject({
        code: 'KAFKA_TOPIC_WRONG',
        retryable: true,
        message: expect.stringMatching(/min\.insync\.replicas is 1, not 2 or more: one broker is enough\. Mend it/),
      })
    expect(scene).toMatchObject({ looks: 3, delivered: 0 })
    scene.found = []
    await scene.deliver()
    expect(scene.delivered).toBe(1)
    expect(scene.problems.map(({ length }) => length)).toEqual([2, 2, 2, 0])
  })

  test('gets nothing more where it became so later', async () => {
    const scene = new Scene('enforce')
    await scene.deliver()
    scene.found = [grave]
    scene.nowMs = 5 * minute
    await expect(scene.deliver()).rejects.toMatchObject({ code: 'KAFKA_TOPIC_WRONG' })
    scene.found = new Error('no broker')
    await expect(scene.deliver()).rejects.toMatchObject({ code: 'KAFKA_TOPIC_WRONG' })
  })

  test('gets everything where a warning is wanted, and is told of once in the log and after each look', async () => {
    const scene = new Scene('warn')
    scene.found = [grave]
    for (const at of [0, 1, 5, 10]) {
      scene.nowMs = at * minute
      await scene.deliver()
    }
    expect(scene).toMatchObject({ looks: 3, delivered: 4 })
    expect(scene.problems).toHaveLength(3)
    expect(scene.logged).toEqual(['warn: the topic is not as a trail needs it'])
  })

  test('gets everything also under enforcement where it is only worth a look', async () => {
    const scene = new Scene('enforce')
    scene.found = [slight]
    await scene.deliver()
    expect(scene).toMatchObject({ delivered: 1, problems: [[expect.stringContaining('retention.ms')]] })
  })
})

describe('a topic that is not there', () => {
  test('is looked for before each delivery, so that a wrong one gets nothing once it is made', async () => {
    const scene = new Scene('enforce')
    scene.found = undefined
    await expect(scene.deliver()).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE', message: 'there is no topic' })
    scene.found = [grave]
    await expect(scene.deliver()).rejects.toMatchObject({ code: 'KAFKA_TOPIC_WRONG' })
    scene.found = []
    await scene.deliver()
    expect(scene).toMatchObject({ looks: 3, delivered: 1 })
  })

  test('any more, because it was deleted, is looked for again too, whatever it was like before', async () => {
    const scene = new Scene('enforce')
    await scene.deliver()
    scene.found = undefined
    scene.nowMs = 5 * minute
    await expect(scene.deliver()).rejects.toMatchObject({ message: 'there is no topic' })
    scene.found = [grave]
    await expect(scene.deliver()).rejects.toMatchObject({ code: 'KAFKA_TOPIC_WRONG' })
    expect(scene).toMatchObject({ looks: 3, delivered: 1 })
  })

  test('is left to the sink where a warning is enough', async () => {
    const scene = new Scene('warn')
    scene.found = undefined
    await scene.deliver()
    expect(scene).toMatchObject({ delivered: 1, problems: [] })
  })
})

describe('a topic that nobody has seen yet', () => {
  test('gets nothing where the check is enforced', async () => {
    const scene = new Scene('enforce')
    scene.found = new Error('no broker')
    await expect(scene.deliver()).rejects.toThrow('no broker')
    expect(scene.delivered).toBe(0)
  })

  test('is delivered to where a warning is enough', async () => {
    const scene = new Scene('warn')
    scene.found = new Error('no broker')
    await scene.deliver()
    expect(scene.delivered).toBe(1)
  })
})
