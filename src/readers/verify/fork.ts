import type { PlacedRun } from './placed-run.ts'
import type { Place, Problem } from './problem.ts'

/** Two records in one place. Which of them the trail goes on with shows only by what follows: the other one does not belong. */
export class Fork {
  /** First sequence at which the two sides differ. */
  readonly sequence: number
  /** The side that came later. */
  readonly other: PlacedRun
  readonly #firstPlace: Place
  #tookOther = false

  constructor(sequence: number, firstPlace: Place, other: PlacedRun) {
    this.sequence = sequence
    this.#firstPlace = firstPlace
    this.other = other
  }

  /** Whether a run follows the side that the trail did not go on with so far, and that side can still be taken. */
  isGoneOnBy(run: PlacedRun, tip: { readonly sequence: number; readonly hash: string }): boolean {
    if (this.#tookOther || run.run.prevHash === tip.hash) return false
    const { last } = this.other
    return last === tip.sequence && run.first === last + 1 && run.run.prevHash === this.other.hashOf(last)
  }

  /** Settles by the hash that somebody else knows of a record, where neither side went on. */
  settle(hashOf: (sequence: number) => string | undefined): void {
    if (this.#tookOther) return
    for (let sequence = this.sequence; sequence <= this.other.last; sequence += 1) {
      if (hashOf(sequence) === this.other.hashOf(sequence)) this.#tookOther = true
    }
  }

  takeOther(): void {
    this.#tookOther = true
  }

  problem(trail: string): Problem {
    const [wrong, right] = [this.other.placeOf(this.sequence), this.#firstPlace]
    const [place, there] = this.#tookOther ? [right, wrong] : [wrong, right]
    const problem = `another record stands in the same place (a fork), at ${there.file}:${String(there.line)}; the trail goes on with that one`
    return { kind: 'forked', trail, sequence: this.sequence, toSequence: null, ...place, problem }
  }
}
