import { setTimeout as sleep } from 'node:timers/promises'
import type { GapReason } from '../../audit/event-data.ts'
import { type Allowed, type Batch, emptyBatch, eventsOf, Waiting } from './batch.ts'
import type { OnMissed } from './gaps.ts'
import type { OpenedSpool } from './opened.ts'
import { type Fate, fateOf, Outcomes } from './outcomes.ts'
import { Pace } from './pace.ts'
import type { Pending } from './pending.ts'
import { gapReasonOf, overflowOf, type SpoolProblem } from './problem.ts'
import type { Cursor, FromSpoolWorker, SpoolState, ToSpoolWorker } from '../protocol.ts'
import type { Queue } from './queue.ts'
import type { Reopening } from './reopening.ts'

export interface WriterContext {
  readonly newId: () => string
  readonly now: () => Date
  /** Bytes that may wait for a sink before access events are held. */
  readonly maxBytes: number
  /** Told of each event that is on the disk, with its position. */
  readonly onKept: (pending: Pending, position: number) => void
  /** Told after each commit, with the number of records that it appended. */
  readonly onCommitted: (state: SpoolState, appended: number) => void
  /** Told that the file is lost: what was committed to it may be gone, until it turns up in the next one. */
  readonly onLostFile: () => void
  /** Told of the file that takes its place. */
  readonly onNewFile: (state: SpoolState) => void
  /** Told of each event that will have no record. */
  readonly onMissed: OnMissed
  /** Told where the queue became shorter, or nothing more is taken. */
  readonly onRoom: () => void
  /** Told that the trail is about to end: what is to be said of its records has to be said now. */
  readonly onSealing: () => void
}

type Failed = Extract<FromSpoolWorker, { kind: 'failed' }>
type Committed = Extract<FromSpoolWorker, { kind: 'committed' }>

const retryMs = 250
/** Whoever read the file before may still speak of it for so long. */
const hearsayMs = 2000

/**
 * Hands batches to the worker, one at a time: what gathers while one is under way goes with the next. A batch that fails for a
 * reason that may pass is tried again, without what must not wait. Any other failure is final for the file: a new one takes its
 * place, and what waits goes there.
 */
export class Writer {
  #opened: OpenedSpool
  readonly #reopening: Reopening
  readonly #context: WriterContext
  readonly #waiting: Waiting
  readonly #outcomes: Outcomes
  readonly #pace = new Pace(() => void this.#run())
  #state: SpoolState
  #problem: SpoolProblem | null = null
  /** `lost`: there is no file, and none will be opened any more. */
  #phase: 'open' | 'sealed' | 'lost' = 'open'
  #stopping = false
  #running: Promise<void> | undefined
  /** What the worker was given and has not answered for. */
  #underWay: Batch = emptyBatch
  /** Since when the worker has not answered, by the monotonic clock; undefined where nothing was asked. */
  #askedSinceMs: number | undefined
  /** Set where the thread ended by itself. */
  #ended = false
  /** Set where somebody found the file damaged. */
  #distrusted: string | undefined
  #openedAtMs = performance.now()

  constructor(opened: OpenedSpool, reopening: Reopening, context: WriterContext) {
    this.#opened = opened
    this.#state = opened.state
    this.#reopening = reopening
    this.#context = context
    this.#waiting = new Waiting(context.onMissed)
    this.#outcomes = new Outcomes(this.#waiting, context.onKept)
    this.#follow(opened)
  }

  get state(): SpoolState {
    return this.#state
  }

  /** Why nothing can be written at the moment, or null. */
  get problem(): SpoolProblem | null {
    return this.#problem
  }

  /** How long the worker has been at what it was asked last, in milliseconds; 0 where it is idle. */
  get underWayMs(): number {
    return this.#askedSinceMs === undefined ? 0 : performance.now() - this.#askedSinceMs
  }

  /** Set from the call of `seal` or `close` on: nothing new belongs into the trail. */
  get stopping(): boolean {
    return this.#stopping
  }

  get queue(): Pick<Queue, 'length' | 'characters' | 'replace' | 'remove'> {
    return this.#waiting.queue
  }

  /** Number of events of which it is not known yet whether they will have a record. */
  get unsettled(): number {
    return this.#waiting.queue.length + this.#underWay.pending.length
  }

  /** Number of events that were refused or lost and stand in no gap yet. */
  get missed(): number {
    return this.#underWay.gaps.reduce((sum, { count }) => sum + count, this.#waiting.gaps.events)
  }

  push(pending: Pending): void {
    this.#waiting.queue.push(pending)
    this.#pace.soon()
  }

  /** Counts an event that will have no record; a gap says so with the next batch. */
  miss(of: 'decision' | 'access', reason: GapReason, time: Date): void {
    this.#waiting.gaps.add(of, reason, time)
    this.#pace.forGap(this.#waiting.gapInMs)
  }

  advance(cursor: Cursor): void {
    this.#waiting.cursors.add(cursor)
    this.#pace.forCursor()
  }

  /** The file is not to be believed any more, although it can be written to. What is said of the file before it is not heard. */
  distrust(why: string): void {
    if (this.#phase !== 'open' || performance.now() - this.#openedAtMs < hearsayMs) return
    this.#distrusted = why
    this.#pace.soon()
  }

  /** Writes what waits, and `closed`. Gives up where the disk fails meanwhile: then the trail stays open. */
  async seal(): Promise<void> {
    this.#stop()
    await this.#run()
    if (!this.#canSeal()) return
    this.#context.onSealing()
    await this.#run()
    if (!this.#canSeal()) return
    // From here on neither a gap nor a checkpoint that is asked for may follow `closed`.
    this.#phase = 'sealed'
    const reply = await this.#ask({ kind: 'seal', closedId: this.#context.newId() })
    if (reply.kind === 'committed') this.#committed(emptyBatch, reply)
    if (reply.kind === 'failed') this.#problem = problemOf(reply)
  }

  /** Writes the last cursors, and what could not be written before; counts what still cannot, and lets go of the file. */
  async close(): Promise<void> {
    this.#stop()
    this.#pace.end()
    await this.#run()
    this.#outcomes.givenUp(emptyBatch, this.#problem === null ? 'SHUTDOWN' : gapReasonOf(this.#problem))
    if (this.#phase !== 'lost') await this.#opened.close()
  }

  #canSeal(): boolean {
    return this.#phase === 'open' && this.#problem === null
  }

  #stop(): void {
    this.#stopping = true
    this.#pace.endChecks()
    this.#reopening.stop()
    this.#context.onRoom()
  }

  #run(): Promise<void> {
    if (this.#running === undefined && this.#hasWork()) this.#running = this.#writeAll()
    return this.#running ?? Promise.resolve()
  }

  async #writeAll(): Promise<void> {
    while (this.#hasWork()) {
      if (this.#distrusted !== undefined) {
        await this.#replaceFile(emptyBatch, { code: 'SPOOL_DAMAGED', message: this.#distrusted })
        continue
      }
      const isCheck = this.#pace.takeCheck()
      const batch = isCheck ? emptyBatch : this.#waiting.take(this.#allowed())
      this.#context.onRoom()
      this.#underWay = batch
      const reply = await this.#ask(isCheck ? { kind: 'check' } : this.#append(batch))
      const isLost = reply.kind === 'failed' && !reply.retryable
      if (isLost) await this.#replaceFile(batch, reply)
      this.#underWay = emptyBatch
      if (reply.kind === 'committed') this.#committed(batch, reply)
      if (reply.kind === 'failed' && !isLost && !(await this.#failed(batch, reply))) break
    }
    // In the same turn as the last look for work: what is pushed from now on starts it anew.
    this.#running = undefined
  }

  #hasWork(): boolean {
    if (this.#phase === 'lost') return false
    return this.#ended || this.#distrusted !== undefined || this.#pace.checkIsDue || this.#waiting.has(this.#allowed())
  }

  /** At the end, what was held is written too: it would be lost otherwise. */
  #allowed(): Allowed {
    const isFull = overflowOf(this.#state, this.#context.maxBytes) !== null
    const kinds = isFull && !this.#stopping ? 'decisions' : 'all'
    if (this.#phase !== 'open') return { kinds, gaps: 'none' }
    return { kinds, gaps: this.#stopping ? 'all' : 'due' }
  }

  #append(batch: Batch): ToSpoolWorker {
    const { newId, now } = this.#context
    return { kind: 'append', events: eventsOf(batch, newId, now()), cursors: batch.cursors }
  }

  #committed(batch: Batch, { state, first }: Committed): void {
    const appended = state.lastSequence - this.#state.lastSequence
    this.#state = state
    this.#problem = null
    this.#context.onCommitted(state, appended)
    this.#outcomes.committed(batch, first)
  }

  /** Resolves with whether to try again; a try that was made after the stop was the last one. */
  async #failed(batch: Batch, reply: Failed): Promise<boolean> {
    const isLast = this.#stopping
    this.#problem = problemOf(reply)
    this.#outcomes.refused(batch, gapReasonOf(reply))
    if (!isLast) await sleep(retryMs)
    return !isLast
  }

  async #replaceFile(batch: Batch, { code, message }: Pick<Failed, 'code' | 'message'>): Promise<void> {
    this.#problem = { code, message, retryable: true }
    this.#outcomes.uncertain(batch)
    this.#context.onLostFile()
    const { trail, lastSequence: sequence, lastPosition: position } = this.#state
    // A thread that ended by itself leaves a file that can be judged like that of a process that was killed.
    const lost = { problem: this.#problem, distrust: this.#ended ? null : message, trail, sequence, position }
    await this.#opened.leave()
    const tellProblem = (problem: SpoolProblem): void => {
      this.#problem = problem
    }
    const opened = this.#phase === 'open' ? await this.#reopening.open(lost, tellProblem) : undefined
    if (opened === undefined) this.#giveUp(batch)
    else this.#goOn(opened, batch, fateOf(lost, opened))
  }

  #goOn(opened: OpenedSpool, batch: Batch, fate: Fate): void {
    this.#opened = opened
    // What was said of the old file need not hold of this one; delivery says anew where each sink is.
    this.#waiting.cursors.take()
    this.#ended = false
    this.#distrusted = undefined
    this.#openedAtMs = performance.now()
    this.#state = opened.state
    this.#problem = null
    this.#follow(opened)
    this.#context.onNewFile(opened.state)
    this.#context.onCommitted(opened.state, opened.state.lastSequence)
    this.#outcomes.resolved(batch, fate)
  }

  /** The process ends without a file. */
  #giveUp(batch: Batch): void {
    this.#phase = 'lost'
    this.#outcomes.givenUp(batch, 'SPOOL_DAMAGED')
    this.#context.onRoom()
  }

  #follow(opened: OpenedSpool): void {
    opened.onEnd(() => {
      this.#ended = true
      this.#pace.soon()
    })
  }

  async #ask(message: ToSpoolWorker): Promise<FromSpoolWorker> {
    this.#askedSinceMs = performance.now()
    const reply = await this.#opened.ask(message)
    this.#askedSinceMs = undefined
    return reply
  }
}

function problemOf({ code, message, retryable }: Failed): SpoolProblem {
  return { code, message, retryable }
}
