import type { PlacedRun } from './placed-run.ts'

/** How many records are known by hash and place at a time; about 40 bytes each. */
const mostRecords = 8_000_000

/**
 * The hashes and places of records that were met, so that one that is met again can be compared. Bounded over all trails: what was
 * met first is forgotten first. A server sends again what it sent in the last minutes, which is far less.
 */
export class KnownRecords {
  readonly #limit: number
  readonly #order: TrailRecords[] = []
  #next = 0
  #count = 0

  constructor(limit = mostRecords) {
    this.#limit = limit
  }

  ofTrail(): TrailRecords {
    return new TrailRecords((records, count) => {
      this.#added(records, count)
    })
  }

  #added(records: TrailRecords, count: number): void {
    this.#order.push(records)
    this.#count += count
    while (this.#count > this.#limit && this.#next < this.#order.length - 1) {
      this.#count -= (this.#order[this.#next] as TrailRecords).forgetFirst()
      this.#next += 1
    }
    if (this.#next > 1024 && this.#next > this.#order.length / 2) {
      this.#order.splice(0, this.#next)
      this.#next = 0
    }
  }
}

interface Entry {
  readonly from: number
  readonly run: PlacedRun
}

/** The known records of one trail, in order of sequence. */
export class TrailRecords {
  readonly #said: (records: TrailRecords, count: number) => void
  #entries: Entry[] = []
  #forgotten = 0

  constructor(said: (records: TrailRecords, count: number) => void) {
    this.#said = said
  }

  /** Adds the records of a run from `from` on; all that were added before have lower sequences. */
  add(run: PlacedRun, from: number): void {
    this.#entries.push({ from, run })
    this.#said(this, run.last - from + 1)
  }

  /** The run that holds a record; undefined where it was never met, or is forgotten. */
  find(sequence: number): PlacedRun | undefined {
    let [low, high] = [this.#forgotten, this.#entries.length - 1]
    while (low <= high) {
      const middle = (low + high) >> 1
      const { from, run } = this.#entries[middle] as Entry
      if (sequence < from) high = middle - 1
      else if (sequence > run.last) low = middle + 1
      else return run
    }
    return undefined
  }

  /** Forgets the records from `sequence` on. */
  cut(sequence: number): void {
    this.#entries = this.#entries.filter(({ from }) => from < sequence)
  }

  forgetFirst(): number {
    const first = this.#entries[this.#forgotten]
    if (first === undefined) return 0
    const count = first.run.last - first.from + 1
    this.#forgotten += 1
    if (this.#forgotten > 1024 && this.#forgotten > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#forgotten)
      this.#forgotten = 0
    }
    return count
  }
}
