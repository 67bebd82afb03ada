import type { GapReason, TrailGap } from '../../audit/event-data.ts'

export type Missed = 'decision' | 'access'
/** Told of each event that is counted, once. */
export type OnMissed = (of: Missed, reason: GapReason) => void

/** What was not kept, counted until it can be written down. */
export class Gaps {
  readonly #open = new Map<string, TrailGap>()
  readonly #onMissed: OnMissed

  constructor(onMissed: OnMissed = () => undefined) {
    this.#onMissed = onMissed
  }

  /** Counts one event that will have no record; `exact` is false where it may have one all the same. */
  add(of: Missed, reason: GapReason, time: Date, exact = true): void {
    this.#onMissed(of, reason)
    const at = time.toISOString()
    const place = { trail: null, fromSequence: null, toSequence: null }
    this.#merge({ change: 'gap', of, ...place, count: 1, countExact: exact, from: at, to: at, reason, envoy: null })
  }

  /** Takes out what stands open; the caller writes it, or gives it back with `restore`. */
  take(): readonly TrailGap[] {
    const gaps = [...this.#open.values()]
    this.#open.clear()
    return gaps
  }

  /** Adds gaps that could not be written to what was counted meanwhile. */
  restore(gaps: readonly TrailGap[]): void {
    for (const gap of gaps) this.#merge(gap)
  }

  get empty(): boolean {
    return this.#open.size === 0
  }

  /** Number of events that were counted and are not yet written down. */
  get events(): number {
    return [...this.#open.values()].reduce((sum, { count }) => sum + count, 0)
  }

  /** One gap for each kind, reason and certainty: an exact count must not be blurred by another. */
  #merge(gap: TrailGap): void {
    const key = `${gap.of} ${gap.reason} ${String(gap.countExact)}`
    const known = this.#open.get(key)
    this.#open.set(key, known === undefined ? gap : merged(known, gap))
  }
}

/** The clock may have been put back in between. */
function merged(one: TrailGap, other: TrailGap): TrailGap {
  const from = one.from < other.from ? one.from : other.from
  const to = one.to > other.to ? one.to : other.to
  return { ...one, count: one.count + other.count, from, to }
}
