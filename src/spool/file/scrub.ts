import type { CheckedReader } from './checked-reader.ts'

const recordsPerRead = 256
/** How long one step reads, in milliseconds: appends wait for it. */
const stepMs = 15

/** Reads what the file held when it was opened, once, in small steps: a big spool is in use before all of it has been looked at. */
export class Scrub {
  readonly #reader: CheckedReader
  #position: number
  #until: number

  /** Reads what lies behind `position` up to and including `until`. */
  constructor(reader: CheckedReader, position: number, until: number) {
    this.#reader = reader
    this.#position = position
    this.#until = until
  }

  /** Begins anew: somebody may have changed anything. */
  restart(until: number): void {
    this.#position = 0
    this.#until = until
    this.#reader.forget()
  }

  /** Throws SPOOL_DAMAGED for what does not fit. */
  step(budgetMs = stepMs): void {
    const end = performance.now() + budgetMs
    while (this.#position < this.#until && performance.now() < end) {
      const last = this.#reader.after(this.#position, recordsPerRead).at(-1)
      this.#position = last?.position ?? this.#until
    }
  }
}
