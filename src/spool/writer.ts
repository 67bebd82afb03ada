import { setTimeout as sleep } from 'node:timers/promises'
import type { GapReason, TrailGap } from '../audit/event-data.ts'
import { trailEvent } from '../audit/event.ts'
import { encodeEvent, type EncodedEvent } from '../audit/record.ts'
import type { ErrorCode } from '../errors.ts'
import { Gaps } from './gaps.ts'
import type { Cursor, FromSpoolWorker, SpoolState, ToSpoolWorker } from './protocol.ts'
import { type Pending, Queue } from './queue.ts'
import type { SpoolWorker } from './spool-worker.ts'

export interface WriterContext {
  readonly newId: () => string
  readonly now: () => Date
  /** Told of each event that is on the disk. */
  readonly onKept: (pending: Pending) => void
  /** Told of each event that will not be; it has been counted for a gap. */
  readonly onLost: (pending: Pending) => void
}

export interface WriterProblem {
  readonly code: ErrorCode
  readonly message: string
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

/**
 * Hands batches to the worker, one at a time: what gathers while one is under way goes with the next. A batch that fails for a
 * reason that may pass is tried again, without its decisions, which nobody waits for any more; any other failure is final.
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
  /** Answers in place of a thread that is gone. */
  #abandon: ((problem: WriterProblem) => void) | undefined
  #cursorTimer: NodeJS.Timeout | undefined

  constructor(worker: SpoolWorker, state: SpoolState, context: WriterContext) {
    this.#worker = worker
    this.#state = state
    this.#context = context
    void worker.ended.then((error) => {
      this.#abandon?.(threadEnded(error))
      this.#fail(threadEnded(error))
    })
  }

  get state(): SpoolState {
    return this.#state
  }

  /** Why nothing can be written at the moment, or null. */
  get problem(): WriterProblem | null {
    return this.#problem
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
    if (this.#phase === 'open') this.#schedule()
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
    const reply = await this.#ask({ kind: 'seal', closedId: this.#context.newId() })
    if (reply.kind !== 'committed') return
    this.#state = reply.state
    this.#phase = 'sealed'
    this.#tellAppended(1)
  }

  /** Writes the last cursors and lets go of the file. */
  async close(): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#cursorTimer)
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
    const gaps = this.#phase === 'open' && !this.#gaps.empty
    return this.#queue.length > 0 || gaps || this.#cursors.size > 0
  }

  #takeBatch(): Batch {
    const cursors = [...this.#cursors].map(([sink, position]) => ({ sink, position }))
    this.#cursors.clear()
    return { pending: this.#queue.take(), gaps: this.#phase === 'open' ? this.#gaps.take() : [], cursors }
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
    if (!retryable) {
      this.#lose(pending, 'SPOOL_DAMAGED')
      this.#fail({ code, message })
      return
    }
    this.#problem = { code, message }
    this.#gaps.restore(gaps)
    for (const { sink, position } of cursors) {
      if (!this.#cursors.has(sink)) this.#cursors.set(sink, position)
    }
    this.#lose(
      pending.filter(({ kind }) => kind === 'decision'),
      'SPOOL_FULL',
    )
    this.#queue.giveBack(pending.filter(({ kind }) => kind === 'access'))
  }

  /** Nothing more can be written to this file. */
  #fail(problem: WriterProblem): void {
    if (this.#phase !== 'open') return
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

  /** A thread that ends instead of answering has failed for good. */
  #ask(message: ToSpoolWorker): Promise<FromSpoolWorker> {
    return new Promise((resolve) => {
      this.#abandon = (problem) => {
        resolve({ kind: 'failed', ...problem, retryable: false })
      }
      void this.#worker.ask(message).then(resolve)
    })
  }

  #tellAppended(records: number): void {
    for (const listener of this.#commitListeners) listener(records)
  }
}

export function threadEnded(error: Error | undefined): WriterProblem {
  return { code: 'SPOOL_FAILED', message: `the spool’s thread ended${error === undefined ? '' : `: ${error.message}`}` }
}
