import { CountersignError } from '../../errors.ts'
import type { SpooledRecord } from '../../spool/spooled-record.ts'
import type { Delivered, Sink } from '../sink.ts'
import type { Log } from './client.ts'
import { differenceText, type TopicDifference } from './topic-rules.ts'

/** What a topic that is not as it should be comes to: no delivery, or a warning. */
export type TopicCheck = 'enforce' | 'warn'

export interface CheckedTopicOptions {
  readonly topic: string
  readonly topicCheck: TopicCheck
  /** Looks at the topic; undefined where there is none. Rejects where no broker tells, and when the signal ends the look. */
  readonly inspect: (signal: AbortSignal) => Promise<readonly TopicDifference[] | undefined>
  /** Says that there is no topic. */
  readonly absent: () => CountersignError
  /** Told after each look; empty where all is well. */
  readonly topicProblems: (problems: readonly string[]) => void
  readonly log: Log
  readonly nowMs: () => number
}

/** How often a topic is looked at; and how soon again where no broker told. */
const everyMs = 300_000
const againMs = 30_000

/**
 * Delivers to a topic that is as a trail needs it: looked at before the first delivery, and every five minutes. With `enforce`,
 * `deliver` rejects with KAFKA_TOPIC_WRONG (retryable) from the look that finds a grave difference to the one that finds none, and
 * where there is no topic, until there is one that was looked at.
 */
export class CheckedTopic implements Sink {
  readonly #sink: Sink
  readonly #options: CheckedTopicOptions
  readonly #closing = new AbortController()
  #dueMs = -Infinity
  #found: readonly TopicDifference[] | undefined

  constructor(sink: Sink, options: CheckedTopicOptions) {
    this.#sink = sink
    this.#options = options
  }

  async deliver(records: readonly SpooledRecord[]): Promise<Delivered> {
    if (records.length > 0 && this.#options.nowMs() >= this.#dueMs) await this.#look()
    this.#refuse()
    return await this.#sink.deliver(records)
  }

  close(): Promise<void> {
    this.#closing.abort()
    return this.#sink.close()
  }

  async #look(): Promise<void> {
    const { inspect, absent, topicCheck, log, nowMs } = this.#options
    try {
      const found = await inspect(this.#closing.signal)
      if (found === undefined) {
        // What is made in its place was never seen.
        this.#found = undefined
        throw absent()
      }
      this.#tell(found)
      this.#found = found
      this.#dueMs = nowMs() + (this.#isRefused(found) ? 0 : everyMs)
    } catch (fault) {
      // Brokers that do not answer change nothing about a topic that was seen before.
      if (topicCheck === 'enforce' && this.#found === undefined) throw fault
      log('debug', 'the topic could not be looked at', { problem: String(fault) })
      this.#dueMs = nowMs() + againMs
    }
  }

  #tell(found: readonly TopicDifference[]): void {
    const { topic, topicProblems, log } = this.#options
    const problems = found.map(differenceText)
    topicProblems(problems)
    if (problems.join() === (this.#found ?? []).map(differenceText).join()) return
    if (problems.length === 0) log('info', 'the topic is as a trail needs it', { topic })
    else log('warn', 'the topic is not as a trail needs it', { topic, problems, mend: found.map(({ mend }) => mend) })
  }

  #refuse(): void {
    const found = this.#found ?? []
    if (!this.#isRefused(found)) return
    const grave = found.filter((difference) => difference.grave).map(differenceText)
    const { topic } = this.#options
    const message = `nothing is delivered to the topic ${topic} as it is: ${grave.join('; ')}. Mend it (countersign topic check names the commands), or set topicCheck: warn`
    throw new CountersignError('KAFKA_TOPIC_WRONG', message, { retryable: true })
  }

  #isRefused(found: readonly TopicDifference[]): boolean {
    return this.#options.topicCheck === 'enforce' && found.some(({ grave }) => grave)
  }
}
