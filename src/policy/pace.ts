import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long work on a policy may go on before everything else gets a turn, in milliseconds. */
const sliceMs = 2

/**
 * Cuts long work on the main thread into slices, so that requests are answered between them. A loop over rules asks
 * `due` once per rule (it costs next to nothing) and, where it is, waits for `rest()`.
 */
export class Pace {
  #until = performance.now() + sliceMs
  #asked = 0
  readonly #signal: AbortSignal | undefined

  /** Work that nobody waits for any more ends where it would rest. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal
  }

  /** Whether the slice is over. The clock is looked at once in a while: a rule takes a microsecond or so. */
  get due(): boolean {
    this.#asked += 1
    return (this.#asked & 15) === 0 && performance.now() >= this.#until
  }

  /** Lets everything else have its turn. Throws the signal's reason where the work has been given up. */
  async rest(): Promise<void> {
    await nextTurn()
    this.#signal?.throwIfAborted()
    this.#until = performance.now() + sliceMs
  }
}
