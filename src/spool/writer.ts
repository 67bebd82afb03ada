import { setTimeout as sleep } from 'node:timers/promises'
import type { GapReason, TrailGap } from '../audit/event-data.ts'
import { trailEvent } from '../audit/event.ts'
import { encodeEvent, type EncodedEvent } from '../audit/record.ts'
import type { ErrorCode } from '../errors.ts'
import { Gaps } from './gaps.ts'
import type { Cursor, FromSpoolWorker, SpoolState, ToSpoolWorker } from './protocol.ts'
import { type Kinds, type Pending, Queue } from './queue.ts'
import type { SpoolWorker } from './spool-worker.ts'

export interface WriterContext {
  readonly newId: () => string
  readonly now: () => Date
  /** Bytes that may wait for a sink before access events are held. */
  readonly maxBytes: number
  /** Told of each event that is on the disk. */
  readonly onKept: (pending: Pending) => void
  /** Told of each event that will not be; it has been counted for a gap. */
  readonly onLost: (pending: Pending) => void
}

export interface WriterProblem {
  readonly code: ErrorCode
  readonly message: string
  /** Whether it may pass by itself. */
  readonly retryable: boolean
}

/** What the worker is writing. */
interface Batch {
  readonly pending: readonly Pending[]
  readonly gaps: readonly TrailGap[]
  readonly cursors: readonly Cursor[]
}

type Failed = Extract<FromSpoolWorker, { kind: 'failed' }>

const retryMs = 250
/** Cursors that no batch carries are written by themselves after this long. */
const cursorMs = 200
/** Gaps are written no more often than this: a refused request must not cost more disk than a kept one. */
const gapMs = 1000

/**
 * Hands batches to the worker, one at a time: what gathers while one is under way goes with the next. A batch that fails for a
 * reason that may pass is tried again, without what must not wait; any other failure is final.
 */
export class Writer {
  readonly #worker: SpoolWorker
  readonly #context: WriterContext
  readonly #queue = new Queue()
  readonly #gaps = new Gaps()
  readonly #cursors = new Map<string, number>()
  readonly #commitListeners: ((appended: number) => void)[] = []
  #state: SpoolState
  #problem: WriterProblem | null = null
  #phase: 'open' | 'failed' | 'sealed' = 'open'
  #stopping = false
  #scheduled = false
  #running: Promise<void> | undefined
  #ended: WriterProblem | undefined
  /** Answers in place of a thread that is gone. */
  #abandon: ((problem: WriterProblem) => void) | undefined
  /** Resolves when the worker is free. */
  #asked: Promise<unknown> = Promise.resolve()
  #gapTimer: NodeJS.Timeout | undefined
  /** When a gap may be written next, by the monotonic clock. */
  #nextGapMs = 0
  #cursorTimer: NodeJS.Timeout | undefined

  constructor(worker: SpoolWorker, state: SpoolState, context: WriterContext) {
    this.#worker = worker
    this.#state = state
    this.#context = context
    void worker.ended.then((error) => {
      this.#ended = threadEnded(error)
      this.#abandon?.(this.#ended)
      this.#fail(this.#ended)
    })
  }

  get state(): SpoolState {
    return this.#state
  }

  /** Why nothing can be written at the moment, or null. */
  get problem(): WriterProblem | null {
    return this.#problem
  }

  /** Why decisions must be refused although the disk takes them, or null: too much waits for a sink. */
  get overflow(): WriterProblem | null {
    const { waitingBytes } = this.#state
    const { maxBytes } = this.#context
    if (waitingBytes < maxBytes) return null
    const message = `${waitingBytes} bytes wait for a sink; spool.maxBytes allows ${maxBytes}`
    return { code: 'SPOOL_FULL', message, retryable: true }
  }

  /** Set from the call of `seal` or `close` on: nothing new belongs into the trail. */
  get stopping(): boolean {
    return this.#stopping
  }

  get queue(): Pick<Queue, 'length' | 'characters' | 'replace' | 'remove'> {
    return this.#queue
  }

  onCommit(listener: (appended: number) => void): void {
    this.#commitListeners.push(listener)
  }

  push(pending: Pending): void {
    this.#queue.push(pending)
    this.#schedule()
  }

  /** Counts an event that will have no record; a gap says so with the next batch. */
  miss(of: 'decision' | 'access', reason: GapReason, time: Date): void {
    this.#gaps.add(of, reason, time)
    this.#gapTimer ??= setTimeout(
      () => {
        this.#gapTimer = undefined
        this.#schedule()
      },
      Math.max(0, this.#nextGapMs - performance.now()),
    )
  }

  advance(sink: string, position: number): void {
    this.#cursors.set(sink, position)
    this.#cursorTimer ??= setTimeout(() => {
      this.#cursorTimer = undefined
      void this.#run()
    }, cursorMs)
  }

  /** Writes what waits, and `closed`. Gives up where the disk fails meanwhile: then the trail stays open. */
  async seal(): Promise<void> {
    this.#stopping = true
    await this.#run()
    if (this.#phase !== 'open' || this.#problem !== null) return
    // From here on no gap may follow `closed`.
    this.#phase = 'sealed'
    const reply = await this.#ask({ kind: 'seal', closedId: this.#context.newId() })
    if (reply.kind !== 'committed') return
    this.#state = reply.state
    this.#tellAppended(1)
  }

  /** Writes the last cursors and lets go of the file. */
  async close(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#cursorTimer)
    clearTimeout(this.#gapTimer)
    await this.#run()
    if (this.#phase !== 'failed') await this.#ask({ kind: 'close' })
  }

  #schedule(): void {
    if (this.#scheduled || this.#running !== undefined) return
    this.#scheduled = true
    // What the same turn of the event loop brings shares one transaction.
    setImmediate(() => {
      this.#scheduled = false
      void this.#run()
    })
  }

  #run(): Promise<void> {
    if (this.#running === undefined && this.#hasWork()) this.#running = this.#writeAll()
    return this.#running ?? Promise.resolve()
  }

  async #writeAll(): Promise<void> {
    while (this.#hasWork()) {
      const reply = await this.#writeBatch()
      if (reply.kind !== 'failed') continue
      if (this.#stopping) break
      await sleep(retryMs)
    }
    // In the same turn as the last look for work: what is pushed from now on starts it anew.
    this.#running = undefined
  }

  async #writeBatch(): Promise<FromSpoolWorker> {
    const batch = this.#takeBatch()
    const reply = await this.#ask({ kind: 'append', events: this.#eventsOf(batch), cursors: batch.cursors })
    if (reply.kind === 'committed') this.#committed(batch, reply.state)
    if (reply.kind === 'failed') this.#failed(batch, reply)
    return reply
  }

  #hasWork(): boolean {
    if (this.#phase === 'failed') return false
    return this.#queue.has(this.#kinds()) || this.#gapsAreDue() || this.#cursors.size > 0
  }

  #gapsAreDue(): boolean {
    if (this.#phase !== 'open' || this.#gaps.empty) return false
    return this.#stopping || performance.now() >= this.#nextGapMs
  }

  /** At the end, what was held is written too: it would be lost otherwise. */
  #kinds(): Kinds {
    return this.overflow === null || this.#stopping ? 'all' : 'decisions'
  }

  #takeBatch(): Batch {
    const cursors = [...this.#cursors].map(([sink, position]) => ({ sink, position }))
    this.#cursors.clear()
    const gaps = this.#gapsAreDue() ? this.#gaps.take() : []
    if (gaps.length > 0) this.#nextGapMs = performance.now() + gapMs
    return { pending: this.#queue.take(this.#kinds()), gaps, cursors }
  }

  #eventsOf({ gaps, pending }: Batch): EncodedEvent[] {
    const { newId, now } = this.#context
    return [...gaps.map((gap) => encodeEvent(trailEvent(newId(), now(), gap))), ...pending.map(({ event }) => event)]
  }

  #committed({ pending, gaps }: Batch, state: SpoolState): void {
    this.#state = state
    this.#problem = null
    for (const one of pending) this.#context.onKept(one)
    const appended = pending.length + gaps.length
    if (appended > 0) this.#tellAppended(appended)
  }

  #failed({ pending, gaps, cursors }: Batch, { code, message, retryable }: Failed): void {
    const problem = { code, message, retryable }
    if (!retryable) {
      this.#lose(pending, gapReasonOf(problem))
      this.#fail(problem)
      return
    }
    this.#problem = problem
    this.#gaps.restore(gaps)
    for (const { sink, position } of cursors) {
      if (!this.#cursors.has(sink)) this.#cursors.set(sink, position)
    }
    const lost = pending.filter(({ mayWait }) => !mayWait)
    this.#lose(lost, gapReasonOf(problem))
    this.#queue.giveBack(pending.filter(({ mayWait }) => mayWait))
  }

  /** Nothing more can be written to this file. */
  #fail(problem: WriterProblem): void {
    if (this.#phase === 'failed') return
    this.#phase = 'failed'
    this.#problem = problem
    this.#lose(this.#queue.clear(), 'SPOOL_DAMAGED')
  }

  #lose(pending: readonly Pending[], reason: GapReason): void {
    for (const one of pending) {
      this.#gaps.add(one.kind, reason, one.time)
      this.#context.onLost(one)
    }
  }

  /** One question at a time, whoever asks. */
  #ask(message: ToSpoolWorker): Promise<FromSpoolWorker> {
    const answered = this.#asked.then(() => this.#askAlone(message))
    this.#asked = answered
    return answered
  }

  /** A thread that ends instead of answering has failed for good. */
  #askAlone(message: ToSpoolWorker): Promise<FromSpoolWorker> {
    const ended = this.#ended
    if (ended !== undefined) return Promise.resolve({ kind: 'failed', ...ended })
    return new Promise((resolve) => {
      this.#abandon = (problem) => {
        resolve({ kind: 'failed', ...problem })
      }
      void this.#worker.ask(message).then(resolve)
    })
  }

  #tellAppended(records: number): void {
    for (const listener of this.#commitListeners) listener(records)
  }
}

/** What a gap says of events that were refused because of a problem. */
export function gapReasonOf({ code, retryable }: WriterProblem): GapReason {
  if (code === 'SPOOL_FULL') return 'SPOOL_FULL'
  return retryable ? 'DEADLINE' : 'SPOOL_DAMAGED'
}

export function threadEnded(error: Error | undefined): WriterProblem {
  const message = `the spool’s thread ended${error === undefined ? '' : `: ${error.message}`}`
  return { code: 'SPOOL_FAILED', message, retryable: false }
}
