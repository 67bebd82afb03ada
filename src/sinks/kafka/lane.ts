import { CountersignError, messageOf } from '../../errors.ts'
import type { SpooledRecord } from '../../spool/spooled-record.ts'
import type { Delivered, Sink } from '../sink.ts'
import type { Log } from './client.ts'
import { type Acknowledged, formatMark, readMark } from './mark.ts'
import { toMessages, type KafkaMessage } from './message.ts'

/** What a broker answers to one produce, per partition. */
export interface ProduceReply {
  readonly topicName: string
  readonly partition: number
  readonly errorCode: number
  /** Decimal; absent where the broker names none. */
  readonly baseOffset?: string
}

/** Where a lane writes. */
export interface LanePlace {
  readonly partition: number
  /** For each partition of the topic, the offset behind its last record, as a broker knew it just now. */
  readonly ends: ReadonlyMap<number, bigint>
}

/** An idempotent producer (acks=all) with its connections. Used by one lane, for one life: it is discarded at the first doubt. */
export interface LaneProducer {
  /** Connects and resolves with the place that the lane's key belongs to. */
  connect(): Promise<LanePlace>
  /** One produce to one partition. Resolves with what the broker answered. */
  produce(partition: number, messages: readonly KafkaMessage[]): Promise<readonly ProduceReply[]>
  /** Lets go of all connections at once; whatever is under way fails, and nothing is sent any more. MUST NOT throw. */
  discard(): void
}

export interface KafkaLaneOptions {
  readonly topic: string
  /** The key of every message. */
  readonly replica: string
  /** What `deliver` gave as its mark in an earlier life; null where there is none. */
  readonly mark: string | null
  /** A connect or a produce that has no answer by then is given up. */
  readonly requestTimeoutMs: number
  readonly newProducer: () => LaneProducer
  /** Says in the words of a CountersignError what a producer threw. */
  readonly explain: (thrown: unknown) => CountersignError
  readonly log: Log
}

interface OpenLane {
  readonly producer: LaneProducer
  readonly place: LanePlace
  /** Records of a new batch begin here or further on. */
  end: bigint
}

/**
 * The lane rule: one replica writes to one partition, one produce at a time, and believes an acknowledgement only when it
 * names that partition, error code 0 and a base offset beyond everything known to stand there. At any doubt the producer is discarded; the
 * next `deliver` sends the same records through a new one. Without this rule kafkajs loses acknowledged messages: a batch
 * whose acknowledgement was lost can be answered with the offset of another one.
 *
 * A partition never ends before what it acknowledged, over restarts too, unless it was truncated or made anew: then `deliver`
 * resolves with `lost`. How far it still has records is not asked: what stands at an offset now need not be what stood there.
 */
export class KafkaLane implements Sink {
  readonly #options: KafkaLaneOptions
  #open: OpenLane | undefined
  #connecting: LaneProducer | undefined
  /** Where the last believed acknowledgement ended, over all producers. */
  #acknowledged: Acknowledged | undefined
  /** Set when a broker gave a new batch a place before it. */
  #contradicted = false
  #busy = false
  readonly #closing = new AbortController()

  constructor(options: KafkaLaneOptions) {
    this.#options = options
    this.#acknowledged = readMark(options.mark, options.topic)
  }

  async deliver(records: readonly SpooledRecord[]): Promise<Delivered> {
    if (this.#closing.signal.aborted) throw unavailable('the sink is closed')
    if (this.#busy) throw unavailable('a produce is in flight already, and a lane has only one')
    this.#busy = true
    try {
      if (records.length === 0) return this.#kept()
      const lane = this.#open ?? (await this.#connect())
      const lost = this.#open === undefined ? this.#whatIsLost(lane.place) : undefined
      this.#open = lane
      if (lost !== undefined) return { kind: 'lost', what: lost }
      for (const messages of toMessages(records, this.#options.replica)) await this.#produce(messages, lane)
      return this.#kept()
    } catch (fault) {
      this.#discard()
      throw fault instanceof CountersignError ? fault : this.#options.explain(fault)
    } finally {
      this.#busy = false
    }
  }

  close(): Promise<void> {
    this.#closing.abort()
    this.#discard()
    return Promise.resolve()
  }

  #kept(): Delivered {
    const { topic } = this.#options
    return { kind: 'kept', mark: this.#acknowledged === undefined ? null : formatMark(topic, this.#acknowledged) }
  }

  async #produce(messages: readonly KafkaMessage[], lane: OpenLane): Promise<void> {
    const { partition } = lane.place
    const replies = await this.#inTime(lane.producer.produce(partition, messages), 'acknowledge a batch')
    lane.end = this.#trust(replies, lane) + BigInt(messages.length)
    this.#acknowledged = { partition, end: lane.end }
  }

  async #connect(): Promise<OpenLane> {
    const { topic, log } = this.#options
    this.#connecting = this.#options.newProducer()
    const producer = this.#connecting
    const place = await this.#inTime(producer.connect(), 'let us connect')
    this.#connecting = undefined
    log('info', 'delivering to Kafka', { topic, partition: place.partition })
    return { producer, place, end: place.ends.get(place.partition) ?? 0n }
  }

  /** The base offset of a reply that proves that the batch was appended, and where. */
  #trust(replies: readonly ProduceReply[], lane: OpenLane): bigint {
    const [reply] = replies
    if (reply === undefined || replies.length !== 1) {
      throw this.#untrusted(`${String(replies.length)} partitions answered, 1 was written to`)
    }
    const { topicName, partition, errorCode, baseOffset = '' } = reply
    const wanted = lane.place.partition
    if (topicName !== this.#options.topic || partition !== wanted) {
      throw this.#untrusted(`it names partition ${String(partition)} of ${topicName}, not ${String(wanted)}`)
    }
    if (errorCode !== 0) throw this.#untrusted(`it carries error code ${String(errorCode)}`)
    if (!/^\d{1,19}$/.test(baseOffset)) throw this.#untrusted(`its base offset is "${baseOffset}"`)
    const offset = BigInt(baseOffset)
    if (offset < lane.end) {
      this.#contradicted ||= this.#acknowledged?.partition === wanted && offset < this.#acknowledged.end
      throw this.#untrusted(`its base offset is ${baseOffset}, but the partition reached ${String(lane.end)} before it`)
    }
    return offset
  }

  #untrusted(why: string): CountersignError {
    const message = `Kafka's acknowledgement for topic ${this.#options.topic} proves nothing: ${why}`
    return new CountersignError('KAFKA_REPLY_UNTRUSTED', message, { retryable: true })
  }

  /** What to say where the topic lacks records that it acknowledged. It is said once: what is lost counts as acknowledged no more. */
  #whatIsLost({ ends }: LanePlace): string | undefined {
    if (this.#acknowledged === undefined) return undefined
    const { partition, end: acknowledgedEnd } = this.#acknowledged
    const end = ends.get(partition) ?? 0n
    if (end >= acknowledgedEnd && !this.#contradicted) return undefined
    this.#acknowledged = undefined
    this.#contradicted = false
    const place = `partition ${String(partition)} of topic ${this.#options.topic}`
    return `${place} lost records: they were acknowledged up to offset ${String(acknowledgedEnd)}, and it ends at ${String(end)}`
  }

  #inTime<T>(work: Promise<T>, task: string): Promise<T> {
    const { requestTimeoutMs } = this.#options
    return new Promise<T>((resolve, reject) => {
      const giveUp = () => {
        reject(unavailable(`no broker did ${task} within ${String(requestTimeoutMs)} ms`))
      }
      const closed = () => {
        reject(unavailable('the sink was closed'))
      }
      const timer = setTimeout(giveUp, requestTimeoutMs)
      this.#closing.signal.addEventListener('abort', closed, { once: true })
      void work.then(resolve, reject).finally(() => {
        clearTimeout(timer)
        this.#closing.signal.removeEventListener('abort', closed)
      })
    })
  }

  #discard(): void {
    for (const producer of [this.#connecting, this.#open?.producer]) {
      try {
        producer?.discard()
      } catch (fault) {
        this.#options.log('warn', 'a Kafka producer could not be discarded', { fault: messageOf(fault) })
      }
    }
    this.#connecting = undefined
    this.#open = undefined
  }
}

function unavailable(why: string): CountersignError {
  return new CountersignError('KAFKA_UNAVAILABLE', `Kafka took no batch: ${why}`, { retryable: true })
}
