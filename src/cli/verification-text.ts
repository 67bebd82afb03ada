import type { VerifiedTrail } from '../readers/verify/verified-trail.ts'
import type { Problem } from '../readers/verify/problem.ts'
import type { Verification } from '../readers/verify/verify.ts'
import { counted, printTable, visible, wide, type Column } from './print.ts'

const trailColumns: readonly Column[] = [
  { title: 'TRAIL', shrinksTo: 12 },
  { title: 'RECORDS', right: true },
  { title: 'FROM' },
  { title: 'TO' },
  { title: 'SIGNED', right: true },
  { title: 'END' },
]

/** Lines of notes that are printed; `--json` has them all. */
const mostNotes = 40

/** The result of verifying for people: the trails, what is worth noting, and the verdict in words. */
export function verificationText(result: Verification, columns?: number): string {
  const inFull = columns === undefined || columns >= wide
  const rows = result.trails.map((trail) => trailCells(trail, inFull))
  const table = rows.length === 0 ? '' : `${printTable(trailColumns, rows, columns)}\n\n`
  return `${table}${notesText(result.notes)}${verdictText(result)}`
}

function trailCells(
  { trail, records, from, to, end, endProven, whole, signed }: VerifiedTrail,
  inFull: boolean,
): string[] {
  // Replica, and both ends of the UUID.
  const name = inFull ? trail : `${trail.slice(0, -28)}…${trail.slice(-8)}`
  const state = whole ? (endProven ? 'proven' : end) : 'BROKEN'
  const covered = typeof signed?.key !== 'string' ? '-' : signed.size.toLocaleString('en')
  return [name, records.toLocaleString('en'), minuteOf(from, inFull), minuteOf(to, inFull), covered, state]
}

function minuteOf(time: string | null, inFull: boolean): string {
  return time === null ? '-' : `${time.slice(inFull ? 0 : 5, 10)} ${time.slice(11, 16)}`
}

function notesText(notes: readonly string[]): string {
  const shown = notes.slice(0, mostNotes).map((note) => `Note: ${visible(note)}\n`)
  if (notes.length > mostNotes) shown.push(`Note: ${counted(notes.length - mostNotes, 'more note')}, with --json\n`)
  return shown.join('')
}

function verdictText({ verdict, bad, totals, trails }: Verification): string {
  switch (verdict) {
    case 'whole':
      return `Whole: ${counted(totals.records, 'record')} in ${counted(totals.trails, 'trail')}; every hash, sequence and link holds${duplicatesIn(totals.duplicates)}${unsignedIn(trails)}.`
    case 'broken':
      return bad.map((problem, index) => `${index === 0 ? 'BROKEN: ' : 'Also: '}${problemText(problem)}`).join('\n')
    case 'empty':
      return 'Nothing to verify: there is no record.'
  }
}

function duplicatesIn(count: number): string {
  return count === 0 ? '' : ` (${counted(count, 'record')} met again, byte for byte the same)`
}

/** What a whole result does not say, where no signature stands behind any of it. */
function unsignedIn(trails: readonly VerifiedTrail[]): string {
  if (trails.some(({ signed }) => typeof signed?.key === 'string')) return ''
  return trails.some(({ signed }) => signed !== null) ? '; no signature was checked' : '; no checkpoint signs any of it'
}

/** One problem in words: what it is, of which record, and where. */
export function problemText({ kind, trail, sequence, toSequence, file, line, problem }: Problem): string {
  const which = sequence === null ? '' : `, sequence ${String(sequence)}`
  const to = toSequence === null ? '' : ` to ${String(toSequence)}`
  const whose = trail === null ? 'of no trail that can be told' : `trail ${trail}${which}${to}`
  return visible(`${kind}: ${whose}, at ${file}:${String(line)}: ${problem}`)
}
