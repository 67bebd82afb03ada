import type { KafkaMessage } from '../../src/sinks/kafka/message.ts'
import type { LanePlace, LaneProducer, ProduceReply } from '../../src/sinks/kafka/lane.ts'

/** What goes wrong with one produce, or with one connect. */
export type KafkaTrouble =
  /** Appended, but the acknowledgement never arrives. */
  | 'acknowledgement lost'
  /** Not appended, and answered with an error. */
  | 'refused'
  /** Not appended, and never answered. */
  | 'silent'
  /** Not appended, and answered with the place of the batch before it: how acknowledged records are lost. */
  | 'earlier offset'
  | 'overlapping offset'
  | 'other partition'
  | 'other topic'
  | 'error code'
  | 'no offset'
  | 'negative offset'
  | 'two replies'
  | 'no reply'

/** One partition of a topic at a broker, which does wrong what it is told to. */
export class FakeKafkaPartition {
  readonly topic: string
  readonly partition = 4
  readonly batches: (readonly KafkaMessage[])[] = []
  /** Applied one by one to the produces that come; a produce without one goes well. */
  readonly troubles: (KafkaTrouble | undefined)[] = []
  /** Applied one by one to the connects that come. */
  readonly connectTroubles: ('silent' | 'refused')[] = []
  refuseAll = false
  producers = 0
  discarded = 0
  mostInFlight = 0
  #inFlight = 0
  #end = 0

  constructor(topic: string) {
    this.topic = topic
  }

  get lines(): readonly string[] {
    return this.batches.flat().map(({ value }) => value.toString())
  }

  /** As after a truncation: the partition ends earlier, though records were acknowledged. */
  truncate(): void {
    this.batches.length = 0
    this.#end = 0
  }

  readonly newProducer = (): LaneProducer => {
    this.producers += 1
    const life = Promise.withResolvers<never>()
    life.promise.catch(() => undefined)
    let ended = false
    const alive = <T>(work: Promise<T>) => (ended ? life.promise : Promise.race([work, life.promise]))
    return {
      connect: () => alive(this.#connect()),
      produce: (partition, messages) => alive(this.#produce(partition, messages)),
      discard: () => {
        if (!ended) this.discarded += 1
        ended = true
        life.reject(new Error('the producer was discarded'))
      },
    }
  }

  async #connect(): Promise<LanePlace> {
    await Promise.resolve()
    const trouble = this.connectTroubles.shift()
    if (trouble === 'silent') await never()
    if (trouble === 'refused') throw new Error('connect ECONNREFUSED')
    return { partition: this.partition, ends: new Map([[this.partition, BigInt(this.#end)]]) }
  }

  async #produce(partition: number, messages: readonly KafkaMessage[]): Promise<readonly ProduceReply[]> {
    this.#inFlight += 1
    this.mostInFlight = Math.max(this.mostInFlight, this.#inFlight)
    try {
      await new Promise((resolve) => setImmediate(resolve))
      if (partition !== this.partition) throw new Error(`written to partition ${partition}`)
      return await this.#answer(this.refuseAll ? 'refused' : this.troubles.shift(), messages)
    } finally {
      this.#inFlight -= 1
    }
  }

  async #answer(
    trouble: KafkaTrouble | undefined,
    messages: readonly KafkaMessage[],
  ): Promise<readonly ProduceReply[]> {
    const reply = { topicName: this.topic, partition: this.partition, errorCode: 0 }
    const lastBatch = this.batches.at(-1)
    if (lastBatch === undefined && (trouble === 'earlier offset' || trouble === 'overlapping offset'))
      throw new Error('there is no earlier offset')
    switch (trouble) {
      case undefined:
        return [{ ...reply, baseOffset: this.#append(messages) }]
      case 'acknowledgement lost':
        this.#append(messages)
        throw new Error('Closed connection')
      case 'refused':
        throw new Error('NOT_ENOUGH_REPLICAS')
      case 'silent':
        return await never()
      case 'earlier offset':
        return [{ ...reply, baseOffset: String(this.#end - (lastBatch?.length ?? 0)) }]
      case 'overlapping offset':
        return [{ ...reply, baseOffset: String(this.#end - 1) }]
      case 'other partition':
        return [{ ...reply, partition: this.partition + 1, baseOffset: String(this.#end) }]
      case 'other topic':
        return [{ ...reply, topicName: `${this.topic}.other`, baseOffset: String(this.#end) }]
      case 'error code':
        return [{ ...reply, errorCode: 7, baseOffset: String(this.#end) }]
      case 'no offset':
        return [reply]
      case 'negative offset':
        return [{ ...reply, baseOffset: '-1' }]
      case 'two replies':
        return [
          { ...reply, baseOffset: String(this.#end) },
          { ...reply, baseOffset: String(this.#end + 1) },
        ]
      case 'no reply':
        return []
    }
  }

  #append(messages: readonly KafkaMessage[]): string {
    const base = this.#end
    this.batches.push(messages)
    this.#end += messages.length
    return String(base)
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined)
}
