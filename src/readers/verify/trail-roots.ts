import type { FoundCheckpoint, Run } from './findings.ts'
import type { PlacedRun } from './placed-run.ts'
import { said, type ProblemList } from './problem-list.ts'
import type { Place, Problem } from './problem.ts'
import { leafOf, TreeRange } from './tree-range.ts'
import type { Vouched } from './vouched.ts'

/** The last checkpoint that agrees with the records. */
export interface Signed {
  readonly size: number
  readonly root: Buffer
  /** Null where signatures are not checked. */
  readonly key: string | null
}

/**
 * The Merkle tree of a trail as it grows, and the checkpoints that it is compared with. Where a record does not name the one before
 * it, the next checkpoint tells which of the two is another than was written: until then the tree stands for the second's word.
 */
export class TrailRoots {
  signed: Signed | undefined
  /** Checkpoints whose root cannot be computed here. */
  uncheckable = 0
  /** Sequence of the last checkpoint, whatever it is worth. */
  lastCheckpointAt = 0
  readonly #problems: ProblemList
  readonly #vouched: Vouched
  /** The key that the trail promised to sign with, or the first that did. */
  #key: string | undefined
  /** Undefined where the root cannot be known: the trail begins later here, or is broken. */
  #tree: TreeRange | undefined = new TreeRange(0)
  /** The last run that was put on, and the tree before it. */
  #last: { readonly run: PlacedRun; readonly from: number; readonly before: TreeRange | undefined } | undefined
  #suspect: { readonly unlinked: Problem; readonly replaced: Problem } | undefined

  constructor(problems: ProblemList, vouched: Vouched) {
    this.#problems = problems
    this.#vouched = vouched
  }

  get isSuspected(): boolean {
    return this.#suspect !== undefined
  }

  root(): Buffer | undefined {
    return this.#tree?.root()
  }

  /** Whether the trail says that its checkpoints are signed. */
  get promisesSigning(): boolean {
    return this.#key !== undefined
  }

  giveUp(): void {
    this.#tree = undefined
  }

  /** Adds the records of a run from `from` on. */
  extend(run: PlacedRun, from: number): void {
    const { checkpoint, tree } = run.run
    if (from === 1) this.#key = run.run.opened?.verifierKey
    if (from === run.first && checkpoint !== undefined) this.#judge(run, checkpoint)
    const before = this.#tree === undefined ? undefined : new TreeRange(0, this.#tree.nodes())
    if (from === run.first) this.#tree?.join(tree)
    else for (let sequence = from; sequence <= run.last; sequence += 1) this.#tree?.append(leafOf(run.hashOf(sequence)))
    this.#last = { run, from, before }
  }

  /** The record `from` of a run names `named`, which is not the hash of the one before it, at `before`. */
  unlink(run: PlacedRun, from: number, named: string, before: Place | undefined): void {
    if (!this.#problems.isEmpty) return
    const problem = 'the record does not carry the hash of the one before it'
    const unlinked = this.#problems.of('unlinked', from, run.placeOf(from), problem)
    const last = this.#last
    if (before === undefined || last?.before === undefined || this.#suspect !== undefined) {
      this.#problems.all.push(unlinked)
      this.giveUp()
      return
    }
    const tree = last.before
    for (let sequence = last.from; sequence < from - 1; sequence += 1) tree.append(leafOf(last.run.hashOf(sequence)))
    tree.append(leafOf(named))
    this.#tree = tree
    const instead =
      'another record was put in this place: the next one, and the checkpoint that follows, name another hash'
    this.#suspect = { unlinked, replaced: this.#problems.of('altered', from - 1, before, instead) }
  }

  /** A suspicion that no checkpoint has settled. */
  end(): void {
    if (this.#suspect !== undefined) this.#problems.all.push(this.#suspect.unlinked)
  }

  #judge(run: PlacedRun, checkpoint: NonNullable<Run['checkpoint']>): void {
    const { first } = run
    const place = run.placeOf(first)
    this.lastCheckpointAt = first
    if ('kind' in checkpoint) {
      this.#problems.add(checkpoint.kind, first, place, checkpoint.problem)
      return
    }
    if (checkpoint.signedBy !== null && checkpoint.signedBy !== (this.#key ??= checkpoint.signedBy)) {
      const problem = `${checkpoint.signedBy} signed it, but the trail is signed by ${this.#key}`
      this.#problems.add('checkpoint-wrong-key', first, place, problem)
      return
    }
    const root = this.root()
    if (root === undefined) {
      this.uncheckable += 1
      this.#vouched.upTo(first)
      return
    }
    const isSame = root.equals(Buffer.from(checkpoint.root))
    if (this.#suspect !== undefined) this.#settle(isSame)
    else if (!isSame) this.#wrongRoot(checkpoint, place)
    if (!isSame || !this.#problems.isEmpty) return
    this.signed = { size: checkpoint.size, root, key: checkpoint.signedBy }
    this.#vouched.upTo(first)
  }

  #settle(isSame: boolean): void {
    const suspect = this.#suspect
    if (suspect === undefined) return
    this.#suspect = undefined
    this.#problems.all.push(isSame ? suspect.replaced : suspect.unlinked)
    this.giveUp()
  }

  #wrongRoot({ size }: FoundCheckpoint, place: Place): void {
    if (!this.#problems.isEmpty) return
    const since = (this.signed?.size ?? 0) + 1
    const which = since === size ? said(size) : `one of the records from ${said(since)} to ${said(size)}`
    const problem = `${which} is not the one that was signed: the checkpoint here has another root`
    this.#problems.add('checkpoint-wrong-root', since, place, problem, size)
    this.giveUp()
  }
}
