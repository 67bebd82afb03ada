import type { GapReason, TrailGap } from '../audit/event-data.ts'

/** What was not kept, counted until it can be written down. */
export class Gaps {
  readonly #open = new Map<string, TrailGap>()

  /** Counts one event that will have no record. */
  add(of: 'decision' | 'access', reason: GapReason, time: Date): void {
    const key = `${of} ${reason}`
    const known = this.#open.get(key)
    const at = time.toISOString()
    this.#open.set(key, {
      change: 'gap',
      of,
      trail: null,
      fromSequence: null,
      toSequence: null,
      count: (known?.count ?? 0) + 1,
      countExact: true,
      from: known === undefined || at < known.from ? at : known.from,
      to: known === undefined || at > known.to ? at : known.to,
      reason,
      envoy: null,
    })
  }

  /** Takes out what stands open; the caller writes it, or gives it back with `restore`. */
  take(): readonly TrailGap[] {
    const gaps = [...this.#open.values()]
    this.#open.clear()
    return gaps
  }

  /** Adds gaps that could not be written to what was counted meanwhile. */
  restore(gaps: readonly TrailGap[]): void {
    for (const gap of gaps) {
      const key = `${gap.of} ${gap.reason}`
      const newer = this.#open.get(key)
      this.#open.set(key, newer === undefined ? gap : merged(gap, newer))
    }
  }

  get empty(): boolean {
    return this.#open.size === 0
  }
}

/** The clock may have been put back in between. */
function merged(one: TrailGap, other: TrailGap): TrailGap {
  const [from = one.from] = [one.from, other.from].sort()
  const [, to = one.to] = [one.to, other.to].sort()
  return { ...one, count: one.count + other.count, from, to }
}
