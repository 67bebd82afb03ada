import type { PlacedRun } from './placed-run.ts'
import type { Place } from './problem.ts'
import type { ProblemList } from './problem-list.ts'

/** Records of a trail that were met again, byte for byte the same. */
export class Doubles {
  /** Those that archive and spool both have, as they should while one moves to the other. */
  met = 0
  /** Those of a topic or an export, where delivery at least once may send them again. */
  count = 0
  /** Where the first of these was met again. */
  first: { readonly place: Place; readonly sequence: number } | undefined
  readonly #once: boolean
  readonly #problems: ProblemList

  /** `once`: a record that comes again is a problem wherever it comes. */
  constructor(once: boolean, problems: ProblemList) {
    this.#once = once
    this.#problems = problems
  }

  /** Counts the records of a run up to `upTo`. `before` is where the first stood; `again`: in the same stream. */
  add(run: PlacedRun, upTo: number, before: Place | undefined, again: boolean): void {
    const count = upTo - run.first + 1
    const { source } = run.part
    if (source === 'spool' || (source === 'archive' && (!again || isOfSegmentGivenUp(run, before)))) {
      this.met += count
      return
    }
    const place = run.placeOf(run.first)
    if (source === 'archive' || this.#once) {
      this.#problems.add('doubled', run.first, place, 'the record stands here again', upTo)
    }
    this.first ??= { place, sequence: run.first }
    this.count += count
  }
}

/** A writer that gives up a segment after a fault begins another one with what was not known to be durable. */
function isOfSegmentGivenUp(run: PlacedRun, before: Place | undefined): boolean {
  return before !== undefined && before.file !== run.part.name && before.file.endsWith('.ndjson')
}
