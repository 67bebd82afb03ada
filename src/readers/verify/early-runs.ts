import type { PlacedRun } from './placed-run.ts'

/** A record, and the hash that it must have. */
export interface Wanted {
  readonly sequence: number
  readonly hash: string
}

/**
 * Runs with records from before the one that a trail begins with here, which came after it: delivery may go back further than a topic
 * does. Each must lead to what stands there by its hashes.
 */
export class EarlyRuns {
  readonly #runs: PlacedRun[] = []

  add(run: PlacedRun): void {
    this.#runs.push(run)
  }

  /** The first run that leads nowhere; `before` is what the first record that is left names. */
  stranger(before: Wanted): { readonly run: PlacedRun; readonly isOther: boolean } | undefined {
    const linked: PlacedRun[] = []
    let wanted = before
    for (const run of this.#runs.toSorted((a, b) => b.last - a.last)) {
      // What reaches behind the beginning was compared there.
      if (run.last <= before.sequence) {
        if (run.last < wanted.sequence) return { run, isOther: false }
        const own = linked.find((known) => known.first <= run.last && run.last <= known.last)
        const hash = run.last === wanted.sequence ? wanted.hash : own?.hashOf(run.last)
        if (hash !== run.hashOf(run.last)) return { run, isOther: true }
      }
      if (run.first > wanted.sequence) continue
      linked.push(run)
      wanted = { sequence: run.first - 1, hash: run.run.prevHash }
    }
    return undefined
  }
}
