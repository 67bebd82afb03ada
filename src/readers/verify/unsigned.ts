import type { NamedEnd } from './assembly.ts'
import { said } from './problem-list.ts'
import type { Problem } from './problem.ts'
import type { TrailCheck } from './trail-check.ts'

// A server signs each 1,000 records or 10 seconds, and by its settings never later than a tenth of this.

/** Most records in a row that nobody vouches for; over trails of a replica that follow each other. */
const mostRecords = 10_000
/**
 * How often, behind what is vouched for last, a record may have another minute (of `recordedat`) than the one before it. A clock that is
 * set, or a machine that was asleep, makes one more; a time in which records were written makes one for each minute.
 */
const mostMinutes = 10

/** The records at the end of a trail that nobody vouches for. */
interface Tail {
  readonly check: TrailCheck
  readonly from: number
  readonly count: number
  readonly minutes: number
}

/** A problem of a trail that is whole else. */
type TrailProblem = Problem & { readonly trail: string }

/**
 * Finds what nobody vouches for although an honest server would have signed it: what is left when somebody takes all checkpoints out of
 * a trail and chains it anew, which needs no key. A checkpoint of the trail that follows, over the record that names this trail's
 * end, vouches for all of this one, and for those before it. What is broken already is passed over.
 */
export function unsignedProblems(
  checks: readonly TrailCheck[],
  named: ReadonlyMap<string, readonly NamedEnd[]>,
  isBroken: (trail: string) => boolean,
): readonly TrailProblem[] {
  const byTrail = new Map(checks.map((check) => [check.trail, check]))
  const before = new Map<string, TrailCheck[]>()
  for (const [trail, ends] of named) {
    const check = byTrail.get(trail)
    for (const { by } of check === undefined ? [] : ends) {
      before.set(by, [...(before.get(by) ?? []), check as TrailCheck])
    }
  }
  const last = checks.filter(({ trail }) => (named.get(trail) ?? []).length === 0)
  return last.flatMap((check) => {
    const problem = problemIn(tailsUpTo(check, before, isBroken))
    return problem === undefined ? [] : [problem]
  })
}

/** The tails of a trail and of those before it, oldest first, back to the last record that somebody vouches for. */
function tailsUpTo(
  last: TrailCheck,
  before: ReadonlyMap<string, readonly TrailCheck[]>,
  isBroken: (trail: string) => boolean,
): readonly Tail[] {
  const tails: Tail[] = []
  const seen = new Set<TrailCheck>()
  const next = [last]
  for (let check; (check = next.shift()) !== undefined;) {
    if (seen.has(check) || isBroken(check.trail)) continue
    seen.add(check)
    tails.unshift(tailOf(check))
    if (check.vouched.to === 0) next.push(...(before.get(check.trail) ?? []))
  }
  return tails
}

function tailOf(check: TrailCheck): Tail {
  const { vouched, tip, begin } = check
  const from = Math.max(vouched.to + 1, begin)
  return { check, from, count: tip.sequence - from + 1, minutes: vouched.minutes }
}

function problemIn(tails: readonly Tail[]): TrailProblem | undefined {
  const count = tails.reduce((sum, tail) => sum + tail.count, 0)
  const left = tails.filter((tail) => tail.count > 0)
  const closed = left.find(({ check }) => check.closedUnsigned !== undefined)
  if (closed !== undefined) {
    const text = `the trail was closed, and no trusted checkpoint covers ${said(closed.from)} and what follows, as one does where a server closes it`
    return problemOf(closed, text)
  }
  const slow = left.find(({ minutes }) => minutes >= mostMinutes)
  const tail = slow ?? (count > mostRecords ? left[0] : undefined)
  if (tail === undefined) return undefined
  const extent = `${count.toLocaleString('en')} records${slow === undefined ? '' : ` in ${String(slow.minutes + 1)} minutes`}`
  return problemOf(
    tail,
    `no trusted checkpoint covers ${said(tail.from)} and what follows: ${extent}; servers sign far sooner`,
  )
}

function problemOf({ check, from }: Tail, problem: string): TrailProblem {
  const { sequence } = check.tip
  const place = check.placeOf(from) ?? check.lastPlace ?? { source: 'archive', file: check.trail, line: 0 }
  const toSequence = sequence === from ? null : sequence
  return { kind: 'unsigned', trail: check.trail, sequence: from, toSequence, ...place, problem }
}
