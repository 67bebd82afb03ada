import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { TrailGap } from '../../audit/event-data.ts'
import { firstPrevHash } from '../../audit/record.ts'
import { openReadOnly } from '../file/database.ts'
import { type HeadCursor, type HeadReading, readHead, type TrailEnd } from '../file/head.ts'
import { isNewer } from '../file/inspect.ts'
import type { KnownEnd, SpoolOpening } from '../protocol.ts'
import { type DigestedTable, digestFits } from '../file/row-digests.ts'
import { fileName, headName, rescueName } from '../file/schema.ts'
import { type Row, Sql } from '../file/sql.ts'
import type { SetAside } from './set-aside.ts'

/** One database that was set aside, as far as it can be opened. */
export interface Source {
  readonly path: string
  readonly sql: Sql | undefined
}

/** What is known of one trail. */
export interface TrailEvidence {
  readonly trail: string
  /** Position of a record of it minus its sequence: the same for all of them. Null where nobody knows. */
  readonly base: number | null
  /** The last sequence that anybody knows of. */
  readonly sequence: number
  /** Whether no later record was ever acknowledged. */
  readonly isExact: boolean
  /** The last sequence whose hash is known, and that hash. */
  readonly named: { readonly sequence: number; readonly hash: string }
  readonly closed: boolean
  /** The highest sequence that a sink is known to have; 0 where none is. */
  readonly delivered: number
}

/** Everything that is known of a spool beside its records. */
export interface Evidence {
  readonly head: HeadReading
  readonly sources: readonly Source[]
  readonly cursors: readonly HeadCursor[]
  /** Every sink has the records up to this position. */
  readonly delivered: number
  /** In order of age. */
  readonly trails: readonly TrailEvidence[]
  /** The last position that may have been used. */
  readonly position: number
  /** Ranges of positions that earlier gaps have named. */
  readonly holes: readonly { readonly first: number; readonly last: number }[]
  /** Gaps that an earlier rescue found, and that no trail has told of yet. */
  readonly findings: readonly TrailGap[]
}

/** Gathers what the head, the files, and others know. Close the sources after use. */
export function gatherEvidence(opening: SpoolOpening, { folder }: SetAside): Evidence {
  const head = readHead(join(folder, headName))
  const sources = [rescueName, fileName]
    .map((name) => openSource(join(folder, name)))
    .filter((one) => one !== undefined)
  const cursors = gatherCursors(opening, head, sources)
  const delivered = cursors.length === 0 ? 0 : Math.min(...cursors.map(({ position }) => position))
  const trails = gatherTrails(opening, head, sources)
  const ends = trails.map(({ base, sequence }) => (base ?? 0) + sequence)
  const intended = head.kind === 'read' ? (head.state.intended?.position ?? 0) : 0
  const used = sources.map(({ sql }) => Number(rowsOf(sql, 'extent')[0]?.['position'] ?? 0))
  const position = Math.max(...ends, ...cursors.map((cursor) => cursor.position), ...used, intended, 0)
  const holes = sources.flatMap(({ sql }) => rowsOf(sql, 'holes') as unknown as { first: number; last: number }[])
  const findings = new Set(sources.flatMap(({ sql }) => rowsOf(sql, 'findings').map((row) => String(row['gap']))))
  const gaps = [...findings].map((gap) => JSON.parse(gap) as TrailGap)
  return { head, sources, cursors, delivered, trails, position, holes, findings: gaps }
}

function openSource(path: string): Source | undefined {
  if (!existsSync(path)) return existsSync(`${path}-wal`) ? { path, sql: undefined } : undefined
  try {
    return { path, sql: new Sql(openReadOnly(path)) }
  } catch {
    return { path, sql: undefined }
  }
}

/** The rows that are as their writer left them; none where the table cannot be read. */
function rowsOf(sql: Sql | undefined, table: DigestedTable): readonly Row[] {
  const rows: Row[] = []
  try {
    for (const row of sql?.iterate(`SELECT * FROM ${table}`) ?? []) if (digestFits(table, row)) rows.push(row)
  } catch {
    // What was read so far is as good as it is.
  }
  return rows
}

/** Of each sink of the settings, how far anybody knows it to be. */
function gatherCursors(opening: SpoolOpening, head: HeadReading, sources: readonly Source[]): readonly HeadCursor[] {
  const all = [
    ...(head.kind === 'read' ? head.state.cursors : []),
    ...sources.flatMap(({ sql }) => rowsOf(sql, 'cursors') as unknown as HeadCursor[]),
  ]
  return opening.sinks.flatMap((name) => {
    const own = all.filter(({ sink }) => sink === name)
    const furthest = own.reduce<HeadCursor | undefined>(
      (one, other) => (one === undefined || other.position > one.position ? other : one),
      undefined,
    )
    return furthest === undefined ? [] : [{ sink: name, position: furthest.position, mark: furthest.mark }]
  })
}

/** What one witness says of a trail. */
interface Testimony {
  readonly end: Omit<TrailEnd, 'hash' | 'position'> & { readonly hash: string | null; readonly position: number | null }
  readonly closed: boolean
  readonly by: 'file' | 'head' | 'latest head' | KnownEnd['from']
}

function gatherTrails(
  { known }: SpoolOpening,
  head: HeadReading,
  sources: readonly Source[],
): readonly TrailEvidence[] {
  const byHead: readonly TrailEnd[] =
    head.kind === 'read'
      ? [...head.state.earlier, ...(head.state.committed === null ? [] : [head.state.committed])]
      : []
  const isLatest = head.kind === 'read' && head.isLatest
  const said: readonly Testimony[] = [
    ...sources.flatMap(({ sql }) => rowsOf(sql, 'trails').map(testimonyOfRow)),
    ...byHead.map((end) => ({ end, closed: false, by: isLatest ? ('latest head' as const) : ('head' as const) })),
    ...known.map(({ from, ...end }) => ({
      end: { ...end, position: end.position ?? null },
      closed: false,
      by: from,
    })),
  ]
  const names = [...new Set(said.map(({ end }) => end.trail))]
  const trails = names.map((trail) =>
    joined(
      trail,
      said.filter(({ end }) => end.trail === trail),
    ),
  )
  return trails.sort(byAge)
}

function testimonyOfRow(row: Row): Testimony {
  const end = {
    trail: String(row['trail']),
    sequence: Number(row['last_sequence']),
    hash: String(row['last_hash']),
    position: Number(row['position']),
  }
  return { end, closed: row['closed'] === 1, by: 'file' }
}

/** Whoever knows of more is right; nobody acknowledged more than the writer says that it did. */
function joined(trail: string, said: readonly Testimony[]): TrailEvidence {
  const sequence = Math.max(...said.map(({ end }) => end.sequence))
  const named = said
    .filter(({ end }) => end.hash !== null && end.sequence <= sequence)
    .reduce((one, { end }) => (end.sequence >= one.sequence ? { sequence: end.sequence, hash: end.hash ?? '' } : one), {
      sequence: 0,
      hash: firstPrevHash,
    })
  const placed = said.find(({ end }) => end.position !== null)?.end
  return {
    trail,
    base: placed === undefined ? null : (placed.position ?? 0) - placed.sequence,
    sequence,
    isExact: said.some(({ by, end }) => by === 'writer' || (by === 'latest head' && end.sequence === sequence)),
    named,
    closed: said.some(({ closed }) => closed),
    delivered: Math.max(0, ...said.filter(({ by }) => by === 'archive').map(({ end }) => end.sequence)),
  }
}

/** Positions and ids both grow with time; of a trail that only others know, there is no position. */
export function byAge(one: TrailEvidence, other: TrailEvidence): number {
  if (one.base !== null && other.base !== null) return one.base - other.base
  return isNewer(one.trail, other.trail) ? 1 : -1
}
