import type { ParsedRecord } from '../../audit/chain.ts'
import { firstPrevHash } from '../../audit/record.ts'
import { type LinePlace, placeOf, placeOfRow } from '../file/line-place.ts'
import type { Sql } from '../file/sql.ts'
import type { SpooledRecord } from '../spooled-record.ts'
import { type CarvedLine, carveLines } from './carve.ts'
import type { Evidence, TrailEvidence } from './evidence.ts'
import { readableRows } from './rows.ts'

/** Records are put into the new file this many at a time. */
const batch = 4096

/**
 * Puts every intact record that some sink lacks into the new file, in its old place. A record is intact where its bytes have the hash
 * that it carries and the record behind it, where there is one, names that hash.
 */
export class Rebuild {
  readonly #sql: Sql
  readonly #evidence: Evidence
  /** Position minus sequence, of each trail. */
  readonly #bases = new Map<string, number>()
  readonly #limits: ReadonlyMap<string, number>
  #writes = 0

  constructor(sql: Sql, evidence: Evidence) {
    this.#sql = sql
    this.#evidence = evidence
    for (const { trail, base } of evidence.trails) if (base !== null) this.#bases.set(trail, base)
    // Where the head is readable, what is beyond everybody's knowledge was never committed.
    this.#limits =
      evidence.head.kind === 'read'
        ? new Map(evidence.trails.map(({ trail, sequence }) => [trail, sequence]))
        : new Map<string, number>()
  }

  run(): void {
    this.#sql.database.exec('BEGIN')
    for (const { sql } of this.#evidence.sources) if (sql !== undefined) this.#takeRows(sql)
    if (this.#isIncomplete()) this.#takeCarved()
    this.#sql.database.exec('COMMIT')
  }

  /** What the rows alone say of the trails that they belong to. */
  bases(): ReadonlyMap<string, number> {
    return this.#bases
  }

  #takeRows(sql: Sql): void {
    const { delivered, position } = this.#evidence
    let held: { readonly row: SpooledRecord; readonly place: LinePlace } | undefined
    for (const row of readableRows(sql, delivered + 1, this.#lastIn(sql) ?? position)) {
      const place = placeOfRow(row)
      if (place === undefined) continue
      if (held !== undefined && !isContradicted(held.place, place)) this.#put(held.place, held.row.line)
      this.#bases.set(place.trail, this.#bases.get(place.trail) ?? row.position - place.sequence)
      held = { row, place }
    }
    if (held !== undefined) this.#put(held.place, held.row.line)
  }

  #lastIn(sql: Sql): number | undefined {
    try {
      return sql.number('SELECT max(position) AS value FROM records') ?? undefined
    } catch {
      return undefined
    }
  }

  /** Reading all bytes takes long: it is done only where something is missing, or may be. */
  #isIncomplete(): boolean {
    const { head, trails, delivered, holes } = this.#evidence
    if (head.kind !== 'read') return true
    return trails.some(({ trail, sequence }) => {
      const base = this.#bases.get(trail)
      if (base === undefined) return false
      const first = Math.max(delivered, base) + 1
      const expected = Math.max(0, base + sequence - first + 1)
      const named = holes.filter(({ first: from }) => from > base && from <= base + sequence)
      const known = named.reduce((sum, hole) => sum + hole.last - hole.first + 1, 0)
      const found = this.#sql.number('SELECT count(*) AS value FROM records WHERE trail = ?', trail) ?? 0
      return found + known < expected
    })
  }

  #takeCarved(): void {
    this.#sql.database.exec(
      'CREATE TEMP TABLE carved (trail TEXT, sequence INTEGER, hash TEXT, prev_hash TEXT, line TEXT, PRIMARY KEY (trail, sequence, hash))',
    )
    for (const { path } of this.#evidence.sources) for (const line of carveLines(path)) this.#hold(line)
    this.#placeUnknownTrails()
    const trails = this.#sql.all('SELECT DISTINCT trail FROM carved')
    for (const { trail } of trails) this.#takeTrail(String(trail))
    this.#sql.database.exec('DROP TABLE carved')
  }

  #hold({ place: { trail, sequence, hash, prevHash }, line }: CarvedLine): void {
    if (sequence > (this.#limits.get(trail) ?? (this.#limits.size > 0 ? 0 : Infinity))) return
    const base = this.#bases.get(trail)
    if (base !== undefined && (base + sequence <= this.#evidence.delivered || this.#has(base + sequence))) return
    this.#sql.run('INSERT OR IGNORE INTO carved VALUES (?, ?, ?, ?, ?)', trail, sequence, hash, prevHash, line)
    this.#step()
  }

  #has(position: number): boolean {
    return this.#sql.get('SELECT 1 AS value FROM records WHERE position = ?', position) !== undefined
  }

  /** Trails of which nobody knows where they stood follow each other, by age, behind all that is known. */
  #placeUnknownTrails(): void {
    const rows = this.#sql.all(
      'SELECT trail, max(sequence) AS last FROM carved GROUP BY trail ORDER BY substr(trail, -36)',
    )
    let end = Math.max(this.#evidence.position, this.#sql.number('SELECT max(position) AS value FROM records') ?? 0)
    for (const { trail, last } of rows) {
      if (this.#bases.has(String(trail))) continue
      this.#bases.set(String(trail), end)
      end += Number(last)
    }
  }

  /** From the end back: each record names the hash of the one before it, and so tells which of several candidates is the one. */
  #takeTrail(trail: string): void {
    const rows = this.#sql.iterate(
      'SELECT sequence, hash, line FROM carved WHERE trail = ? ORDER BY sequence DESC, rowid DESC',
      trail,
    )
    const end = this.#evidence.trails.find((one) => one.trail === trail)
    for (const { sequence, hash, line } of rows) {
      const wanted = this.#hashAt(trail, Number(sequence), end)
      if (wanted !== undefined && wanted !== hash) continue
      this.#put(placeOf(String(line)) as LinePlace, String(line))
    }
  }

  /** The hash that a record has to have, by what stands behind it, or at the end. */
  #hashAt(trail: string, sequence: number, end: TrailEvidence | undefined): string | undefined {
    const base = this.#bases.get(trail) ?? 0
    const next = this.#sql.get(
      'SELECT trail, sequence, line FROM records WHERE position = ? AND trail = ?',
      base + sequence + 1,
      trail,
    )
    const place = next === undefined ? undefined : placeOf(String(next['line']))
    if (place !== undefined) return place.prevHash
    return end?.named.sequence === sequence ? end.named.hash : undefined
  }

  #put(place: LinePlace, line: string): void {
    const base = this.#bases.get(place.trail)
    if (base === undefined || !this.#belongs(place, base)) return
    const end = this.#evidence.trails.find(({ trail }) => trail === place.trail)?.named
    if (end?.sequence === place.sequence && end.hash !== place.hash) return
    const recordedMs = Date.parse((JSON.parse(line) as ParsedRecord).recordedat)
    this.#sql.run(
      'INSERT OR IGNORE INTO records (position, trail, sequence, recorded_ms, line) VALUES (?, ?, ?, ?, ?)',
      ...[base + place.sequence, place.trail, place.sequence, recordedMs, line],
    )
    this.#step()
  }

  /** A trail that the head does not know, at positions that it does know, is another spool's. */
  #belongs({ trail, sequence, prevHash }: LinePlace, base: number): boolean {
    const { head, trails, delivered } = this.#evidence
    if (base + sequence <= delivered || (sequence === 1 && prevHash !== firstPrevHash)) return false
    if (head.kind !== 'read' || head.state.committed === null) return true
    const ours = [...head.state.earlier, head.state.committed]
    if (ours.some((end) => end.trail === trail)) return true
    const lowest = Math.min(...ours.map((end) => end.position - end.sequence))
    return trails.some((one) => one.trail === trail) && base + sequence <= lowest
  }

  /** One transaction for all would have to be held in memory. */
  #step(): void {
    this.#writes += 1
    if (this.#writes % batch === 0) this.#sql.database.exec('COMMIT; BEGIN')
  }
}

/** Whether the record behind one says that another stood in its place. */
function isContradicted(place: LinePlace, next: LinePlace): boolean {
  return next.trail === place.trail && next.sequence === place.sequence + 1 && next.prevHash !== place.hash
}
