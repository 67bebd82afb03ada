import type { TrailOpened } from '../../audit/event-data.ts'
import { formatSequence } from '../../audit/record.ts'
import type { TrailEnd } from './head.ts'
import type { Sql } from './sql.ts'

/** The spool's last trail with its end as it stands in the file; null where the spool has none. */
export function previousTrail(sql: Sql): TrailOpened['previous'] {
  const row = sql.get('SELECT trail, last_sequence, last_hash, closed FROM trails ORDER BY number DESC LIMIT 1')
  if (row === undefined) return null
  return {
    trail: String(row['trail']),
    sequence: formatSequence(Number(row['last_sequence'])),
    hash: String(row['last_hash']),
    closed: row['closed'] === 1,
  }
}

/** The ends of the trails that reach beyond `position`, in order of age. */
export function undeliveredTrails(sql: Sql, position: number): readonly TrailEnd[] {
  return sql.all(
    `SELECT trail, last_sequence AS sequence, last_hash AS hash, position FROM trails
      WHERE position > ? ORDER BY number`,
    position,
  ) as unknown as readonly TrailEnd[]
}

/** Trails without records that are remembered: others may know their ends, and say so at the next start. */
const remembered = 256

/** Forgets old trails of which the file holds nothing beyond `floor`. */
export function forgetTrails(sql: Sql, floor: number): void {
  sql.run(
    'DELETE FROM trails WHERE position <= ? AND number <= (SELECT max(number) FROM trails) - ?',
    ...[floor, remembered],
  )
}
