import type { PlacedBad } from './assembly.ts'
import { changedBit } from './changed-bit.ts'
import type { Problem } from './problem.ts'
import type { TrailCheck } from './trail-check.ts'

/** Where a line that is no record belongs, by what stands around it. */
export interface Blamed {
  readonly bad: PlacedBad
  readonly trail: string | null
  readonly sequence: number | null
}

/**
 * Says which record each bad line should be. What it claims itself is believed last: the first line before which records of a trail
 * are missing, in the same stream, is behind it, or none is.
 */
export function blame(bad: readonly PlacedBad[], trails: ReadonlyMap<string, TrailCheck>): readonly Blamed[] {
  const all = [...trails.values()]
  return bad.map((line) => {
    const { torn, found } = line
    if (torn !== undefined && found.trail !== null) return { bad: line, trail: found.trail, sequence: torn.expected }
    const own = line.found.trail === null ? undefined : trails.get(line.found.trail)
    const jump = (own && jumpAround(line, own)) ?? tightest(line, all)
    if (jump !== undefined) return { bad: line, trail: jump.trail, sequence: jump.sequence }
    const behind = own ?? lastBefore(line, all)
    const order = behind?.streams.get(line.stream)
    const claimed = own === undefined ? null : line.found.sequence
    if (behind === undefined || order === undefined) return { bad: line, trail: line.found.trail, sequence: claimed }
    return { bad: line, trail: behind.trail, sequence: line.position > order.topAt ? order.top + 1 : claimed }
  })
}

interface Found {
  readonly trail: string
  readonly sequence: number
  readonly after: number
}

function jumpAround({ stream, position }: PlacedBad, trail: TrailCheck): Found | undefined {
  const jump = trail.streams.get(stream)?.jumpAt(position)
  return jump && { trail: trail.trail, sequence: jump.from, after: jump.after }
}

function tightest(line: PlacedBad, trails: readonly TrailCheck[]): Found | undefined {
  const found = trails.map((trail) => jumpAround(line, trail)).filter((jump) => jump !== undefined)
  return found.toSorted((a, b) => b.after - a.after)[0]
}

/** The trail that the lines before it belong to, where none of it follows. */
function lastBefore({ stream, position }: PlacedBad, trails: readonly TrailCheck[]): TrailCheck | undefined {
  const topOf = (trail: TrailCheck): number => trail.streams.get(stream)?.topAt ?? Infinity
  return trails.filter((trail) => topOf(trail) < position).toSorted((a, b) => topOf(b) - topOf(a))[0]
}

/** `isNamed`: which bit was changed is looked for, which takes a while. */
export function asProblem({ bad, trail, sequence }: Blamed, isNamed = false): Problem {
  const { source, file, line, found, torn } = bad
  const bit = found.bytes === undefined || !isNamed ? undefined : changedBit(found.bytes)
  const problem =
    torn !== undefined ? 'the line is cut short' : bit === undefined ? found.problem : `${found.problem}: ${bit}`
  return {
    kind: torn !== undefined ? 'torn' : found.kind,
    trail,
    sequence,
    toSequence: null,
    source,
    file,
    line,
    problem,
  }
}
