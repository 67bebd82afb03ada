import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { firstPrevHash } from '../../audit/record.ts'
import { isEmpty, openDatabase, openReadOnly, versionOf } from './database.ts'
import { HeadFile, type TrailEnd } from './head.ts'
import { fileName, headName, laterTables, schemaVersion } from './schema.ts'
import { digestOf, Sql } from './sql.ts'
import { undeliveredTrails } from './trails.ts'

/** Brings the file of an earlier version up to this one, in one transaction. Throws what SQLite throws, and SPOOL_VERSION. */
export function migrate(dir: string): void {
  const path = join(dir, fileName)
  if (!existsSync(path) || statSync(path).size === 0 || !isEarlier(path)) return
  const sql = new Sql(openDatabase(path))
  try {
    sql.database.exec('BEGIN IMMEDIATE')
    toVersion2(sql)
    const committed = undeliveredTrails(sql, -1).at(-1) ?? null
    // Before the commit: from then on, a file without a head is one whose head was taken away.
    HeadFile.create(join(dir, headName), {
      committed,
      intended: committed,
      released: false,
      earlier: [],
      cursors: [],
    })
    sql.database.exec('COMMIT')
  } finally {
    sql.database.close()
  }
}

function isEarlier(path: string): boolean {
  const database = openReadOnly(path)
  try {
    return !isEmpty(database) && versionOf(database, path) < schemaVersion
  } finally {
    database.close()
  }
}

function toVersion2(sql: Sql): void {
  sql.database.exec(`
    ALTER TABLE trails RENAME TO trails1;
    ALTER TABLE cursors RENAME TO cursors1;
    ${laterTables()}
  `)
  const position = sql.number(
    `SELECT max(value) AS value FROM
       (SELECT max(position) AS value FROM records UNION ALL SELECT max(position) FROM cursors1)`,
  )
  moveTrails(sql, position ?? 0)
  moveCursors(sql)
  findHoles(sql)
  countExtent(sql, position ?? 0)
  sql.database.exec(`DROP TABLE trails1; DROP TABLE cursors1; PRAGMA user_version = ${schemaVersion}`)
}

/** Version 1 kept trails without records only where they were the last one. */
function moveTrails(sql: Sql, position: number): void {
  const rows = sql.all(
    `SELECT trail, last_sequence AS sequence, last_hash AS hash, closed,
            coalesce((SELECT max(position) FROM records WHERE records.trail = trails1.trail), ?) AS position
       FROM trails1 ORDER BY number`,
    position,
  ) as unknown as readonly (TrailEnd & { readonly closed: number })[]
  for (const { trail, sequence, hash, position: last, closed } of rows) {
    const values = [trail, sequence, sequence === 0 ? firstPrevHash : hash, last, closed] as const
    sql.run(
      'INSERT INTO trails (trail, last_sequence, last_hash, position, closed, digest) VALUES (?, ?, ?, ?, ?, ?)',
      ...[...values, digestOf(...values)],
    )
  }
}

function moveCursors(sql: Sql): void {
  for (const { sink, position } of sql.all('SELECT sink, position FROM cursors1')) {
    const values = [String(sink), Number(position), null] as const
    sql.run('INSERT INTO cursors (sink, position, mark, digest) VALUES (?, ?, ?, ?)', ...values, digestOf(...values))
  }
}

/** Version 1 could delete delivered records behind others that stayed. */
function findHoles(sql: Sql): void {
  const holes = sql.all(
    `SELECT * FROM (SELECT position + 1 AS first, lead(position) OVER (ORDER BY position) - 1 AS last FROM records)
      WHERE last >= first`,
  )
  for (const { first, last } of holes) {
    const values = [Number(first), Number(last)] as const
    sql.run('INSERT INTO holes (first, last, digest) VALUES (?, ?, ?)', ...values, digestOf(...values))
  }
}

function countExtent(sql: Sql, position: number): void {
  const first = sql.number('SELECT min(position) AS value FROM records')
  const waitingPosition = sql.number('SELECT min(position) AS value FROM cursors') ?? 0
  const waiting = sql.get(
    'SELECT count(*) AS records, coalesce(sum(octet_length(line)), 0) AS bytes FROM records WHERE position > ?',
    waitingPosition,
  )
  const bytes = sql.number('SELECT coalesce(sum(octet_length(line)), 0) AS value FROM records') ?? 0
  const floor = first === null ? position : first - 1
  const values = [
    ...[floor, position, bytes, waitingPosition],
    ...[Number(waiting?.['records']), Number(waiting?.['bytes'])],
  ] as const
  sql.run(
    `INSERT INTO extent
       (id, floor, position, bytes, waiting_position, waiting_records, waiting_bytes, digest) VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
    ...[...values, digestOf(...values)],
  )
}
