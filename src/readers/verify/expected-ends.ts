import type { Expectation } from './expectation.ts'
import type { IsGone } from './gone.ts'
import { said, type ProblemList } from './problem-list.ts'
import { placed, type Place } from './problem.ts'
import type { Vouched } from './vouched.ts'

/** A trail as it is up to one of its records. */
export interface Reached {
  readonly sequence: number
  readonly hash: string
  /** Undefined where it cannot be known. */
  readonly root: () => Buffer | undefined
  readonly place: Place
}

/** Compares a trail with what an earlier run, outside checkpoints and manifests know of it. */
export class ExpectedEnds {
  /** Up to which sequence an earlier run or an outside checkpoint agrees. */
  provenTo = 0
  provenBy: 'state' | 'checkpoints' | undefined
  /** In order of their sizes. */
  readonly #expected: readonly Expectation[]
  readonly #problems: ProblemList
  readonly #vouched: Vouched
  readonly #isGone: IsGone
  #next = 0

  constructor(expected: readonly Expectation[], problems: ProblemList, vouched: Vouched, isGone: IsGone) {
    this.#expected = expected
    this.#problems = problems
    this.#vouched = vouched
    this.#isGone = isGone
  }

  /** The hashes that are expected, by sequence. */
  get hashes(): Map<number, string> {
    return new Map(this.#expected.flatMap(({ size, hash }) => (hash === undefined ? [] : [[size, hash]])))
  }

  /** Passes over what speaks of records before the first one that is left, at `place`: they must have gone as agreed. */
  beginWith(sequence: number, prevHash: string, place: Place): void {
    for (; this.#nextSize < sequence; this.#next += 1) {
      const { size, hash, by, place: last } = this.#expected[this.#next] as Expectation
      if (hash !== undefined && last !== undefined && !this.#isGone(last)) {
        const problem = `${by} has ${said(size)} at ${placed(last)}, from where nothing was removed as agreed`
        this.#problems.add('missing', size, place, problem, sequence - 1)
      } else if (hash !== undefined && size === sequence - 1 && hash !== prevHash) {
        const problem = `the first record that is left names another one before it than ${by} has`
        this.#problems.add('rewritten', size, place, problem)
      }
    }
  }

  /** Compares where a trail has got as far as somebody knows it. MUST be asked at each expected size. Says whether all agree. */
  compare(reached: Reached, isJudged: boolean, isSuspected: boolean): boolean {
    let agree = true
    while (this.#nextSize <= reached.sequence) {
      const expected = this.#expected[this.#next] as Expectation
      this.#next += 1
      if (!isJudged || !agree || expected.size !== reached.sequence) continue
      agree = this.#agrees(expected, reached, isSuspected)
    }
    return agree
  }

  /** What is expected and was not reached is cut off. */
  end(last: number, lastPlace: Place | undefined): void {
    const beyond = this.#expected.slice(this.#next).find(({ size }) => size > last)
    if (beyond === undefined) return
    const { size, by, from } = beyond
    const problem = `the trail ends with ${said(last)}, but ${by} has ${size.toLocaleString('en')} records of it`
    const kind = from === 'archive' ? 'truncated' : 'rolled-back'
    this.#problems.add(kind, last + 1, lastPlace ?? { source: from, file: from, line: 0 }, problem, size)
  }

  get #nextSize(): number {
    return this.#expected[this.#next]?.size ?? Infinity
  }

  #agrees({ root, hash, by, from, size }: Expectation, reached: Reached, isSuspected: boolean): boolean {
    const own = root && reached.root()
    const isSame = hash === undefined ? undefined : hash === reached.hash
    const isSameRoot = root === undefined || own === undefined ? undefined : root.equals(own)
    if (isSame === false || isSameRoot === false) {
      const which =
        this.provenTo === 0
          ? `one of its first ${size.toLocaleString('en')} records is`
          : `one of the records behind ${said(this.provenTo)} is`
      const problem = `${which} not the one that ${by} has`
      this.#problems.add('rewritten', this.provenTo + 1, reached.place, problem, size)
      return false
    }
    // A checkpoint that could not be computed again here proves nothing.
    if ((isSame ?? isSameRoot) === undefined || isSuspected || from === 'archive') return true
    this.provenTo = size
    this.provenBy = from
    this.#vouched.upTo(size)
    return true
  }
}
