import { setTimeout as sleep } from 'node:timers/promises'
import { CountersignError, messageOf } from '../../errors.ts'
import { OpenedSpool, type StartWorker } from './opened.ts'
import type { SpoolProblem } from './problem.ts'
import type { KnownEnd, SpoolOpening } from '../protocol.ts'

/** A file that can be written to no more, with the trail that ended in it. */
export interface LostFile {
  readonly problem: SpoolProblem
  /** Why the next opening must not believe the file; null where nothing speaks against it. */
  readonly distrust: string | null
  readonly trail: string
  /** Number of its last record that is known to be committed, and where that stood. */
  readonly sequence: number
  readonly position: number
}

/** What is told of a file that was lost, step by step. */
export type ReopeningStep =
  | { readonly step: 'lost'; readonly problem: SpoolProblem }
  | { readonly step: 'failed'; readonly problem: SpoolProblem; readonly attempts: number }
  | { readonly step: 'reopened'; readonly trail: string; readonly previous: string; readonly attempts: number }

export interface ReopeningContext {
  readonly newId: () => string
  readonly start: StartWorker | undefined
  readonly tell: (step: ReopeningStep) => void
}

/** Pauses before the openings that follow a loss, in milliseconds; the last one is repeated. */
const pausesMs = [0, 250, 500, 1000, 2000, 5000] as const
/** Somebody has to act first: another process holds the spool, or a newer version wrote it. */
const slowMs = 5000
/** A file that held this long is taken for sound: the pauses begin anew. */
const steadyMs = 60_000
/** After this long without success, a new start is worth a try. */
const hopelessMs = 60_000
const slowCodes: ReadonlySet<string> = new Set(['SPOOL_IN_USE', 'SPOOL_VERSION'])
/** Ends of lost trails that the next opening is told; older ones stand in the trails that followed. */
const endsKept = 4

/** Opens the spool anew where its file was lost, each time with a new trail. */
export class Reopening {
  readonly #first: SpoolOpening
  readonly #context: ReopeningContext
  readonly #stop = new AbortController()
  #ends: readonly KnownEnd[] = []
  #openedAtMs = performance.now()
  /** Openings since a file last held. */
  #recent = 0

  constructor(first: SpoolOpening, context: ReopeningContext) {
    this.#first = first
    this.#context = context
  }

  /**
   * Tries until it succeeds; resolves undefined where `stop` was called and a try after it failed. `onProblem` is told after each
   * try what keeps the spool from being opened.
   */
  async open(lost: LostFile, onProblem: (problem: SpoolProblem) => void): Promise<OpenedSpool | undefined> {
    const { tell, newId, start } = this.#context
    const lostAtMs = performance.now()
    if (lostAtMs - this.#openedAtMs > steadyMs) this.#recent = 0
    this.#ends = [...this.#ends, endOf(lost)].slice(-endsKept)
    tell({ step: 'lost', problem: lost.problem })
    let pauseMs = pauseAfter(this.#recent)
    for (let [attempts, isLast] = [1, false]; !isLast; attempts += 1) {
      isLast = await this.#pause(pauseMs)
      this.#recent += 1
      const trail = `${this.#first.replica}-${newId()}`
      try {
        const opened = await OpenedSpool.open(this.#openingOf(lost, trail), start)
        this.#openedAtMs = performance.now()
        tell({ step: 'reopened', trail, previous: lost.trail, attempts })
        return opened
      } catch (thrown) {
        const problem = stillLost(lost, thrown, attempts, performance.now() - lostAtMs)
        tell({ step: 'failed', problem, attempts })
        onProblem(problem)
        pauseMs = slowCodes.has(problem.code) ? slowMs : pauseAfter(this.#recent)
      }
    }
    return undefined
  }

  /** Ends the tries after one more, which is made at once: what waits for a file would be lost without it. */
  stop(): void {
    this.#stop.abort()
  }

  #openingOf({ distrust }: LostFile, trail: string): SpoolOpening {
    const known = [...this.#first.known, ...this.#ends]
    return { ...this.#first, trail, openedId: this.#context.newId(), known, distrust }
  }

  /** Resolves with whether the tries are to end. */
  async #pause(ms: number): Promise<boolean> {
    const { signal } = this.#stop
    if (!signal.aborted && ms > 0) await sleep(ms, undefined, { signal }).catch(() => undefined)
    return signal.aborted
  }
}

function endOf({ trail, sequence, position }: LostFile): KnownEnd {
  return { trail, sequence, hash: null, position, from: 'writer' }
}

function pauseAfter(openings: number): number {
  return pausesMs[Math.min(openings, pausesMs.length - 1)] ?? 0
}

/** Only a new start can help where the tries fail for long; but it would meet the same where somebody has to act first. */
function stillLost({ problem }: LostFile, thrown: unknown, attempts: number, lostMs: number): SpoolProblem {
  const code = thrown instanceof CountersignError ? thrown.code : 'SPOOL_FAILED'
  const tries = attempts === 1 ? '' : ` (${attempts} tries)`
  const message = `${problem.message}; it could not be opened anew${tries}: ${messageOf(thrown)}`
  return { code, message, retryable: slowCodes.has(code) || lostMs < hopelessMs }
}
