import type { BadLine, BlockFindings, Run } from './findings.ts'
import type { Expectations } from './expectation.ts'
import type { IsGone } from './gone.ts'
import { KnownRecords } from './known-records.ts'
import { positionIn, type Part, type PartBlock } from './part.ts'
import { numberOf, PlacedRun } from './placed-run.ts'
import type { Place } from './problem.ts'
import { ReplicaOrder } from './replica-order.ts'
import { TrailCheck } from './trail-check.ts'

/** A line that is no record in its place, where it stands. */
export interface PlacedBad extends Place {
  readonly stream: string
  readonly position: number
  readonly found: BadLine
  /** Set where the part ends in the middle of the line: the sequence that belongs there, and where its record stands whole. */
  readonly torn?: { readonly expected: number; whole?: Place }
}

/** What the first record of a trail says of the end of the one before it. */
export interface NamedEnd {
  readonly by: string
  readonly place: Place
  readonly sequence: number
  readonly hash: string
}

const mostBad = 1000

/** The trails as they are put together, from the findings of all blocks in the order of the parts. */
export class Assembly {
  readonly trails = new Map<string, TrailCheck>()
  /** The first of the bad lines. */
  readonly bad: PlacedBad[] = []
  badLines = 0
  readonly named = new Map<string, NamedEnd[]>()
  readonly replicas = new ReplicaOrder()
  readonly #records: KnownRecords
  readonly #expectations: Expectations
  readonly #once: boolean
  readonly #isGone: IsGone
  /** How many lines of each part were taken. */
  readonly #lines = new Map<Part, number>()
  /** A spool is read before the archive, so that nothing is missed that moves meanwhile; and belongs behind it. */
  readonly #behind: PlacedRun[] = []

  constructor(expectations: Expectations, once: boolean, isGone: IsGone, records = new KnownRecords()) {
    this.#expectations = expectations
    this.#once = once
    this.#isGone = isGone
    this.#records = records
  }

  /** Takes the findings of the next block of a part. */
  take(part: Part, block: Omit<PartBlock, 'bytes' | 'ends'>, findings: BlockFindings): void {
    const before = this.#lines.get(part) ?? 0
    this.#lines.set(part, before + findings.lines)
    const numbers = block.numbers ?? before
    if (block.damaged !== undefined) {
      const found = { line: findings.lines, problem: block.damaged, trail: block.trail ?? null, sequence: null }
      this.#addBad(part, numberOf(numbers, findings.lines), { kind: 'malformed', ...found })
    }
    for (const run of findings.runs) {
      if (block.rows !== undefined) this.#compareRows(part, numbers, run, block.rows)
      const placed = new PlacedRun(run, part, numbers)
      if (part.source === 'spool') this.#behind.push(placed)
      else this.#takeRun(placed)
    }
    for (const found of findings.bad) {
      const isTorn = block.torn === true && found.line === findings.lines - 1
      const expected = isTorn ? this.#nextIn(part, block.trail, findings) : undefined
      this.#addBad(part, numberOf(numbers, found.line), found, expected)
    }
  }

  /** The sequence that follows the last record of a part. */
  #nextIn(part: Part, trail: string | undefined, { runs }: BlockFindings): number {
    const last = runs.at(-1)
    if (last !== undefined) return last.first + last.lines.length
    return (this.trails.get(trail ?? '')?.streams.get(part.stream)?.top ?? 0) + 1
  }

  /** Nothing follows. */
  end(): void {
    for (const placed of this.#behind.splice(0)) {
      // What was freed while the spool was read: rows behind it may have gone unread.
      const isFreed = placed.lineOf(placed.last) < (placed.part.removed?.line ?? 0)
      if (!isFreed) this.#takeRun(placed)
    }
  }

  #takeRun(placed: PlacedRun): void {
    const { run } = placed
    const place = placed.placeOf(run.first)
    if (run.opened?.previous !== undefined && run.opened.previous !== null) {
      const { trail, sequence, hash } = run.opened.previous
      this.#addNamed(trail, { by: run.trail, place, sequence, hash })
    }
    const trail = this.#trail(run.trail)
    for (const lost of run.lost) trail.lost.push({ ...lost, place, by: run.trail })
    const isOldest = this.replicas.meets(placed.part.name, run.trail)
    trail.take(placed, isOldest && placed.part.removed !== undefined)
  }

  #addNamed(trail: string, end: NamedEnd): void {
    const known = this.named.get(trail) ?? []
    if (!known.some(({ by, hash, sequence }) => by === end.by && hash === end.hash && sequence === end.sequence)) {
      this.named.set(trail, [...known, end])
    }
  }

  #trail(id: string): TrailCheck {
    const known = this.trails.get(id)
    if (known !== undefined) return known
    const trail = new TrailCheck(id, this.#records.ofTrail(), {
      expected: this.#expectations.of(id),
      once: this.#once,
      isGone: this.#isGone,
    })
    this.trails.set(id, trail)
    return trail
  }

  #addBad(part: Part, line: number, found: BadLine, expected?: number): void {
    this.badLines += 1
    if (this.bad.length === mostBad) return
    const torn = expected === undefined ? {} : { torn: { expected } }
    const { source, name: file, stream } = part
    this.bad.push({ source, file, line, stream, position: positionIn(part, line), found, ...torn })
  }

  /** What a spool's row says beside its line has to be what the line says. */
  #compareRows(part: Part, numbers: Float64Array | number, run: Run, rows: NonNullable<PartBlock['rows']>): void {
    for (const [index, line] of run.lines.entries()) {
      const row = rows[line]
      const sequence = run.first + index
      if (row?.trail === run.trail && row.sequence === sequence) continue
      const problem = `the spool keeps the record as number ${String(row?.sequence)} of trail ${String(row?.trail)}`
      const found = { line, kind: 'misplaced', problem, trail: run.trail, sequence } as const
      this.#addBad(part, numberOf(numbers, line), found)
    }
  }
}
