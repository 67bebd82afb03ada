import type { EncodedEvent } from '../../audit/record.ts'
import type { Pending } from './pending.ts'

const batchEvents = 512
const batchCharacters = 2 * 1024 * 1024
/** Access events get this share of a batch while decisions wait, so that a flood of log entries cannot starve Checks. */
const accessShare = 1 / 4

/** What a batch may hold: access events wait while the spool is as full as it may be. */
export type Kinds = 'all' | 'decisions'

/** Events that wait for the batch under way to end. Decisions leave before access events; each kind leaves in order. */
export class Queue {
  readonly #decisions: Pending[] = []
  readonly #accesses: Pending[] = []
  #characters = 0

  get length(): number {
    return this.#decisions.length + this.#accesses.length
  }

  /** Size of what waits, in UTF-16 units of JSON (as good as bytes here). */
  get characters(): number {
    return this.#characters
  }

  push(pending: Pending): void {
    this.#kind(pending).push(pending)
    this.#characters += pending.event.length
  }

  /** Puts events of a batch that failed back to the front. */
  giveBack(batch: readonly Pending[]): void {
    for (const pending of batch) {
      pending.state = 'queued'
      this.#characters += pending.event.length
    }
    this.#decisions.unshift(...batch.filter(({ kind }) => kind === 'decision'))
    this.#accesses.unshift(...batch.filter(({ kind }) => kind === 'access'))
  }

  /** Replaces the event of one that still waits. */
  replace(pending: Pending, event: EncodedEvent): void {
    this.#characters += event.length - pending.event.length
    pending.event = event
  }

  /** Takes one that still waits out. */
  remove(pending: Pending): void {
    const kind = this.#kind(pending)
    const index = kind.indexOf(pending)
    if (index === -1) return
    kind.splice(index, 1)
    this.#characters -= pending.event.length
  }

  /** Whether `take` would take anything. */
  has(kinds: Kinds): boolean {
    return this.#decisions.length > 0 || (kinds === 'all' && this.#accesses.length > 0)
  }

  /** Takes the next batch: decisions first, access events in what is left and at least in their share. */
  take(kinds: Kinds): Pending[] {
    const waiting = kinds === 'all' ? this.#accesses : []
    const share = waiting.length === 0 ? 0 : Math.floor(batchEvents * accessShare)
    const decisions = take(this.#decisions, batchEvents - share, batchCharacters)
    const accesses = take(waiting, batchEvents - decisions.length, batchCharacters)
    const batch = [...decisions, ...accesses]
    for (const pending of batch) {
      pending.state = 'taken'
      this.#characters -= pending.event.length
    }
    return batch
  }

  /** Takes everything out. */
  clear(): Pending[] {
    const all = [...this.#decisions.splice(0), ...this.#accesses.splice(0)]
    this.#characters = 0
    return all
  }

  #kind(pending: Pending): Pending[] {
    return pending.kind === 'decision' ? this.#decisions : this.#accesses
  }
}

function take(waiting: Pending[], events: number, characters: number): Pending[] {
  let count = 0
  let size = 0
  for (const { event } of waiting) {
    size += event.length
    if (count === events || (count > 0 && size > characters)) break
    count += 1
  }
  return waiting.splice(0, count)
}
