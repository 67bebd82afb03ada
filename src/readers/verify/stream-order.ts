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
   * Notes a run; says whether its records came here before, and the jump that it is the first to go back to, with records that are new.
   */
  note(run: PlacedRun, isNew: (sequence: number) => boolean): { readonly again: boolean; readonly back?: Jump } {
    const { first, last } = run
    const before = this.top
    if (first > before + 1) this.#jump(run)
    const again = Math.min(last, before)
    const back = first > before ? undefined : this.#jumpWithin(first, again)
    if (last > this.top) {
      this.top = last
      this.topAt = run.positionOf(last)
    }
    if (back === undefined) return { again: first <= before }
    const isFirst = !back.filled
    back.filled = true
    if (!isNew(Math.max(first, back.from))) return { again: true }
    return isFirst ? { again: false, back } : { again: false }
  }

  /** The first jump over any of these sequences. Jumps come in order, and do not overlap. */
  #jumpWithin(first: number, last: number): Jump | undefined {
    const jump = this.jumps[lowest(this.jumps.length, (at) => (this.jumps[at] as Jump).to >= first)]
    return jump !== undefined && jump.from <= last ? jump : undefined
  }

  /** The jump within which a position stands. */
  jumpAt(position: number): Jump | undefined {
    const jump = this.jumps[lowest(this.jumps.length, (at) => (this.jumps[at] as Jump).at > position)]
    return jump !== undefined && jump.after < position ? jump : undefined
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

/** The lowest index for which `holds`, which holds for all above it too; `length` where for none. */
export function lowest(length: number, holds: (index: number) => boolean): number {
  let [low, high] = [0, length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(middle)) high = middle
    else low = middle + 1
  }
  return low
}
