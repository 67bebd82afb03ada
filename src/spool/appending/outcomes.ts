import type { GapReason } from '../../audit/event-data.ts'
import type { Batch, Waiting } from './batch.ts'
import type { OpenedSpool } from './opened.ts'
import { type Pending, settle } from './pending.ts'
import type { LostFile } from './reopening.ts'

/** What became of a batch that was under way when its file was lost: a batch is one transaction, so all of it is kept or nothing. */
export type Fate = 'kept' | 'absent' | 'unknown'

/** Reads it from the file that took the lost one's place, with what could be rescued. */
export function fateOf({ trail, sequence }: LostFile, { previous }: OpenedSpool): Fate {
  if (previous?.trail !== trail) return 'unknown'
  return previous.sequence > sequence ? 'kept' : 'absent'
}

/** What a batch's end means for those who wait, and for what waits. Every event ends in a record or in the count of a gap. */
export class Outcomes {
  readonly #waiting: Waiting
  readonly #onKept: (pending: Pending, position: number) => void

  constructor(waiting: Waiting, onKept: (pending: Pending, position: number) => void) {
    this.#waiting = waiting
    this.#onKept = onKept
  }

  /** The batch is on the disk; `first` is the position of its first record. */
  committed({ pending, gaps }: Batch, first: number): void {
    pending.forEach((one, index) => {
      this.#onKept(one, first + gaps.length + index)
    })
  }

  /** The disk did not take it: whoever must not wait is told, all else goes again. */
  refused({ pending, gaps, cursors }: Batch, reason: GapReason): void {
    this.#waiting.cursors.restore(cursors)
    this.#again(pending, gaps, (one) => one.mayWait, reason)
  }

  /** Its file is lost: whoever waits for it is denied before it is known whether the record is in the file. */
  uncertain({ pending }: Batch): void {
    for (const one of pending) {
      if (one.mayWait) continue
      settle(one, false)
      one.state = 'taken-late'
    }
  }

  /** What became of a batch that was uncertain. Its cursors were the lost file's. */
  resolved(batch: Batch, fate: Fate): void {
    switch (fate) {
      case 'kept':
        for (const one of batch.pending) this.#onKept(one, 0)
        return
      case 'absent':
        this.#again(batch.pending, batch.gaps, () => true, 'SPOOL_DAMAGED')
        return
      case 'unknown':
        this.#unknown(batch)
    }
  }

  /** Nothing will be written any more: what waits is not kept either. */
  givenUp({ pending, gaps }: Batch, reason: GapReason): void {
    this.#waiting.gaps.restore(gaps)
    for (const one of [...pending, ...this.#waiting.queue.clear()]) this.#lose(one, reason)
  }

  /** What `mayWait` holds of goes again; a decision whose caller was denied meanwhile goes as the denial. */
  #again(pending: Batch['pending'], gaps: Batch['gaps'], mayWait: (one: Pending) => boolean, reason: GapReason): void {
    this.#waiting.gaps.restore(gaps)
    const again: Pending[] = []
    for (const one of pending) {
      if (one.state === 'taken-late' && one.replacement !== undefined) {
        again.push(Object.assign(one, { event: one.replacement(false), mayWait: true }))
      } else if (mayWait(one) && one.state !== 'taken-late') again.push(one)
      else this.#lose(one, reason)
    }
    this.#waiting.queue.giveBack(again)
  }

  /** May be in the trail or not: a second record says what was answered; the rest is counted rather than doubled. */
  #unknown({ pending, gaps }: Batch): void {
    this.#waiting.gaps.restore(gaps.map((gap) => ({ ...gap, countExact: false })))
    for (const one of pending) {
      if (one.state === 'taken-late' && one.replacement !== undefined) this.#onKept(one, 0)
      else this.#lose(one, 'SPOOL_DAMAGED', false)
    }
  }

  #lose(one: Pending, reason: GapReason, exact = true): void {
    this.#waiting.gaps.add(one.kind, reason, one.time, exact)
    settle(one, false)
  }
}
