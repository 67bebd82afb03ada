import { type Pending, settle } from './pending.ts'

/** The records up to a position, committed at one time (milliseconds of the monotonic clock). */
interface Unacknowledged {
  upTo: number
  readonly sinceMs: number
}

/** More than this are told apart no longer: beyond it, only the age of the oldest counts. */
const maxTold = 1024

/**
 * Committed decisions that wait until every one of certain sinks has them. A cursor that has passed a record's position means
 * that the sink has it: sinks are delivered to in the order of positions.
 */
export class Acknowledgements {
  /** Position that each sink has reached. */
  readonly #reached: Map<string, number>
  /** In the order of their positions. */
  #waiting: { readonly pending: Pending; readonly position: number }[] = []
  #unacknowledged: Unacknowledged[] = []
  #committedUpTo = 0

  constructor(sinks: readonly string[]) {
    this.#reached = new Map(sinks.map((sink) => [sink, 0]))
  }

  /** The sinks that lack what was committed, for a message. */
  get lacking(): readonly string[] {
    return [...this.#reached].filter(([, position]) => position < this.#committedUpTo).map(([sink]) => sink)
  }

  /** Everything up to `position` is committed. */
  committed(position: number, nowMs: number): void {
    this.#committedUpTo = position
    const last = this.#unacknowledged.at(-1)
    if (position <= Math.max(last?.upTo ?? 0, this.#acknowledged)) return
    if (last !== undefined && this.#unacknowledged.length >= maxTold) last.upTo = position
    else this.#unacknowledged.push({ upTo: position, sinceMs: nowMs })
  }

  /** Tells the caller when every sink has the record at `position`, which is committed. */
  waitFor(pending: Pending, position: number): void {
    pending.state = 'committed'
    if (position <= this.#acknowledged) settle(pending, true)
    else this.#waiting.push({ pending, position })
  }

  /** Takes a sink's progress; also back, where it lost records. */
  advance(sink: string, position: number, nowMs: number): void {
    const before = this.#reached.get(sink)
    if (before === undefined) return
    this.#reached.set(sink, position)
    if (position < before) this.#unacknowledged = [{ upTo: this.#committedUpTo, sinceMs: nowMs }]
    const acknowledged = this.#acknowledged
    this.#unacknowledged = from(this.#unacknowledged, ({ upTo }) => upTo > acknowledged)
    const waiting = from(this.#waiting, (one) => one.position > acknowledged)
    for (const { pending } of this.#waiting.slice(0, this.#waiting.length - waiting.length)) settle(pending, true)
    this.#waiting = waiting
  }

  /** Another file has taken the place of the one that was spoken of: how far each sink is in it has to be heard first. */
  beginAnew(): void {
    for (const sink of this.#reached.keys()) this.#reached.set(sink, 0)
    this.#unacknowledged = []
    this.#committedUpTo = 0
  }

  /** How long the oldest record has lacked a sink, in milliseconds; 0 where every sink has everything. */
  ageMs(nowMs: number): number {
    const [oldest] = this.#unacknowledged
    return oldest === undefined ? 0 : nowMs - oldest.sinceMs
  }

  /** Takes out all whose callers still wait: whether the records will ever reach the sinks is not known any more. */
  giveUp(): readonly Pending[] {
    const given = this.#waiting.map(({ pending }) => pending)
    this.#waiting = []
    return given.filter((pending) => pending.settle !== undefined)
  }

  get #acknowledged(): number {
    return Math.min(...this.#reached.values())
  }
}

/** The rest of a list, from the first member on of which it holds. */
function from<T>(list: T[], holds: (member: T) => boolean): T[] {
  const index = list.findIndex(holds)
  if (index === 0) return list
  return index === -1 ? [] : list.slice(index)
}
