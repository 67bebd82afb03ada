import { CountersignError, messageOf } from '../../errors.ts'
import type { SpooledRecord } from '../../spool/spooled-record.ts'
import type { Sink } from '../sink.ts'
import type { Log } from './client.ts'
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
  /** The offset behind the partition's last record, as a broker knew it just now. */
  readonly end: bigint
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
  /** A connect or a produce that has no answer by then is given up. */
  readonly requestTimeoutMs: number
  readonly newProducer: () => LaneProducer
  /** Says in the words of a CountersignError what a producer threw. */
  readonly explain: (thrown: unknown) => CountersignError
  readonly log: Log
}

interface OpenLane {
  readonly producer: LaneProducer
  readonly partition: number
  /** Records of a new batch begin here or further on. */
  end: bigint
}

/**
 * The lane rule: one replica writes to one partition, one produce at a time, and believes an acknowledgement only when it
 * names that partition, error code 0 and a base offset beyond everything known to stand there. At any doubt the producer is discarded; the
 * next `deliver` sends the same records through a new one. Without this rule kafkajs loses acknowledged messages: a batch
 * whose acknowledgement was lost can be answered with the offset of another one.
 */
export class KafkaLane implements Sink {
  readonly #options: KafkaLaneOptions
  #open: OpenLane | undefined
  #connecting: LaneProducer | undefined
  /** Where the last believed acknowledgement ended, over all producers. */
  #acknowledged: LanePlace | undefined
  #busy = false
  readonly #closing = new AbortController()

  constructor(options: KafkaLaneOptions) {
    this.#options = options
  }

  async deliver(records: readonly SpooledRecord[]): Promise<void> {
    if (this.#closing.signal.aborted) throw unavailable('the sink is closed')
    if (this.#busy) throw unavailable('a produce is in flight already, and a lane has only one')
    this.#busy = true
    try {
      for (const messages of toMessages(records, this.#options.replica)) await this.#produce(messages)
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

  async #produce(messages: readonly KafkaMessage[]): Promise<void> {
    const lane = (this.#open ??= await this.#connect())
    const replies = await this.#inTime(lane.producer.produce(lane.partition, messages), 'acknowledge a batch')
    lane.end = this.#trust(replies, lane) + BigInt(messages.length)
    this.#acknowledged = { partition: lane.partition, end: lane.end }
  }

  async #connect(): Promise<OpenLane> {
    const { topic, log } = this.#options
    this.#connecting = this.#options.newProducer()
    const producer = this.#connecting
    const place = await this.#inTime(producer.connect(), 'let us connect')
    this.#connecting = undefined
    log('info', 'delivering to Kafka', { topic, partition: place.partition })
    this.#reportLoss(place)
    return { producer, ...place }
  }

  /** The base offset of a reply that proves that the batch was appended, and where. */
  #trust(replies: readonly ProduceReply[], lane: OpenLane): bigint {
    const [reply] = replies
    if (reply === undefined || replies.length !== 1) {
      throw this.#untrusted(`${String(replies.length)} partitions answered, 1 was written to`)
    }
    const { topicName, partition, errorCode, baseOffset = '' } = reply
    if (topicName !== this.#options.topic || partition !== lane.partition) {
      throw this.#untrusted(`it names partition ${String(partition)} of ${topicName}, not ${String(lane.partition)}`)
    }
    if (errorCode !== 0) throw this.#untrusted(`it carries error code ${String(errorCode)}`)
    if (!/^\d{1,19}$/.test(baseOffset)) throw this.#untrusted(`its base offset is "${baseOffset}"`)
    const offset = BigInt(baseOffset)
    if (offset < lane.end) {
      throw this.#untrusted(`its base offset is ${baseOffset}, but the partition reached ${String(lane.end)} before it`)
    }
    return offset
  }

  #untrusted(why: string): CountersignError {
    const message = `Kafka's acknowledgement for topic ${this.#options.topic} proves nothing: ${why}`
    return new CountersignError('KAFKA_REPLY_UNTRUSTED', message, { retryable: true })
  }

  /** A partition never ends before what it acknowledged, unless it was truncated or made anew. */
  #reportLoss({ partition, end }: LanePlace): void {
    const { topic, log } = this.#options
    if (this.#acknowledged?.partition !== partition || end >= this.#acknowledged.end) return
    log('error', 'the partition lost records that it had acknowledged', {
      topic,
      partition,
      acknowledgedEnd: String(this.#acknowledged.end),
      end: String(end),
    })
    this.#acknowledged = undefined
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
