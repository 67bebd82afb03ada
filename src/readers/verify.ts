import { openedBy } from './members.ts'
import type { DataFolder, TrailSource } from './source.ts'
import { verifyTrail, type BadPlace, type NamedEnd, type VerifiedTrail } from './verify-trail.ts'

export interface Verification {
  /** `empty`: the folder holds no record, so there is nothing to verify. */
  readonly verdict: 'whole' | 'broken' | 'empty'
  readonly first: BadPlace | null
  /** The first bad place of each trail that is broken. */
  readonly bad: readonly BadPlace[]
  readonly trails: readonly VerifiedTrail[]
  readonly notes: readonly string[]
  readonly totals: {
    readonly trails: number
    readonly records: number
    readonly duplicates: number
    readonly segments: number
  }
}

/**
 * Verifies everything that a data folder keeps: the bytes of each record against its hash, sequence and chain of each
 * trail from its `opened` record, and the end of each trail against what the next one says of it. Without a signed
 * checkpoint this proves nothing against whoever can rewrite all of the folder.
 */
export async function verify(folder: DataFolder): Promise<Verification> {
  const ends = await namedEnds(folder.trails)
  const trails: VerifiedTrail[] = []
  const bad: BadPlace[] = []
  const notes = folder.unknown.map((name) => `archive/${name} is not a segment and was not read`)
  const hasArchive = folder.segments > 0
  for (const source of folder.trails) {
    const verdict = await verifyTrail(source, ends.get(source.trail) ?? [], hasArchive)
    trails.push(verdict.trail)
    if (verdict.bad !== undefined) bad.push(verdict.bad)
    notes.push(...verdict.notes)
  }
  const missing = missingTrails(folder.trails, ends)
  if (hasArchive) bad.push(...missing)
  else notes.push(...missing.map(({ trail }) => `${trail}: is not here: it has been delivered, or is missing`))
  notes.push(...notesOnEnds(trails, ends))
  const totals = {
    trails: trails.length,
    records: sum(trails.map(({ records }) => records)),
    duplicates: sum(trails.map(({ duplicates }) => duplicates)),
    segments: folder.segments,
  }
  const verdict = bad.length > 0 ? 'broken' : totals.records === 0 ? 'empty' : 'whole'
  return { verdict, first: bad[0] ?? null, bad, trails, notes, totals }
}

/** What the first record of each trail says of the end of the trail before it. */
async function namedEnds(trails: readonly TrailSource[]): Promise<Map<string, NamedEnd[]>> {
  const ends = new Map<string, NamedEnd[]>()
  for (const source of trails) {
    const first = await firstRecord(source)
    const previous = first?.opened.previous
    if (first === undefined || previous === null || previous === undefined) continue
    const { trail, sequence, hash } = previous
    ends.set(trail, [...(ends.get(trail) ?? []), { by: source.trail, where: first.where, sequence, hash }])
  }
  return ends
}

async function firstRecord(source: TrailSource) {
  for await (const { checked, where, torn } of source.lines()) {
    if (torn !== undefined) continue
    const opened = checked.ok && checked.place.sequence === 1 ? openedBy(checked.record) : undefined
    return opened === undefined ? undefined : { opened, where }
  }
  return undefined
}

function missingTrails(trails: readonly TrailSource[], ends: ReadonlyMap<string, readonly NamedEnd[]>): BadPlace[] {
  const there = new Set(trails.map(({ trail }) => trail))
  return [...ends].filter(([trail]) => !there.has(trail)).map(([trail, [end]]) => badMissing(trail, end as NamedEnd))
}

function badMissing(trail: string, { by, where, sequence }: NamedEnd): BadPlace {
  const problem = `the trail is missing with all its records, ${String(sequence)} by what ${by} says, which follows it`
  return { trail, sequence: 1, file: where.file, line: where.line, problem }
}

function notesOnEnds(trails: readonly VerifiedTrail[], ends: ReadonlyMap<string, readonly NamedEnd[]>): string[] {
  const notes: string[] = []
  for (const { trail, end, whole } of trails) {
    if (whole && end === 'open') {
      notes.push(`${trail}: end not proven: it is still being written, or nothing says what its last record was`)
    }
  }
  for (const [trail, named] of ends) {
    if (named.length > 1) notes.push(`${trail}: several trails say that they follow it: ${namesOf(named)}`)
  }
  return notes
}

function namesOf(ends: readonly NamedEnd[]): string {
  return ends.map(({ by }) => by).join(', ')
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
