import type { PlacedRun } from './placed-run.ts'

/** A run that does not follow what is there yet, and whether it came in its stream before. */
export interface Waiting {
  readonly run: PlacedRun
  readonly again: boolean
}

/** Runs before which records are still missing, by their first sequence. */
export class WaitingRuns {
  readonly #runs: Waiting[] = []

  get first(): PlacedRun | undefined {
    return this.#runs[0]?.run
  }

  get all(): readonly PlacedRun[] {
    return this.#runs.map(({ run }) => run)
  }

  get records(): number {
    return this.#runs.reduce((count, { run }) => count + run.last - run.first + 1, 0)
  }

  add(waiting: Waiting): void {
    let at = this.#runs.length
    while (at > 0 && (this.#runs[at - 1] as Waiting).run.first > waiting.run.first) at -= 1
    this.#runs.splice(at, 0, waiting)
  }

  /** Takes out the first one, where it begins at `sequence` or before. */
  takeUpTo(sequence: number): Waiting | undefined {
    const next = this.#runs[0]
    return next !== undefined && next.run.first <= sequence ? this.#runs.shift() : undefined
  }

  has(sequence: number): boolean {
    return this.#runs.some(({ run }) => run.first <= sequence && run.last >= sequence)
  }
}
