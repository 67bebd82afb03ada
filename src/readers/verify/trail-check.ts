import { Doubles } from './doubles.ts'
import { EarlyRuns } from './early-runs.ts'
import { ExpectedEnds } from './expected-ends.ts'
import type { Expectation } from './expectation.ts'
import type { LostRange } from './findings.ts'
import { Fork } from './fork.ts'
import type { IsGone } from './gone.ts'
import type { TrailRecords } from './known-records.ts'
import type { PlacedRun } from './placed-run.ts'
import { ProblemList, said } from './problem-list.ts'
import type { Place } from './problem.ts'
import { StreamOrder } from './stream-order.ts'
import { TrailRoots } from './trail-roots.ts'
import { Vouched } from './vouched.ts'
import { WaitingRuns, type Waiting } from './waiting-runs.ts'
import { firstPrevHash } from '../../audit/record.ts'

/** The last record that follows all before it. */
interface Tip {
  readonly sequence: number
  readonly hash: string
}

/**
 * Puts the runs of one trail together, in the order in which they are met: sequence, chain, tree, checkpoints, and what is known of
 * it from elsewhere. It goes on to the end whatever it finds; what follows the first problem is counted, not judged.
 */
export class TrailCheck {
  readonly trail: string
  readonly problems: ProblemList
  readonly streams = new Map<string, StreamOrder>()
  readonly lost: (LostRange & { readonly place: Place; readonly by: string })[] = []
  readonly doubles: Doubles
  readonly roots: TrailRoots
  readonly expected: ExpectedEnds
  readonly vouched = new Vouched()
  readonly #records: TrailRecords
  #tip: Tip = { sequence: 0, hash: firstPrevHash }
  #begin = 1
  #beforeBegin: Tip = this.#tip
  readonly #waiting = new WaitingRuns()
  readonly #early = new EarlyRuns()
  #fork: Fork | undefined
  #closedAt = 0
  /** Why the trail may begin later than with its first record. */
  removed: string | undefined
  from: string | null = null
  to: string | null = null

  constructor(
    trail: string,
    records: TrailRecords,
    { expected, once, isGone }: Readonly<{ expected: readonly Expectation[]; once: boolean; isGone: IsGone }>,
  ) {
    this.trail = trail
    this.problems = new ProblemList(trail)
    this.doubles = new Doubles(once, this.problems)
    this.roots = new TrailRoots(this.problems, this.vouched)
    this.expected = new ExpectedEnds(expected, this.problems, this.vouched, isGone)
    this.#records = records
  }

  /** `mayBeginLate`: what stood before the first run may have been removed as agreed. */
  take(run: PlacedRun, mayBeginLate: boolean): void {
    const { again, back } = this.#orderOf(run).note(run, (sequence) => !this.#isKnown(sequence))
    if (back !== undefined) {
      const problem = `${said(back.found)} stands here, before ${said(back.from)}`
      this.problems.add('reordered', back.from, back.place, problem)
    }
    if (this.#tip.sequence === 0 && run.first > 1 && mayBeginLate) this.#beginWith(run)
    this.#takeInOrder({ run, again })
  }

  get tip(): Tip {
    return this.#tip
  }

  get begin(): number {
    return this.#begin
  }

  /** The sequence of the record that closes it, where the checkpoint that covers that is not there. */
  get closedUnsigned(): number | undefined {
    const { sequence } = this.#tip
    return this.#closedAt === sequence && sequence > 0 && this.roots.promisesSigning ? sequence : undefined
  }

  get closed(): boolean {
    const { sequence } = this.#tip
    if (this.#closedAt === 0) return false
    const isCovered = this.#closedAt === sequence - 1 && this.roots.lastCheckpointAt === sequence
    return this.#closedAt === sequence || isCovered
  }

  /** The records that are missing before what could not be put on, if anything is left. */
  get hole(): { readonly from: number; readonly to: number; readonly place: Place } | undefined {
    const next = this.#waiting.first
    if (next === undefined) return undefined
    return { from: this.#tip.sequence + 1, to: next.first - 1, place: next.placeOf(next.first) }
  }

  /** Goes on behind a hole. */
  passHole(): void {
    const next = this.#waiting.first
    if (next === undefined) return
    this.#tip = { sequence: next.first - 1, hash: next.run.prevHash }
    this.roots.giveUp()
    this.#takeWaiting()
  }

  /** Where a record stands, as far as it is still known. */
  placeOf(sequence: number): Place | undefined {
    return this.#records.find(sequence)?.placeOf(sequence)
  }

  hashOf(sequence: number): string | undefined {
    if (sequence === this.#tip.sequence) return this.#tip.hash
    return this.#records.find(sequence)?.hashOf(sequence)
  }

  /** The last place of the trail, or that of its first record that could not be put on. */
  get lastPlace(): Place | undefined {
    return this.placeOf(this.#tip.sequence) ?? this.hole?.place
  }

  /** What only the end can tell: a fork of which neither side went on, a suspicion that no checkpoint settled, what was expected. */
  end(named: readonly { readonly sequence: number; readonly hash: string }[]): void {
    const known = this.expected.hashes
    for (const { sequence, hash } of named) known.set(sequence, hash)
    this.#fork?.settle((sequence) => known.get(sequence))
    if (this.#fork !== undefined) this.problems.all.push(this.#fork.problem(this.trail))
    this.#nameInserted()
    this.#nameEarly()
    this.roots.end()
    if (!this.problems.isEmpty || this.hole !== undefined) return
    this.#endAfterClosing()
    this.expected.end(this.#tip.sequence, this.lastPlace)
  }

  #endAfterClosing(): void {
    if (this.#closedAt === 0 || this.closed) return
    // What a writer closes it does not write to again, but for the checkpoint that covers the closing.
    const next = this.#closedAt + (this.roots.lastCheckpointAt === this.#closedAt + 1 ? 2 : 1)
    const place = this.placeOf(next) ?? this.lastPlace
    if (place === undefined) return
    this.problems.add('continued', next, place, `the trail goes on, but ${said(this.#closedAt)} closes it`)
  }

  /** What came too early, and finds no place afterwards either, did not come from elsewhere in the trail. */
  #nameInserted(): void {
    const nameOf = ({ file, line }: Pick<Place, 'file' | 'line'>): string => `${file}:${String(line)}`
    const strangers = new Set(this.#waiting.all.map((run) => nameOf(run.placeOf(run.first))))
    if (this.#fork !== undefined) strangers.add(nameOf(this.#fork.problem(this.trail)))
    const { all } = this.problems
    for (const [index, found] of all.entries()) {
      if (found.kind !== 'reordered' || !strangers.has(nameOf(found))) continue
      all[index] = { ...found, kind: 'inserted', problem: `${found.problem}, and does not belong to the trail` }
    }
  }

  /** Records from before the beginning that are not those to which it goes back. */
  #nameEarly(): void {
    const stranger = this.#early.stranger(this.#beforeBegin)
    if (stranger === undefined) return
    const { run, isOther } = stranger
    const problem = isOther
      ? 'the record that follows names another one in this place'
      : 'the record stands here again, and nothing that is left leads to it'
    this.problems.add(isOther ? 'forked' : 'inserted', run.last, run.placeOf(run.last), problem)
  }

  #takeInOrder(waiting: Waiting): void {
    const { run } = waiting
    if (run.first < this.#begin) this.#early.add(run)
    if (run.last < this.#begin) return
    if (this.#fork?.isGoneOnBy(run, this.#tip) === true) this.#follow(this.#fork)
    if (run.first > this.#tip.sequence + 1) {
      this.#waiting.add(waiting)
      return
    }
    this.#putOn(waiting)
    this.#takeWaiting()
  }

  #takeWaiting(): void {
    for (let next; (next = this.#waiting.takeUpTo(this.#tip.sequence + 1)) !== undefined;) this.#putOn(next)
  }

  #putOn({ run, again }: Waiting): void {
    const known = Math.min(run.last, this.#tip.sequence)
    let from = run.first
    if (known >= run.first) {
      if (!this.#isSame(run, known)) {
        this.#forkAt(run, known)
        return
      }
      this.doubles.add(run, known, this.placeOf(run.first), again)
      if (known === run.last) return
      from = known + 1
    }
    const prevHash = from === run.first ? run.run.prevHash : run.hashOf(from - 1)
    if (prevHash !== this.#tip.hash) this.roots.unlink(run, from, prevHash, this.placeOf(from - 1))
    this.#extend(run, from)
  }

  #extend(run: PlacedRun, from: number): void {
    const { opened, closedAt, to } = run.run
    if (from === 1 && opened === undefined) {
      this.problems.add('unopened', 1, run.placeOf(1), 'the first record does not say that the trail was opened')
    }
    this.roots.extend(run, from)
    this.vouched.passes(run.run)
    this.#records.add(run, from)
    this.#tip = { sequence: run.last, hash: run.hashOf(run.last) }
    this.#closedAt = closedAt ?? this.#closedAt
    this.from ??= run.run.from
    this.to = to
    const reached = { ...this.#tip, place: run.placeOf(run.last), root: () => this.roots.root() }
    const agrees = this.expected.compare(reached, this.problems.isEmpty, this.roots.isSuspected)
    if (!agrees) this.roots.giveUp()
  }

  /** A trail whose older records were removed is judged from the first that is left. */
  #beginWith(run: PlacedRun): void {
    this.#tip = { sequence: run.first - 1, hash: run.run.prevHash }
    this.#begin = run.first
    this.#beforeBegin = this.#tip
    this.removed = run.part.removed?.why
    this.roots.giveUp()
    this.expected.beginWith(run.first, run.run.prevHash, run.placeOf(run.first))
  }

  #forkAt(run: PlacedRun, known: number): void {
    let [low, high] = [run.first, known]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#isSame(run, middle)) low = middle + 1
      else high = middle
    }
    const place = this.placeOf(low)
    if (this.#fork !== undefined) return
    if (place === undefined) {
      this.problems.add('forked', low, run.placeOf(low), 'the record that follows names another one in this place')
      return
    }
    this.roots.giveUp()
    this.#fork = new Fork(low, place, run)
    if (run.last > this.#tip.sequence) this.#follow(this.#fork)
  }

  /** Goes on with the other side of a fork. */
  #follow(fork: Fork): void {
    this.#records.cut(fork.sequence)
    this.#records.add(fork.other, fork.sequence)
    this.#tip = { sequence: fork.other.last, hash: fork.other.hashOf(fork.other.last) }
    fork.takeOther()
  }

  #isSame(run: PlacedRun, sequence: number): boolean {
    const hash = this.hashOf(sequence)
    if (hash !== undefined) return hash === run.hashOf(sequence)
    if (sequence < this.#begin) return true
    const problem = 'the record stands again so far behind its first place that the two cannot be compared'
    this.problems.add('doubled', sequence, run.placeOf(sequence), problem)
    return true
  }

  #isKnown(sequence: number): boolean {
    return sequence <= this.#tip.sequence || this.#waiting.has(sequence)
  }

  #orderOf({ part }: PlacedRun): StreamOrder {
    const known = this.streams.get(part.stream)
    if (known !== undefined) return known
    const order = new StreamOrder()
    this.streams.set(part.stream, order)
    return order
  }
}
