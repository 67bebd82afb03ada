import type { Sql } from '../file/sql.ts'
import type { SpooledRecord } from '../spooled-record.ts'

/** A row as it was read, whatever it is worth. */
export interface FoundRow extends SpooledRecord {
  readonly recorded_ms: number
}

/** Positions that are read at once, as long as that works. */
const span = 1024
/** After so many reads that failed, the rest is left to those who read the file's bytes. */
const mostFailures = 20_000

/**
 * Reads what SQLite can read of the records at positions `from` to `to`, both included. Where it fails, the range is read in halves:
 * one page that cannot be read costs what stands on it.
 */
export function* readableRows(sql: Sql, from: number, to: number): Generator<FoundRow> {
  const reading = { failures: 0 }
  for (let at = from; at <= to;) {
    const end = Math.min(to, at + span - 1)
    const rows = tryRows(sql, at, end)
    yield* rows ?? halves(sql, at, end, reading)
    at = nextFrom(sql, end, to) ?? to + 1
    if (reading.failures > mostFailures) return
  }
}

function* halves(sql: Sql, from: number, to: number, reading: { failures: number }): Generator<FoundRow> {
  reading.failures += 1
  if (from === to || reading.failures > mostFailures) return
  const middle = Math.floor((from + to) / 2)
  for (const [low, high] of [
    [from, middle],
    [middle + 1, to],
  ] as const) {
    yield* tryRows(sql, low, high) ?? halves(sql, low, high, reading)
  }
}

function tryRows(sql: Sql, from: number, to: number): readonly FoundRow[] | undefined {
  try {
    return sql.all(
      'SELECT position, trail, sequence, recorded_ms, line FROM records WHERE position BETWEEN ? AND ? ORDER BY position',
      ...[from, to],
    ) as unknown as readonly FoundRow[]
  } catch {
    return undefined
  }
}

/** Where reading goes on: at the next record, so that long stretches without any cost nothing. */
function nextFrom(sql: Sql, after: number, to: number): number | undefined {
  try {
    const next = sql.number(
      'SELECT position AS value FROM records WHERE position > ? AND position <= ? ORDER BY position LIMIT 1',
      ...[after, to],
    )
    return next ?? undefined
  } catch {
    return after + 1
  }
}
