import type { PlacedRun } from './placed-run.ts'
import type { Place } from './problem.ts'

/** A place in a stream behind which records were passed over that should have come first. */
export interface Jump {
  readonly from: number
  readonly to: number
  /** Position of the last line before it, and of the line that came too early. */
  readonly after: number
  readonly at: number
  readonly place: Place
  /** Sequence of the record that stands there. */
  readonly found: number
  filled: boolean
}

/** The order in which the records of one trail come in one stream. */
export class StreamOrder {
  readonly jumps: Jump[] = []
  /** Highest sequence so far, and where it stands. */
  top = 0
  topAt = -1

  /**
   * Notes a run; says which of its records came here before, up to which sequence, and the jump that it goes back to with records
   * that are new.
   */
  note(run: PlacedRun, isNew: (sequence: number) => boolean): { readonly again: boolean; readonly back?: Jump } {
    const { first, last } = run
    const before = this.top
    if (first > before + 1) this.#jump(run)
    const again = Math.min(last, before)
    const back = first > before ? undefined : this.jumps.find(({ from, to }) => first <= to && again >= from)
    if (last > this.top) {
      this.top = last
      this.topAt = run.positionOf(last)
    }
    if (back === undefined) return { again: first <= before }
    back.filled = true
    return isNew(Math.max(first, back.from)) ? { again: false, back } : { again: true }
  }

  #jump(run: PlacedRun): void {
    this.jumps.push({
      from: this.top + 1,
      to: run.first - 1,
      after: this.topAt,
      at: run.positionOf(run.first),
      place: run.placeOf(run.first),
      found: run.first,
      filled: false,
    })
  }
}
