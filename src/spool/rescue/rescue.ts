import { join } from 'node:path'
import { openDatabase } from '../file/database.ts'
import { addFinding } from '../file/findings.ts'
import { syncFile } from '../folder.ts'
import { HeadFile, type TrailEnd } from '../file/head.ts'
import { placeOf } from '../file/line-place.ts'
import type { SpoolOpening } from '../protocol.ts'
import { fileName, headName } from '../file/schema.ts'
import { digestOf, Sql } from '../file/sql.ts'
import { byAge, type Evidence, gatherEvidence, type TrailEvidence } from './evidence.ts'
import { missingGaps } from './missing.ts'
import { Rebuild } from './rebuild.ts'
import { newPath, putInPlace, type SetAside } from './set-aside.ts'

/**
 * Makes a new file of what was set aside: every intact record that a sink lacks, in its place, and a gap for each range that is missing,
 * for the next trail to begin with. Records that were kept for replay alone stay where they are.
 */
export function rescue(opening: SpoolOpening, aside: SetAside, now: Date): void {
  const { dir } = opening
  const evidence = gatherEvidence(opening, aside)
  const path = newPath(dir, fileName)
  const sql = new Sql(openDatabase(path))
  try {
    const rebuild = new Rebuild(sql, evidence)
    rebuild.run()
    const trails = asFound(sql, evidence, rebuild.bases())
    sql.database.exec('BEGIN')
    const missing = missingGaps(sql, evidence, trails, aside.reason, now)
    for (const gap of [...evidence.findings, ...missing]) addFinding(sql, gap)
    const end = saveTrails(sql, trails)
    saveCursors(sql, evidence)
    saveExtent(sql, evidence)
    sql.database.exec('COMMIT')
    HeadFile.create(newPath(dir, headName), {
      committed: end,
      intended: end,
      released: false,
      earlier: [],
      cursors: evidence.cursors,
    })
  } finally {
    sql.database.close()
    for (const source of evidence.sources) source.sql?.database.close()
  }
  syncFile(join(path))
  putInPlace(dir)
}

/** What is known of each trail, with what its records themselves say. */
function asFound(sql: Sql, { trails }: Evidence, bases: ReadonlyMap<string, number>): readonly TrailEvidence[] {
  const found = new Map(
    sql
      .all('SELECT trail, max(sequence) AS last FROM records GROUP BY trail')
      .map((row) => [String(row['trail']), row]),
  )
  const names = new Set([...trails.map(({ trail }) => trail), ...found.keys()])
  return [...names]
    .map((trail) => {
      const known = trails.find((one) => one.trail === trail) ?? unknownTrail(trail)
      const last = Number(found.get(trail)?.['last'] ?? 0)
      const withBase = { ...known, base: known.base ?? bases.get(trail) ?? null }
      const named = last > known.named.sequence ? { sequence: last, hash: hashAt(sql, trail, last) } : known.named
      return { ...withBase, sequence: Math.max(last, known.sequence), named }
    })
    .sort(byAge)
}

function unknownTrail(trail: string): TrailEvidence {
  return {
    trail,
    base: null,
    sequence: 0,
    isExact: false,
    named: { sequence: 0, hash: '' },
    closed: false,
    delivered: 0,
  }
}

function hashAt(sql: Sql, trail: string, sequence: number): string {
  const row = sql.get('SELECT line FROM records WHERE trail = ? AND sequence = ?', trail, sequence)
  return placeOf(String(row?.['line']))?.hash ?? ''
}

/** The last one is the trail that the next one names. */
function saveTrails(sql: Sql, trails: readonly TrailEvidence[]): TrailEnd | null {
  let end: TrailEnd | null = null
  for (const { trail, named, base, closed } of trails) {
    const position = (base ?? 0) + named.sequence
    const values = [trail, named.sequence, named.hash, position, closed ? 1 : 0] as const
    sql.run(
      'INSERT INTO trails (trail, last_sequence, last_hash, position, closed, digest) VALUES (?, ?, ?, ?, ?, ?)',
      ...[...values, digestOf(...values)],
    )
    end = { trail, sequence: named.sequence, hash: named.hash, position }
  }
  return end
}

function saveCursors(sql: Sql, { cursors }: Evidence): void {
  for (const { sink, position, mark } of cursors) {
    sql.run(
      'INSERT INTO cursors (sink, position, mark, digest) VALUES (?, ?, ?, ?)',
      ...[sink, position, mark, digestOf(sink, position, mark)],
    )
  }
}

/** Every position behind what was delivered is a record's, or in a hole. */
function saveExtent(sql: Sql, { delivered, position }: Evidence): void {
  const last = Math.max(position, sql.number('SELECT max(position) AS value FROM records') ?? 0)
  const holes = sql.all(
    `SELECT * FROM (
       SELECT position + 1 AS first, lead(position, 1, ? + 1) OVER (ORDER BY position) - 1 AS last
         FROM (SELECT ? AS position UNION ALL SELECT position FROM records))
      WHERE last >= first`,
    ...[last, delivered],
  )
  for (const { first, last: upTo } of holes) {
    const values = [Number(first), Number(upTo)] as const
    sql.run('INSERT INTO holes (first, last, digest) VALUES (?, ?, ?)', ...values, digestOf(...values))
  }
  const counts = sql.get('SELECT count(*) AS records, coalesce(sum(octet_length(line)), 0) AS bytes FROM records')
  const [records, bytes] = [Number(counts?.['records']), Number(counts?.['bytes'])]
  const values = [delivered, last, bytes, delivered, records, bytes] as const
  sql.run(
    `INSERT INTO extent
       (id, floor, position, bytes, waiting_position, waiting_records, waiting_bytes, digest) VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
    ...[...values, digestOf(...values)],
  )
}
