import { messageOf } from '../../errors.ts'
import { doneWithin } from './follow.ts'
import { dropOtherLastGood, hasLastGood, keepLastGood } from '../source/last-good.ts'
import type { Snapshot } from '../source/source.ts'

const longestStopMs = 1000
/** So long a disk may hold back a policy that is put in force. */
const longestGiveWayMs = 1000

/**
 * Keeps the policy in force as the last good one, and tries again later where that fails. The copy of a version goes before
 * another one comes in force: what that one revokes does not come back at a restart.
 */
export class LastGoodKeeper {
  readonly #folder: string
  readonly #retryMs: number
  readonly #onResult: (problem: string | null) => void
  #wanted: Snapshot | undefined
  #keeping: Promise<void> | undefined
  #coming: Snapshot | undefined
  #givingWay: Promise<void> = Promise.resolve()
  #retry: NodeJS.Timeout | undefined
  #stopped = false

  /** `onResult` is told after each attempt why it failed, or null. */
  constructor(folder: string, retryMs: number, onResult: (problem: string | null) => void) {
    this.#folder = folder
    this.#retryMs = retryMs
    this.#onResult = onResult
  }

  /**
   * Takes away the copy of any other version than this one, which is about to come in force, and gives up a copy that was
   * yet to be written. Never rejects, and takes a second at most: `keep` tries it again, and tells why it fails.
   */
  async giveWay(snapshot: Snapshot): Promise<void> {
    this.#wanted = undefined
    this.#coming = snapshot
    clearTimeout(this.#retry)
    this.#givingWay = this.#dropOther()
    await doneWithin(longestGiveWayMs, this.#givingWay)
  }

  /** Holds nobody up. */
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

  /** After the copy that is just being written. On a disk that hung, another version may be coming by then. */
  async #dropOther(): Promise<void> {
    await this.#keeping
    if (this.#coming !== undefined) await dropOtherLastGood(this.#folder, this.#coming).catch(() => undefined)
  }

  async #run(): Promise<void> {
    await this.#givingWay
    let fault: string | null = null
    while (this.#wanted !== undefined && fault === null) {
      const snapshot = this.#wanted
      fault = await keepLastGood(this.#folder, snapshot).then(() => null, this.#couldNot)
      if (fault === null && snapshot === this.#wanted) this.#wanted = undefined
    }
    this.#onResult(fault)
    if (fault === null || this.#stopped) return
    this.#retry = setTimeout(() => {
      if (this.#wanted !== undefined) this.keep(this.#wanted)
    }, this.#retryMs).unref()
  }

  readonly #couldNot = async (fault: unknown): Promise<string> => {
    const left = (await hasLastGood(this.#folder)) ? 'an older copy still stands there' : 'no copy is kept'
    return `the policy in force could not be kept as the last good one: ${messageOf(fault)}; ${left}`
  }
}
