import type { Assembly, NamedEnd } from './assembly.ts'
import type { Expectation, Expectations } from './expectation.ts'
import { goneFrom, type IsGone } from './gone.ts'
import type { Part } from './part.ts'
import type { Place, Problem, ProblemKind } from './problem.ts'
import { said } from './problem-list.ts'
import type { TrailCheck } from './trail-check.ts'

/** What is wrong with a trail's end, by what the trails that follow it say. */
export function problemsOfEnd(check: TrailCheck, named: readonly NamedEnd[]): Problem[] {
  const { trail, tip } = check
  const problem = (
    kind: ProblemKind,
    sequence: number,
    place: Place | undefined,
    text: string,
    to = sequence,
  ): Problem => {
    const at = place ?? check.lastPlace ?? (named[0] as NamedEnd).place
    return { kind, trail, sequence, toSequence: to === sequence ? null : to, ...at, problem: text }
  }
  return named.flatMap(({ by, sequence, hash }) => {
    if (sequence > tip.sequence) {
      const text = `the trail ends with ${said(tip.sequence)}, but ${by} names ${said(sequence)} as its last`
      return [problem('truncated', tip.sequence + 1, undefined, text, sequence)]
    }
    const here = check.hashOf(sequence)
    if (here !== undefined && here !== hash) {
      const text = `${by} names another hash for this record`
      return [problem('rewritten', sequence, check.placeOf(sequence), text)]
    }
    if (sequence === tip.sequence) return []
    const text = `the trail goes on, but ${by} names ${said(sequence)} as its last`
    return [problem('continued', sequence + 1, check.placeOf(sequence + 1), text)]
  })
}

/** Trails that others name, or that were known before, and that are nowhere. */
export interface MissingTrails {
  readonly problems: readonly Problem[]
  readonly notes: readonly string[]
}

export function missingTrails(
  { trails, named, replicas }: Assembly,
  expectations: Expectations,
  parts: readonly Part[],
): MissingTrails {
  const problems: Problem[] = []
  const notes: string[] = []
  const why = parts.find(({ removed }) => removed !== undefined)?.removed?.why
  const isGone = goneFrom(parts)
  for (const trail of new Set([...named.keys(), ...expectations.trails()])) {
    if (trails.has(trail)) continue
    const known = expectations.of(trail)
    const expected = known.at(-1)
    const end = named.get(trail)?.[0]
    // Older records go first: where some of an older trail are left, this one has not gone as agreed.
    const hasPlace = known.some(({ place }) => place !== undefined)
    const isBetween =
      !hasPlace && (end === undefined ? replicas.hasOlderAll(trail) : replicas.hasOlder(end.place.file, trail))
    if (why !== undefined && !isBetween && mayBeGone(known, isGone)) {
      notes.push(`${trail}: is not here: ${why}, or it is missing`)
      continue
    }
    const size = expected?.size ?? end?.sequence ?? 0
    const by = expected?.by ?? `${end?.by ?? ''}, which follows it,`
    const saidAt = expected?.saidAt ?? { source: expected?.from ?? 'state', file: by, line: 0 }
    const place = expected?.place ?? end?.place ?? saidAt
    const problem = `the trail is missing with all its records: ${by} has ${size.toLocaleString('en')} of them`
    problems.push({ kind: 'missing-trail', trail, sequence: 1, toSequence: size, ...place, problem })
  }
  return { problems, notes }
}

/** Whether a trail may have gone as agreed: wherever somebody knows that a record of it stood, that place must have been removed. */
function mayBeGone(known: readonly Expectation[], isGone: IsGone): boolean {
  return known.every(({ place }) => place === undefined || isGone(place))
}
