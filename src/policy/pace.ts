import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long work on a policy may go on before everything else gets a turn, in milliseconds. */
const sliceMs = 2

/**
 * Cuts long work on the main thread into slices, so that requests are answered between them. A loop over rules asks
 * `due` once per rule (it costs next to nothing) and, where it is, waits for `rest()`.
 */
export class Pace {
  #until = performance.now() + sliceMs
  readonly #signal: AbortSignal | undefined

  /** Work that nobody waits for any more ends where it would rest. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /** Whether the slice is over. Looking at the clock costs less than anything that is done with a rule. */
  get due(): boolean {
    return performance.now() >= this.#until
  }

  /** Lets everything else have its turn. Throws the signal's reason where the work has been given up. */
  async rest(): Promise<void> {
    await nextTurn()
    this.#signal?.throwIfAborted()
    this.#until = performance.now() + sliceMs
  }
}
