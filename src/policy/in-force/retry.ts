const firstPauseMs = 1000
const longestPauseMs = 60_000

/** How long to wait after so many failures in a row, at least one, in milliseconds: each time twice as long, at most a minute. */
export function pauseAfter(failures: number, firstMs = firstPauseMs): number {
  return Math.min(longestPauseMs, firstMs * 2 ** (failures - 1))
}

/** Says when a state of a folder, by its key, whose load failed for no reason of its own is to be loaded again. */
export class LoadRetry {
  readonly #again: () => void
  readonly #firstMs: number | undefined
  #key: string | undefined
  #failures = 0
  #isDue = false
  #timer: NodeJS.Timeout | undefined

  /** `again` is called when a pause is over. MUST NOT throw. */
  constructor(again: () => void, firstMs?: number) {
    this.#again = again
    this.#firstMs = firstMs
  }

  /** Whether this state waits for its next attempt no longer. */
  isDue(key: string): boolean {
    return this.#isDue && key === this.#key
  }

  /** The load of this state has failed: it is tried again after a pause. */
  plan(key: string): void {
    const failures = key === this.#key ? this.#failures + 1 : 1
    this.clear()
    this.#key = key
    this.#failures = failures
    this.#timer = setTimeout(
      () => {
        this.#isDue = true
        this.#again()
      },
      pauseAfter(failures, this.#firstMs),
    ).unref()
  }

  /** Nothing is tried again. */
  clear(): void {
    clearTimeout(this.#timer)
    this.#key = undefined
    this.#failures = 0
    this.#isDue = false
  }
}
