import { messageOf } from '../../errors.ts'
import { doneWithin } from './follow.ts'
import { keepLastGood } from '../source/last-good.ts'
import type { Snapshot } from '../source/source.ts'

const longestStopMs = 1000

/** Keeps the policy in force as the last good one, and tries again later where that fails. Never holds anybody up. */
export class LastGoodKeeper {
  readonly #folder: string
  readonly #retryMs: number
  readonly #onResult: (problem: string | null) => void
  #wanted: Snapshot | undefined
  #keeping: Promise<void> | undefined
  #retry: NodeJS.Timeout | undefined
  #stopped = false

  /** `onResult` is told after each attempt why it failed, or null. */
  constructor(folder: string, retryMs: number, onResult: (problem: string | null) => void) {
    this.#folder = folder
    this.#retryMs = retryMs
    this.#onResult = onResult
  }

  keep(snapshot: Snapshot): void {
    this.#wanted = snapshot
    clearTimeout(this.#retry)
    this.#keeping ??= this.#run().finally(() => (this.#keeping = undefined))
  }

  /** Waits for a copy that is being written, not for a disk that hangs. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#retry)
    if (this.#keeping !== undefined) await doneWithin(longestStopMs, this.#keeping)
  }

  async #run(): Promise<void> {
    let fault: string | null = null
    while (this.#wanted !== undefined && fault === null) {
      const snapshot = this.#wanted
      fault = await keepLastGood(this.#folder, snapshot).then(() => null, couldNot)
      if (fault === null && snapshot === this.#wanted) this.#wanted = undefined
    }
    this.#onResult(fault)
    if (fault === null || this.#stopped) return
    this.#retry = setTimeout(() => {
      if (this.#wanted !== undefined) this.keep(this.#wanted)
    }, this.#retryMs).unref()
  }
}

function couldNot(fault: unknown): string {
  return `the policy in force could not be kept as the last good one: ${messageOf(fault)}`
}
