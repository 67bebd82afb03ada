import type { Assembly } from './assembly.ts'
import { asProblem, blame } from './blame.ts'
import type { Problem } from './problem.ts'
import type { TrailCheck } from './trail-check.ts'
import { TrailJudge } from './trail-judge.ts'
import { unsignedProblems } from './unsigned.ts'
import { notesOn, verifiedTrail, type VerifiedTrail } from './verified-trail.ts'

export interface Conclusion {
  readonly trails: readonly VerifiedTrail[]
  readonly problems: readonly Problem[]
  readonly notes: readonly string[]
}

/** Judges the trails when all their lines have been met. `isTrusted`: signatures were checked with keys that are trusted. */
export function conclude(assembly: Assembly, isTrusted: boolean): Conclusion {
  const { named } = assembly
  const blamed = blame(assembly.bad, assembly.trails)
  const checks = [...assembly.trails.values()].sort(byAge)
  const lost = checks.flatMap((check) => check.lost)
  const notes: string[] = []
  const found = new Map<string, readonly Problem[]>()
  for (const check of checks) {
    const own = blamed.filter(({ trail }) => trail === check.trail)
    const judge = new TrailJudge(check, named.get(check.trail) ?? [], own, lost)
    found.set(check.trail, judge.problems())
    notes.push(...judge.notes)
  }
  const isBroken = (trail: string): boolean => (found.get(trail)?.length ?? 0) > 0
  const unsigned = isTrusted ? unsignedProblems(checks, named, isBroken) : []
  for (const problem of unsigned) found.set(problem.trail, [problem])
  const trails = checks.map((check) => {
    const ends = named.get(check.trail) ?? []
    const trail = verifiedTrail(check, ends, !isBroken(check.trail))
    notes.push(...notesOn(check, trail, ends))
    return trail
  })
  const strays = blamed
    .filter(({ trail }) => trail === null || !assembly.trails.has(trail))
    .map((line, index) => asProblem(line, index === 0))
  return { trails, problems: [...[...found.values()].flat(), ...strays], notes }
}

/** A trail id ends with a UUIDv7, which grows with time. */
function byAge({ trail: a }: TrailCheck, { trail: b }: TrailCheck): number {
  const keys = [a, b].map((trail) => `${trail.slice(0, -36)}\n${trail.slice(-36)}`)
  return (keys[0] as string) < (keys[1] as string) ? -1 : 1
}
