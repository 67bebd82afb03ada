import { firstPrevHash } from '../../audit/record.ts'
import { CountersignError } from '../../errors.ts'
import { type LinePlace, placeOfRow } from './line-place.ts'
import type { Sql } from './sql.ts'
import type { SpooledRecord } from '../spooled-record.ts'

/** Ends of earlier reads that are remembered: each lane reads on from its own. */
const remembered = 32

interface Bounds {
  readonly floor: number
  readonly position: number
}

/**
 * Reads records so that none is handed out that was altered, and none is passed over that is missing: each has the hash that it
 * carries and the hash of the one before it, stands in its place, and positions go on without holes but the known ones.
 */
export class CheckedReader {
  readonly #sql: Sql
  readonly #ends = new Map<number, LinePlace>()

  constructor(sql: Sql) {
    this.#sql = sql
  }

  /** Up to `limit` records after `position`, in order. Throws SPOOL_DAMAGED for what does not fit, and what SQLite throws. */
  after(position: number, limit: number): readonly SpooledRecord[] {
    const { database } = this.#sql
    // One view of the file: its writer deletes from the front meanwhile.
    database.exec('BEGIN')
    try {
      return this.#read(position, limit)
    } finally {
      database.exec('ROLLBACK')
    }
  }

  /** Forgets what it read: the file may have been changed under it. */
  forget(): void {
    this.#ends.clear()
  }

  #read(after: number, limit: number): readonly SpooledRecord[] {
    const bounds = this.#bounds()
    const rows = this.#sql.all(
      'SELECT position, trail, sequence, line FROM records WHERE position > ? ORDER BY position LIMIT ?',
      ...[after, limit],
    ) as unknown as readonly SpooledRecord[]
    const start = Math.max(after, bounds.floor)
    let before = this.#placeAt(start, bounds)
    let expected = start + 1
    for (const row of rows) {
      const place = placeOfRow(row)
      if (place === undefined)
        throw damaged(row.position, 'does not have the hash, or stands not in the place, that it carries')
      if (row.position !== expected) {
        this.#passHole(expected, row.position - 1)
        before = undefined
      }
      if (before !== undefined && !follows(place, before))
        throw damaged(row.position, 'does not follow the one before it')
      before = place
      expected = row.position + 1
    }
    if (rows.length < limit && expected <= bounds.position) this.#passHole(expected, bounds.position)
    if (before !== undefined) this.#remember(expected - 1, before)
    return rows
  }

  #bounds(): Bounds {
    const row = this.#sql.get('SELECT floor, position FROM extent')
    return (row as unknown as Bounds | undefined) ?? { floor: 0, position: 0 }
  }

  /** The record that a read goes on from; undefined where it is gone. */
  #placeAt(position: number, { floor }: Bounds): LinePlace | undefined {
    if (position <= floor) return undefined
    const known = this.#ends.get(position)
    if (known !== undefined) return known
    const row = this.#sql.get('SELECT trail, sequence, line FROM records WHERE position = ?', position)
    return row === undefined ? undefined : placeOfRow(row as unknown as SpooledRecord)
  }

  #passHole(from: number, to: number): void {
    const hole = this.#sql.get('SELECT first, last FROM holes WHERE first <= ? ORDER BY first DESC LIMIT 1', from)
    if (hole !== undefined && Number(hole['last']) >= to) return
    throw new CountersignError(
      'SPOOL_DAMAGED',
      `the spool has no records at positions ${from} to ${to}, and should have`,
    )
  }

  #remember(position: number, place: LinePlace): void {
    this.#ends.delete(position)
    this.#ends.set(position, place)
    const [oldest] = this.#ends.keys()
    if (this.#ends.size > remembered && oldest !== undefined) this.#ends.delete(oldest)
  }
}

function follows(place: LinePlace, before: LinePlace): boolean {
  if (place.trail !== before.trail) return place.sequence === 1 && place.prevHash === firstPrevHash
  return place.sequence === before.sequence + 1 && place.prevHash === before.hash
}

function damaged(position: number, how: string): CountersignError {
  return new CountersignError('SPOOL_DAMAGED', `the record at position ${position} of the spool ${how}`)
}
