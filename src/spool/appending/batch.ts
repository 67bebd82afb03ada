import type { TrailGap } from '../../audit/event-data.ts'
import { trailEvent } from '../../audit/event.ts'
import { encodeEvent, type EncodedEvent } from '../../audit/record.ts'
import { CursorMoves } from '../file/cursor-moves.ts'
import { Gaps, type OnMissed } from './gaps.ts'
import type { Pending } from './pending.ts'
import type { Cursor } from '../protocol.ts'
import { type Kinds, Queue } from './queue.ts'

/** What is written in one transaction: gaps before events. */
export interface Batch {
  readonly pending: readonly Pending[]
  readonly gaps: readonly TrailGap[]
  readonly cursors: readonly Cursor[]
}

export const emptyBatch: Batch = { pending: [], gaps: [], cursors: [] }

/** What may be written now; gaps that are `due` are those whose pause is over. */
export interface Allowed {
  readonly kinds: Kinds
  readonly gaps: 'all' | 'due' | 'none'
}

/** Gaps are written no more often than this: a refused request must not cost more disk than a kept one. */
const gapMs = 1000

/** What waits to be written, whichever file it goes to. */
export class Waiting {
  readonly queue = new Queue()
  readonly gaps: Gaps
  readonly cursors = new CursorMoves()
  /** When a gap may be written next, by the monotonic clock. */
  #nextGapMs = 0

  constructor(onMissed: OnMissed) {
    this.gaps = new Gaps(onMissed)
  }

  /** How long until a gap is due, in milliseconds. */
  get gapInMs(): number {
    return Math.max(0, this.#nextGapMs - performance.now())
  }

  has(allowed: Allowed): boolean {
    return this.queue.has(allowed.kinds) || this.#hasGaps(allowed) || this.cursors.size > 0
  }

  take(allowed: Allowed): Batch {
    const gaps = this.#hasGaps(allowed) ? this.gaps.take() : []
    if (gaps.length > 0) this.#nextGapMs = performance.now() + gapMs
    return { pending: this.queue.take(allowed.kinds), gaps, cursors: this.cursors.take() }
  }

  #hasGaps({ gaps }: Allowed): boolean {
    if (gaps === 'none' || this.gaps.empty) return false
    return gaps === 'all' || this.gapInMs === 0
  }
}

/** The events of a batch in the order of their positions. */
export function eventsOf({ gaps, pending }: Batch, newId: () => string, now: Date): EncodedEvent[] {
  return [...gaps.map((gap) => encodeEvent(trailEvent(newId(), now, gap))), ...pending.map(({ event }) => event)]
}
