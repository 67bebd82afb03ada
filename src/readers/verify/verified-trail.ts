import type { NamedEnd } from './assembly.ts'
import { said } from './problem-list.ts'
import type { Place } from './problem.ts'
import type { TrailCheck } from './trail-check.ts'

/** One trail, as far as it is whole. */
export interface VerifiedTrail {
  readonly trail: string
  readonly whole: boolean
  /** Records that were judged: up to the first problem. */
  readonly records: number
  /** Records that came more than once. */
  readonly duplicates: number
  readonly firstSequence: number | null
  readonly lastSequence: number | null
  readonly lastHash: string | null
  /** Whether its last record says that its writer closed it. */
  readonly closed: boolean
  /** What within the data speaks for its end: the trail that follows names it, or the closing record; else nothing does. */
  readonly end: 'named' | 'closed' | 'open'
  /** Up to which sequence an earlier run or an outside checkpoint vouches for it; 0 where none does. */
  readonly provenTo: number
  readonly provenBy: 'state' | 'checkpoints' | null
  readonly endProven: boolean
  /** The last checkpoint that agrees with the records. `key` is null where signatures were not checked. */
  readonly signed: { readonly size: number; readonly root: string; readonly key: string | null } | null
  /** Where its last record stands. */
  readonly lastPlace: Place | null
  /** `recordedat` of the first and the last record. */
  readonly from: string | null
  readonly to: string | null
}

export function endOf({ closed }: TrailCheck, named: readonly NamedEnd[]): VerifiedTrail['end'] {
  return named.length > 0 ? 'named' : closed ? 'closed' : 'open'
}

export function verifiedTrail(check: TrailCheck, named: readonly NamedEnd[], whole: boolean): VerifiedTrail {
  const { tip, begin, doubles, expected } = check
  const { signed } = check.roots
  const isEmpty = tip.sequence < begin
  return {
    trail: check.trail,
    whole,
    records: tip.sequence - begin + 1,
    duplicates: doubles.met + doubles.count,
    firstSequence: isEmpty ? null : begin,
    lastSequence: isEmpty ? null : tip.sequence,
    lastHash: isEmpty ? null : tip.hash,
    closed: check.closed,
    end: endOf(check, named),
    provenTo: expected.provenTo,
    provenBy: expected.provenBy ?? null,
    endProven: whole && expected.provenTo === tip.sequence,
    signed: signed === undefined ? null : { ...signed, root: signed.root.toString('base64') },
    lastPlace: check.lastPlace ?? null,
    from: check.from,
    to: check.to,
  }
}

/** What speaks for an end that nothing outside the data proves. */
const evidence = {
  named: 'the trail that follows names it',
  closed: 'its last record closes it',
  open: 'it is still being written, or nothing says what its last record was',
}

/** What is worth saying of a trail, and is no failure. */
export function notesOn(check: TrailCheck, trail: VerifiedTrail, named: readonly NamedEnd[]): string[] {
  const { begin, removed, doubles } = check
  const { uncheckable } = check.roots
  const notes: string[] = []
  if (doubles.first !== undefined) {
    const { place, sequence } = doubles.first
    const at = `first ${said(sequence)}, at ${place.file}:${String(place.line)}`
    notes.push(`${counted(doubles.count)} met again, byte for byte the same, as delivery at least once allows; ${at}`)
  }
  if (begin > 1) {
    const roots = uncheckable === 0 ? '' : `; the roots of ${String(uncheckable)} of its checkpoints are not checkable`
    notes.push(`begins with ${said(begin)}: ${removed ?? ''}${roots}`)
    if (trail.signed === null) notes.push('no signature proves any of what is left: it could have been written anew')
  }
  if (trail.whole && !trail.endProven) {
    const proven = trail.provenTo === 0 ? '' : ` behind ${said(trail.provenTo)}`
    const signed = begin === 1 && trail.signed === null ? '; no checkpoint signs any of it' : ''
    notes.push(`end not proven${proven}: ${evidence[trail.end]}${signed}`)
  }
  if (named.length > 1) {
    notes.push(`several trails say that they follow it: ${named.map(({ by }) => by).join(', ')}`)
  }
  return notes.map((note) => `${trail.trail}: ${note}`)
}

function counted(count: number): string {
  return count === 1 ? '1 record was' : `${count.toLocaleString('en')} records were`
}
