/** Milliseconds of a clock that nobody sets, from any moment on. */
export type ElapsedMs = () => number

interface Step {
  /** The last record that was written before it. */
  readonly position: number
  /** By how much the clock was put forward; negative where it was put back. */
  readonly ms: number
}

/** Smaller differences are the clock's drift. */
const leastStepMs = 1000

/**
 * Knows by how much the clock was set since a record was written: how long a record stays is about the time that passed, not about
 * what the clock says. It knows of this process's own time only.
 */
export class ClockSteps {
  readonly #elapsedMs: ElapsedMs
  #steps: readonly Step[] = []
  #seen: { readonly nowMs: number; readonly elapsedMs: number; readonly position: number }

  constructor(nowMs: number, elapsedMs: ElapsedMs, position: number) {
    this.#elapsedMs = elapsedMs
    this.#seen = { nowMs, elapsedMs: elapsedMs(), position }
  }

  /** Takes note of the clock after each batch; `position` is the last record, and none up to `floor` is left. */
  look(nowMs: number, position: number, floor: number): void {
    const elapsedMs = this.#elapsedMs()
    const before = this.#seen
    const ms = nowMs - before.nowMs - (elapsedMs - before.elapsedMs)
    if (Math.abs(ms) >= leastStepMs) {
      this.#steps = [...this.#steps.filter((step) => step.position > floor), { position: before.position, ms }]
    }
    this.#seen = { nowMs, elapsedMs, position }
  }

  /** How long ago a record was written whose time stands at `recordedMs`. Negative where the clock was put back in an earlier process. */
  age(recordedMs: number, position: number): number {
    const since = this.#steps.filter((step) => step.position >= position)
    return this.#seen.nowMs - recordedMs - since.reduce((sum, { ms }) => sum + ms, 0)
  }
}
