import { DatabaseSync } from 'node:sqlite'
import { makePrivate, makeTables } from './database.ts'
import { readExtent } from './holdings.ts'
import type { Sql } from './sql.ts'

/** What is known beside the records; few rows each. */
const small = ['trails', 'cursors', 'extent', 'holes', 'findings'] as const
/** Positions that are copied at once. */
const span = 4096

/**
 * Copies what some sink lacks, and what is known of it, from an open file to a new one at `path`: what every sink has would need time
 * and room for nothing. Where it fails amid the records, because the disk is full, those before stay in the copy: each tells by itself
 * what it is worth. The copy is not synced. Throws what SQLite throws before the first record.
 */
export function copyWaiting(sql: Sql, path: string): void {
  makePrivate(path)
  const copy = new DatabaseSync(path)
  try {
    makeTables(copy)
  } finally {
    copy.close()
  }
  const { database } = sql
  sql.run('ATTACH ? AS copy', path)
  try {
    database.exec('PRAGMA copy.synchronous = OFF')
    for (const table of small) database.exec(`INSERT INTO copy.${table} SELECT * FROM main.${table}`)
    copyRecords(sql)
  } finally {
    database.exec('DETACH copy')
  }
}

function copyRecords(sql: Sql): void {
  const { waitingPosition, position } = readExtent(sql)
  try {
    for (let at = waitingPosition; at < position; at += span) {
      sql.run(
        'INSERT INTO copy.records SELECT * FROM main.records WHERE position > ? AND position <= ?',
        ...[at, Math.min(at + span, position)],
      )
    }
  } catch {
    // What is there by now is better than nothing.
  }
}
