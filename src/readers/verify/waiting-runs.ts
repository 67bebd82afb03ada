import type { PlacedRun } from './placed-run.ts'
import { lowest } from './stream-order.ts'

/** A run that does not follow what is there yet, and whether it came in its stream before. */
export interface Waiting {
  readonly run: PlacedRun
  readonly again: boolean
}

/** Some of the runs, in order. */
interface Shelf {
  runs: Waiting[]
  /** No run on it ends later. */
  last: number
}

const mostOnShelf = 1024

/** Runs before which records are still missing, by their first sequence; on shelves, so that many can come in any order. */
export class WaitingRuns {
  readonly #shelves: Shelf[] = []

  get first(): PlacedRun | undefined {
    return this.#shelves[0]?.runs[0]?.run
  }

  get all(): readonly PlacedRun[] {
    return this.#shelves.flatMap(({ runs }) => runs.map(({ run }) => run))
  }

  add(waiting: Waiting): void {
    const { first, last } = waiting.run
    const at = Math.max(0, this.#behind(first) - 1)
    const shelf = this.#shelves[at] ?? { runs: [], last }
    this.#shelves[at] = shelf
    const { runs } = shelf
    runs.splice(
      lowest(runs.length, (index) => (runs[index] as Waiting).run.first > first),
      0,
      waiting,
    )
    shelf.last = Math.max(shelf.last, last)
    if (runs.length > mostOnShelf)
      this.#shelves.splice(at + 1, 0, { runs: runs.splice(mostOnShelf / 2), last: shelf.last })
  }

  /** Takes out the first one, where it begins at `sequence` or before. */
  takeUpTo(sequence: number): Waiting | undefined {
    const shelf = this.#shelves[0]
    const next = shelf?.runs[0]
    if (shelf === undefined || next === undefined || next.run.first > sequence) return undefined
    shelf.runs.shift()
    if (shelf.runs.length === 0) this.#shelves.shift()
    return next
  }

  has(sequence: number): boolean {
    for (let at = this.#behind(sequence) - 1; at >= 0; at -= 1) {
      const { runs, last } = this.#shelves[at] as Shelf
      if (last >= sequence && runs.some(({ run }) => run.first <= sequence && run.last >= sequence)) return true
    }
    return false
  }

  /** The first shelf on which every run begins behind `sequence`. */
  #behind(sequence: number): number {
    return lowest(this.#shelves.length, (at) => ((this.#shelves[at] as Shelf).runs[0] as Waiting).run.first > sequence)
  }
}
