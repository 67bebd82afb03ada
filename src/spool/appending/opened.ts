import { setTimeout as sleep } from 'node:timers/promises'
import { CountersignError } from '../../errors.ts'
import { type SpoolProblem, threadEnded } from './problem.ts'
import type { FromSpoolWorker, SpoolOpening, SpoolState, ToSpoolWorker, PreviousTrail } from '../protocol.ts'
import { type SpoolWorker, startSpoolWorker } from './spool-worker.ts'

export type StartWorker = (opening: SpoolOpening) => SpoolWorker

type Opened = Extract<FromSpoolWorker, { kind: 'opened' }>

/** How long a thread may take to let go of its file by itself, in milliseconds. */
const closeMs = 2000

/** One opening of the spool: a thread with its file and its trail. */
export class OpenedSpool {
  readonly opening: SpoolOpening
  /** What it held when it was opened. */
  readonly state: SpoolState
  /** The last record of the trail before, as it stands in the file now. */
  readonly previous: PreviousTrail | undefined
  readonly #worker: SpoolWorker
  /** Set once the thread has ended. */
  #ended: SpoolProblem | undefined
  /** Answers in place of a thread that is gone. */
  #abandon: ((problem: SpoolProblem) => void) | undefined
  /** Resolves when the thread is free. */
  #asked: Promise<unknown> = Promise.resolve()
  #leaving = false

  /** Starts the thread and begins a new trail. Rejects with SPOOL_IN_USE, SPOOL_VERSION, SPOOL_FULL or SPOOL_FAILED. */
  static async open(opening: SpoolOpening, start: StartWorker = startSpoolWorker): Promise<OpenedSpool> {
    const worker = start(opening)
    const ended = worker.ended.then((error) => ({ kind: 'failed', ...threadEnded(error) }) as const)
    const first = await Promise.race([worker.opened, ended])
    if (first.kind === 'opened') return new OpenedSpool(worker, opening, first)
    await worker.terminate()
    if (first.kind === 'failed') throw new CountersignError(first.code, first.message, { retryable: first.retryable })
    throw new CountersignError('SPOOL_FAILED', 'the spool’s thread did not open it')
  }

  private constructor(worker: SpoolWorker, opening: SpoolOpening, { state, previous }: Opened) {
    this.#worker = worker
    this.opening = opening
    this.state = state
    this.previous = previous
    void worker.ended.then((error) => {
      this.#ended = threadEnded(error)
      this.#abandon?.(this.#ended)
    })
  }

  /** Calls the listener when the thread ends although nobody asked it to. */
  onEnd(listener: () => void): void {
    void this.#worker.ended.then(() => {
      if (!this.#leaving) listener()
    })
  }

  /** One question at a time, whoever asks. Never rejects: a thread that ends instead of answering has failed for good. */
  ask(message: ToSpoolWorker): Promise<FromSpoolWorker> {
    const answered = this.#asked.then(() => this.#askAlone(message))
    this.#asked = answered
    return answered
  }

  /** Lets go of the file. */
  async close(): Promise<void> {
    this.#leaving = true
    await this.ask({ kind: 'close' })
  }

  /** Ends the thread, which lets go of the file. A thread that hangs in the disk is not waited for: it holds the file's lock. */
  async leave(): Promise<void> {
    this.#leaving = true
    await atMost(closeMs, this.ask({ kind: 'close' }))
    await atMost(closeMs, this.#worker.terminate())
  }

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
}

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  const done = new AbortController()
  await Promise.race([work, sleep(ms, undefined, { signal: done.signal }).catch(() => undefined)])
  done.abort()
}
