import type { TrailGap } from '../../audit/event-data.ts'
import { digestOf, type Sql } from './sql.ts'

/** Puts a gap that was found where the next trail takes it from. */
export function addFinding(sql: Sql, gap: TrailGap): void {
  const text = JSON.stringify(gap)
  sql.run('INSERT INTO findings (gap, digest) VALUES (?, ?)', text, digestOf(text))
}

/** Takes out what was found before, in order; the caller writes it in the same transaction. */
export function takeFindings(sql: Sql): readonly TrailGap[] {
  const gaps = readFindings(sql)
  sql.run('DELETE FROM findings')
  return gaps
}

/** What was found and no trail has told of yet, in order. */
export function readFindings(sql: Sql): readonly TrailGap[] {
  return sql.all('SELECT gap FROM findings ORDER BY number').map((row) => JSON.parse(String(row['gap'])) as TrailGap)
}
