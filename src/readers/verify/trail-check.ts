import type { FoundCheckpoint, LostRange } from './block.ts'
import type { Expectation } from './expectation.ts'
import { Fork } from './fork.ts'
import type { TrailRecords } from './known-records.ts'
import type { PlacedRun } from './placed-run.ts'
import type { Place, Problem, ProblemKind } from './problem.ts'
import { StreamOrder } from './stream-order.ts'
import { leafOf, TreeRange } from './tree-range.ts'
import { firstPrevHash } from '../../audit/record.ts'

/** A run that does not follow what is there yet, or that came here before. */
interface Waiting {
  readonly run: PlacedRun
  readonly again: boolean
}

/** The last record that follows all before it. */
interface Tip {
  readonly sequence: number
  readonly hash: string
}

/** Records that came more than once, byte for byte the same. */
export interface Doubles {
  count: number
  readonly first: Place
  readonly sequence: number
}

/**
 * Puts the runs of one trail together, in the order in which they are met: sequence, chain, tree, checkpoints, and what is known of
 * it from elsewhere. It goes on to the end whatever it finds; what follows the first problem is counted, not judged.
 */
export class TrailCheck {
  readonly trail: string
  readonly problems: Problem[] = []
  readonly notes: string[] = []
  readonly streams = new Map<string, StreamOrder>()
  readonly lost: (LostRange & { readonly place: Place; readonly by: string })[] = []
  readonly #records: TrailRecords
  readonly #expected: readonly Expectation[]
  readonly #once: boolean
  #nextExpected = 0
  #tip: Tip = { sequence: 0, hash: firstPrevHash }
  #begin = 1
  /** Undefined where the root cannot be known: the trail begins later here, or is broken. */
  #tree: TreeRange | undefined = new TreeRange(0)
  /** The last run that was put on, and the tree before it. */
  #lastRun: { readonly run: PlacedRun; readonly from: number; readonly before: TreeRange | undefined } | undefined
  /** A record that may have been put in the place of another one: the next checkpoint tells. */
  #suspect: { readonly unlinked: Problem; readonly replaced: Problem } | undefined
  readonly #loose: Waiting[] = []
  #fork: Fork | undefined
  doubles: Doubles | undefined
  /** Records that archive and spool both have. */
  met = 0
  #closedAt = 0
  #lastCheckpointAt = 0
  #unjudged = 0
  /** Checkpoints whose root cannot be computed here. */
  uncheckable = 0
  signed: { readonly size: number; readonly root: Buffer; readonly key: string | null } | undefined
  provenTo = 0
  provenBy: 'state' | 'checkpoints' | undefined
  /** Why the trail may begin later than with its first record. */
  removed: string | undefined
  from: string | null = null
  to: string | null = null

  constructor(trail: string, records: TrailRecords, expected: readonly Expectation[], once: boolean) {
    this.trail = trail
    this.#records = records
    this.#expected = expected
    this.#once = once
  }

  take(run: PlacedRun): void {
    const { again, back } = this.#orderOf(run).note(run, (sequence) => !this.#isKnown(sequence))
    if (back !== undefined) {
      const problem = `${said(back.found)} stands here, before ${said(back.from)}`
      this.#problem('reordered', back.from, back.place, problem)
    }
    if (this.#tip.sequence === 0 && run.first > 1 && run.part.removed !== undefined) this.#beginWith(run)
    this.#takeInOrder({ run, again })
  }

  get tip(): Tip {
    return this.#tip
  }

  get begin(): number {
    return this.#begin
  }

  get closed(): boolean {
    const { sequence } = this.#tip
    if (this.#closedAt === 0) return false
    return this.#closedAt === sequence || (this.#closedAt === sequence - 1 && this.#lastCheckpointAt === sequence)
  }

  /** Sequence of the last record that says that the trail was closed; 0 where none does. */
  get closedAt(): number {
    return this.#closedAt
  }

  get lastIsCheckpoint(): boolean {
    return this.#lastCheckpointAt === this.#tip.sequence
  }

  /** Records behind its first problem, which were not judged. */
  get unjudged(): number {
    return this.#unjudged + this.#loose.reduce((count, { run }) => count + run.last - run.first + 1, 0)
  }

  /** The records that are missing before what could not be put on, if anything is left. */
  get hole(): { readonly from: number; readonly to: number; readonly place: Place } | undefined {
    const next = this.#loose[0]?.run
    if (next === undefined) return undefined
    return { from: this.#tip.sequence + 1, to: next.first - 1, place: next.placeOf(next.first) }
  }

  /** Goes on behind a hole. */
  passHole(): void {
    const next = this.#loose[0]?.run
    if (next === undefined) return
    this.#tip = { sequence: next.first - 1, hash: next.run.prevHash }
    this.#giveUpTree()
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
    const known = new Map(this.#expected.flatMap(({ size, hash }) => (hash === undefined ? [] : [[size, hash]])))
    for (const { sequence, hash } of named) known.set(sequence, hash)
    this.#fork?.settle((sequence) => known.get(sequence))
    if (this.#fork !== undefined) this.problems.push(this.#fork.problem(this.trail))
    this.#nameInserted()
    if (this.#suspect !== undefined) this.problems.push(this.#suspect.unlinked)
    if (this.problems.length > 0 || this.hole !== undefined) return
    this.#endAfterClosing()
    for (const { size, by, from } of this.#expected.slice(this.#nextExpected)) {
      if (size <= this.#tip.sequence) continue
      const problem = `the trail ends with ${said(this.#tip.sequence)}, but ${by} has ${size.toLocaleString('en')} records of it`
      this.#problem(
        from === 'archive' ? 'truncated' : 'rolled-back',
        this.#tip.sequence + 1,
        this.lastPlace ?? { source: from, file: from, line: 0 },
        problem,
        size,
      )
      return
    }
  }

  #endAfterClosing(): void {
    const { sequence } = this.#tip
    if (this.#closedAt === 0 || this.#closedAt === sequence || this.closed) return
    // What a writer closes it does not write to again, but for the checkpoint that covers the closing.
    const next = this.#closedAt + (this.#lastCheckpointAt === this.#closedAt + 1 ? 2 : 1)
    const place = this.placeOf(next) ?? this.lastPlace
    if (place === undefined) return
    this.#problem('continued', next, place, `the trail goes on, but ${said(this.#closedAt)} closes it`)
  }

  /** What came too early, and finds no place afterwards either, did not come from elsewhere in the trail. */
  #nameInserted(): void {
    const strangers = this.#loose.map(({ run }) => run.placeOf(run.first))
    if (this.#fork !== undefined) strangers.push(this.#fork.problem(this.trail))
    for (const [index, problem] of this.problems.entries()) {
      const isStranger = strangers.some(({ file, line }) => file === problem.file && line === problem.line)
      if (problem.kind !== 'reordered' || !isStranger) continue
      this.problems[index] = {
        ...problem,
        kind: 'inserted',
        problem: `${problem.problem}, and does not belong to the trail`,
      }
    }
  }

  #takeInOrder(waiting: Waiting): void {
    const { run } = waiting
    if (this.#fork?.isGoneOnBy(run, this.#tip) === true) this.#follow(this.#fork)
    if (run.first > this.#tip.sequence + 1) {
      this.#wait(waiting)
      return
    }
    this.#putOn(waiting)
    this.#takeWaiting()
  }

  #takeWaiting(): void {
    for (let next = this.#loose[0]; next !== undefined; next = this.#loose[0]) {
      if (next.run.first > this.#tip.sequence + 1) return
      this.#loose.shift()
      this.#putOn(next)
    }
  }

  #wait(waiting: Waiting): void {
    let at = this.#loose.length
    while (at > 0 && (this.#loose[at - 1] as Waiting).run.first > waiting.run.first) at -= 1
    this.#loose.splice(at, 0, waiting)
  }

  #putOn({ run, again }: Waiting): void {
    const known = Math.min(run.last, this.#tip.sequence)
    let from = run.first
    if (known >= run.first) {
      if (!this.#isSame(run, known)) {
        this.#forkAt(run, known)
        return
      }
      this.#countAgain(run, known, again)
      if (known === run.last) return
      from = known + 1
    }
    const prevHash = from === run.first ? run.run.prevHash : run.hashOf(from - 1)
    if (prevHash !== this.#tip.hash) this.#unlink(run, from, prevHash)
    this.#extend(run, from)
  }

  #extend(run: PlacedRun, from: number): void {
    const { opened, checkpoint, closedAt, tree, to } = run.run
    if (from === 1 && opened === undefined) {
      this.#problem('unopened', 1, run.placeOf(1), 'the first record does not say that the trail was opened')
    }
    if (from === run.first && checkpoint !== undefined) this.#judge(run, checkpoint)
    const before = this.#tree === undefined ? undefined : new TreeRange(0, this.#tree.nodes())
    if (from === run.first) this.#tree?.join(tree)
    else for (let sequence = from; sequence <= run.last; sequence += 1) this.#tree?.append(leafOf(run.hashOf(sequence)))
    this.#lastRun = { run, from, before }
    this.#records.add(run, from)
    this.#tip = { sequence: run.last, hash: run.hashOf(run.last) }
    this.#closedAt = closedAt ?? this.#closedAt
    this.from ??= run.run.from
    this.to = to
    this.#compareWithExpected()
  }

  /** A trail whose older records were removed is judged from the first that is left. */
  #beginWith(run: PlacedRun): void {
    this.#tip = { sequence: run.first - 1, hash: run.run.prevHash }
    this.#begin = run.first
    this.removed = run.part.removed?.why
    this.#tree = undefined
    while (this.#expected[this.#nextExpected] !== undefined && this.#expectedSize() < run.first) this.#nextExpected += 1
  }

  #expectedSize(): number {
    return this.#expected[this.#nextExpected]?.size ?? Infinity
  }

  #compareWithExpected(): void {
    while (this.#expectedSize() <= this.#tip.sequence) {
      const expected = this.#expected[this.#nextExpected] as Expectation
      this.#nextExpected += 1
      if (expected.size === this.#tip.sequence && this.problems.length === 0) this.#compare(expected)
    }
  }

  #compare({ root, hash, by, from, size }: Expectation): void {
    const differs = hash === undefined ? undefined : hash !== this.#tip.hash
    const otherRoot = root === undefined || this.#tree === undefined ? undefined : !root.equals(this.#tree.root())
    if (differs === true || otherRoot === true) {
      const sinceText =
        this.provenTo === 0
          ? `one of its first ${size.toLocaleString('en')} records is`
          : `one of the records behind ${said(this.provenTo)} is`
      const place = this.lastPlace as Place
      this.#problem('rewritten', this.provenTo + 1, place, `${sinceText} not the one that ${by} has`, size)
      this.#giveUpTree()
      return
    }
    // A checkpoint that could not be computed again here proves nothing.
    if (differs === undefined && otherRoot === undefined) return
    if (this.#suspect !== undefined || from === 'archive') return
    this.provenTo = size
    this.provenBy = from
  }

  #judge(run: PlacedRun, checkpoint: NonNullable<PlacedRun['run']['checkpoint']>): void {
    const { first } = run
    const place = run.placeOf(first)
    this.#lastCheckpointAt = first
    if ('kind' in checkpoint) {
      this.#problem(checkpoint.kind, first, place, checkpoint.problem)
      return
    }
    if (this.#tree === undefined) {
      this.uncheckable += 1
      return
    }
    const isSame = this.#tree.root().equals(Buffer.from(checkpoint.root))
    if (this.#suspect !== undefined) this.#settle(isSame)
    else if (!isSame) this.#wrongRoot(checkpoint, place)
    if (isSame && this.problems.length === 0) {
      this.signed = { size: checkpoint.size, root: Buffer.from(checkpoint.root), key: checkpoint.signedBy }
    }
  }

  #wrongRoot({ size }: FoundCheckpoint, place: Place): void {
    if (this.problems.length > 0) return
    const since = (this.signed?.size ?? 0) + 1
    const which = since === size ? said(size) : `one of the records from ${said(since)} to ${said(size)}`
    const problem = `${which} is not the one that was signed: the checkpoint here has another root`
    this.#problem('checkpoint-wrong-root', since, place, problem, size)
    this.#giveUpTree()
  }

  /** A record does not name the one before it: either may be another than was written, and the next checkpoint tells which. */
  #unlink(run: PlacedRun, from: number, named: string): void {
    const place = run.placeOf(from)
    const before = this.placeOf(from - 1)
    if (this.problems.length > 0) return
    const problem = 'the record does not carry the hash of the one before it'
    const unlinked = this.#asProblem('unlinked', from, place, problem)
    const last = this.#lastRun
    if (before === undefined || last?.before === undefined || this.#suspect !== undefined) {
      this.problems.push(unlinked)
      this.#giveUpTree()
      return
    }
    const tree = last.before
    for (let sequence = last.from; sequence < from - 1; sequence += 1) tree.append(leafOf(last.run.hashOf(sequence)))
    tree.append(leafOf(named))
    this.#tree = tree
    const instead =
      'another record was put in this place: the next one, and the checkpoint that follows, name another hash'
    this.#suspect = { unlinked, replaced: this.#asProblem('altered', from - 1, before, instead) }
  }

  #settle(isSame: boolean): void {
    const suspect = this.#suspect
    if (suspect === undefined) return
    this.#suspect = undefined
    this.problems.push(isSame ? suspect.replaced : suspect.unlinked)
    this.#giveUpTree()
  }

  #forkAt(run: PlacedRun, known: number): void {
    let [low, high] = [run.first, known]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#isSame(run, middle)) low = middle + 1
      else high = middle
    }
    const place = this.placeOf(low)
    if (this.#fork !== undefined || place === undefined) return
    this.#giveUpTree()
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

  #countAgain(run: PlacedRun, upTo: number, again: boolean): void {
    const count = upTo - run.first + 1
    const { source } = run.part
    const isGivenUp = source === 'archive' && this.#isOfSegmentGivenUp(run)
    if (source === 'spool' || isGivenUp || (source === 'archive' && !again)) {
      this.met += count
      return
    }
    const place = run.placeOf(run.first)
    if (source === 'archive' || this.#once) {
      this.#problem('doubled', run.first, place, 'the record stands here again', upTo)
    }
    this.doubles ??= { count: 0, first: place, sequence: run.first }
    this.doubles.count += count
  }

  /** A writer that gives up a segment after a fault begins another one with what was not known to be durable. */
  #isOfSegmentGivenUp(run: PlacedRun): boolean {
    const file = this.placeOf(run.first)?.file
    return file !== undefined && file !== run.part.name && file.endsWith('.ndjson')
  }

  #isSame(run: PlacedRun, sequence: number): boolean {
    const hash = this.hashOf(sequence)
    if (hash !== undefined) return hash === run.hashOf(sequence)
    if (sequence < this.#begin) return true
    const problem = 'the record stands again so far behind its first place that the two cannot be compared'
    this.#problem('doubled', sequence, run.placeOf(sequence), problem)
    return true
  }

  #isKnown(sequence: number): boolean {
    if (sequence <= this.#tip.sequence) return true
    return this.#loose.some(({ run }) => run.first <= sequence && run.last >= sequence)
  }

  #orderOf({ part }: PlacedRun): StreamOrder {
    const known = this.streams.get(part.stream)
    if (known !== undefined) return known
    const order = new StreamOrder()
    this.streams.set(part.stream, order)
    return order
  }

  #giveUpTree(): void {
    this.#tree = undefined
  }

  #problem(kind: ProblemKind, sequence: number, place: Place, problem: string, to = sequence): void {
    this.problems.push(this.#asProblem(kind, sequence, place, problem, to))
  }

  #asProblem(kind: ProblemKind, sequence: number, place: Place, problem: string, to = sequence): Problem {
    return { kind, trail: this.trail, sequence, toSequence: to === sequence ? null : to, ...place, problem }
  }
}

export function said(sequence: number): string {
  return sequence === 0 ? 'nothing' : `sequence ${String(sequence)}`
}
