import type { Place, SourceKind } from './problem.ts'

/** What is known of a trail from an earlier run, from a checkpoint that was kept outside, or from the manifest of a segment. */
export interface Expectation {
  /** Number of records that it speaks of: the trail has at least so many. */
  readonly size: number
  /** Root over these records. */
  readonly root?: Buffer
  /** Hash of the last of them. */
  readonly hash?: string
  readonly from: Extract<SourceKind, 'state' | 'checkpoints' | 'archive'>
  /** Who says so, in words. */
  readonly by: string
  /** Where the last of them stood, or whose word it is. */
  readonly place?: Place
  /** Where it is said, where `place` is not known. */
  readonly saidAt?: Place
}

/** The expectations of each trail by size. */
export class Expectations {
  readonly #trails = new Map<string, Expectation[]>()

  add(trail: string, expectation: Expectation): void {
    const known = this.#trails.get(trail) ?? []
    known.push(expectation)
    this.#trails.set(trail, known)
  }

  of(trail: string): readonly Expectation[] {
    return (this.#trails.get(trail) ?? []).toSorted((a, b) => a.size - b.size)
  }

  has(from: Expectation['from']): boolean {
    return [...this.#trails.values()].some((all) => all.some((known) => known.from === from))
  }

  trails(): readonly string[] {
    return [...this.#trails.keys()]
  }

  /** The sizes at which runs have to end, so that roots and hashes can be compared there. */
  sizes(): ReadonlyMap<string, ReadonlySet<number>> {
    return new Map([...this.#trails].map(([trail, all]) => [trail, new Set(all.map(({ size }) => size))]))
  }
}
