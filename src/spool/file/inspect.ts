import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { TrailGap } from '../../audit/event-data.ts'
import { CountersignError, type ErrorCode } from '../../errors.ts'
import { CheckedReader } from './checked-reader.ts'
import { isEmpty, openReadOnly, versionOf } from './database.ts'
import { spoolFault } from './faults.ts'
import { readFindings } from './findings.ts'
import type { HeadReading, TrailEnd } from './head.ts'
import { readExtent } from './holdings.ts'
import { placeOfRow } from './line-place.ts'
import type { KnownEnd, SpoolOpening } from '../protocol.ts'
import { digestsFit } from './row-digests.ts'
import { fileName, rescueName, schemaVersion } from './schema.ts'
import { quickCheck } from './spool-file.ts'
import { Sql } from './sql.ts'
import { undeliveredTrails } from './trails.ts'

/** Whether what lies in the spool's folder can be gone on with. */
export type Verdict =
  | { readonly kind: 'sound' }
  | {
      readonly kind: 'unsound'
      readonly reason: 'SPOOL_DAMAGED' | 'SPOOL_REPLACED'
      readonly why: string
    }

/** How long records that wait for a sink are read at the start, in milliseconds; the rest is read later, in steps. */
const startMs = 700
const recordsPerRead = 1024
/** Records at the end that are read in any case. */
const endRecords = 256

/**
 * Looks at the database as it was found, without changing it, and at what the head and others know of it. Throws SPOOL_VERSION for
 * a later version's, and retryable errors: they say nothing of the file.
 */
export function inspect(opening: SpoolOpening, head: HeadReading): Verdict {
  const { dir, distrust, known } = opening
  if (exists(join(dir, rescueName))) return unsound('SPOOL_REPLACED', 'the file was taken away under its writer')
  if (!exists(join(dir, fileName))) return inspectAbsence(head, known, join(dir, fileName))
  if (distrust !== null && !isFresh(join(dir, fileName))) return unsound('SPOOL_DAMAGED', distrust)
  if (head.kind === 'absent') return unsound('SPOOL_DAMAGED', 'the file’s head is gone')
  if (head.kind === 'damaged') return unsound('SPOOL_DAMAGED', 'the file’s head is damaged')
  try {
    inspectDatabase(join(dir, fileName), head.state.committed, known)
    return { kind: 'sound' }
  } catch (thrown) {
    const fault = spoolFault('cannot read the spool', thrown)
    if (fault.code === 'SPOOL_VERSION' || fault.retryable) throw fault
    return unsound(isReplacement(fault.code) ? 'SPOOL_REPLACED' : 'SPOOL_DAMAGED', fault.message)
  }
}

function inspectAbsence(head: HeadReading, known: readonly KnownEnd[], path: string): Verdict {
  const expected = head.kind === 'read' ? head.state.committed : null
  if (expected !== null) return unsound('SPOOL_REPLACED', `${path} is gone`)
  if (known.length > 0) return unsound('SPOOL_REPLACED', `${path} is gone: others know of records that were in it`)
  if (exists(`${path}-wal`)) return unsound('SPOOL_REPLACED', `${path} is gone, but not its journal`)
  return head.kind === 'damaged'
    ? unsound('SPOOL_DAMAGED', `${path} is gone, and its head is damaged`)
    : { kind: 'sound' }
}

function inspectDatabase(path: string, committed: TrailEnd | null, known: readonly KnownEnd[]): void {
  const sql = new Sql(openReadOnly(path))
  try {
    if (isEmpty(sql.database) && committed === null && known.length === 0) return
    if (versionOf(sql.database, path) !== schemaVersion) throw damaged(`${path} has no version`)
    quickCheck(sql, path)
    if (!digestsFit(sql)) throw damaged('a row of the spool was altered')
    compareWithHead(sql, committed)
    compareEnds(sql, committed)
    compareWithKnown(sql, known)
    readRecords(sql)
  } finally {
    sql.database.close()
  }
}

/** A power failure can take the head's last words, so the file may hold more than the head knows, but never less. */
function compareWithHead(sql: Sql, committed: TrailEnd | null): void {
  const { position } = readExtent(sql)
  if (committed === null || position >= committed.position) return
  throw rolledBack(`the spool ends with position ${position}; its head knows of ${committed.position}`)
}

/** Trails, counts and records have to say the same of where the file ends. */
function compareEnds(sql: Sql, committed: TrailEnd | null): void {
  const { position, floor } = readExtent(sql)
  const trails = undeliveredTrails(sql, -1)
  const newest = trails.at(-1)
  if ((newest?.position ?? 0) !== position && !isInHole(sql, position))
    throw damaged('the spool does not end where its last trail ends')
  const last = sql.number('SELECT max(position) AS value FROM records')
  if (last !== null && last > position) throw damaged('the spool holds records beyond its end')
  const first = sql.number('SELECT min(position) AS value FROM records')
  if (first !== null && first <= floor) throw damaged('the spool holds records that were deleted')
  for (const trail of trails) compareEnd(sql, trail, floor)
  if (committed !== null) compareEnd(sql, committed, floor)
}

function compareEnd(sql: Sql, { position, sequence, hash, trail }: TrailEnd, floor: number): void {
  if (position <= floor || isInHole(sql, position)) return
  const row = sql.get('SELECT trail, sequence, line FROM records WHERE position = ?', position)
  const place = row === undefined ? undefined : placeOfRow(row as never)
  if (place?.trail === trail && place.sequence === sequence && place.hash === hash) return
  throw damaged(`the spool has not the record ${sequence} of ${trail} that it should have`)
}

function isInHole(sql: Sql, position: number): boolean {
  return sql.get('SELECT 1 AS value FROM holes WHERE first <= ? AND last >= ?', position, position) !== undefined
}

/** Others may know older trails, which were delivered and forgotten here; none may know more of a trail that is remembered. */
function compareWithKnown(sql: Sql, known: readonly KnownEnd[]): void {
  const trails = undeliveredTrails(sql, -1)
  const { floor } = readExtent(sql)
  const findings = readFindings(sql)
  for (const { trail, sequence, hash, from } of known) {
    const own = trails.find((one) => one.trail === trail)
    if (own === undefined) {
      if (isNewer(trail, trails.at(-1)?.trail))
        throw rolledBack(`the spool does not know ${trail}, which ${from} knows`)
      continue
    }
    if (own.sequence < sequence && !findings.some((gap) => names(gap, trail, sequence)))
      throw rolledBack(`${from} knows record ${sequence} of ${trail}; the spool ends it at ${own.sequence}`)
    const position = own.position - own.sequence + sequence
    if (hash !== null) compareEnd(sql, { trail, sequence, hash, position }, floor)
  }
}

/** Whether a gap that is still to be told names this record as missing. */
function names({ trail: of, toSequence }: TrailGap, trail: string, sequence: number): boolean {
  return of === trail && toSequence !== null && Number(toSequence) >= sequence
}

/**
 * Whether the file was made by a rescue and no trail has begun in it: then it has never been written to by those who distrust it, and a
 * second rescue would only make another copy.
 */
function isFresh(path: string): boolean {
  try {
    const sql = new Sql(openReadOnly(path))
    try {
      return readFindings(sql).length > 0
    } finally {
      sql.database.close()
    }
  } catch {
    return false
  }
}

const idLength = 36

/** Trail ids end with a UUIDv7, which grows with time. */
export function isNewer(trail: string, other: string | undefined): boolean {
  return other === undefined || trail.slice(-idLength) > other.slice(-idLength)
}

/** The end of the file, and what waits for a sink, as far as the time goes. */
function readRecords(sql: Sql): void {
  const { position, floor, waitingPosition } = readExtent(sql)
  const reader = new CheckedReader(sql)
  reader.after(Math.max(floor, position - endRecords), endRecords + 1)
  const end = performance.now() + startMs
  let at = Math.max(floor, waitingPosition)
  while (at < position && performance.now() < end) at = reader.after(at, recordsPerRead).at(-1)?.position ?? position
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}

function unsound(reason: 'SPOOL_DAMAGED' | 'SPOOL_REPLACED', why: string): Verdict {
  return { kind: 'unsound', reason, why }
}

function damaged(message: string): CountersignError {
  return new CountersignError('SPOOL_DAMAGED', message)
}

function rolledBack(message: string): CountersignError {
  return new CountersignError('SPOOL_REPLACED', message)
}

function isReplacement(code: ErrorCode): boolean {
  return code === 'SPOOL_REPLACED'
}
