import type { Run } from './findings.ts'
import { isOtherMinute } from './open-run.ts'

/** How far the records of a trail are vouched for by somebody who is trusted: a checkpoint, an earlier run, or one from outside. */
export class Vouched {
  /** The last sequence that is vouched for; 0 where none is. */
  to = 0
  /** How often a record behind it has another minute than the one before. */
  minutes = 0
  #at: string | undefined

  upTo(sequence: number): void {
    if (sequence <= this.to) return
    this.to = sequence
    this.minutes = 0
  }

  /** A run was put on: what it is vouched for by itself has been told before. */
  passes({ from, to, minutes }: Run): void {
    this.minutes += minutes + (this.#at !== undefined && isOtherMinute(this.#at, from) ? 1 : 0)
    this.#at = to
  }
}
