import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { CountersignError } from '../errors.ts'
import { openReadOnly } from './file/database.ts'
import { spoolFault } from './file/faults.ts'
import { readHead } from './file/head.ts'
import { openForReading } from './file/open.ts'
import { fileName, headName, rescueName } from './file/schema.ts'
import { Sql } from './file/sql.ts'
import { previousTrail } from './file/trails.ts'
import { folderOfSetAside, newPath } from './rescue/set-aside.ts'

/** A spool that no server holds any more, as it was left. */
export interface LeftBehind {
  /** Name of the replica whose trails stand in it; null where there is none. */
  readonly replica: string | null
  /** Names of the sinks that lack some of them. */
  readonly lacking: readonly string[]
  /** Otherwise the next opening makes a new file of what is left, and `lacking` is what the head or a copy knew of. */
  readonly isReadable: boolean
}

/** What all versions of the file have: where everything was delivered there may be no record any more. */
const lastPosition = `
  (SELECT max(value) FROM (SELECT max(position) AS value FROM records UNION ALL SELECT max(position) FROM cursors))`

/** `-` and a UUID, which follow the replica's name in the id of a trail. */
const idLength = 37

/** Whether `dir` is a spool's folder: it holds the file, or what tells that there was one. */
export function isLeftBehind(dir: string): boolean {
  return isBeingReplaced(dir) || [fileName, headName].some((name) => existsSync(join(dir, name)))
}

/**
 * Looks at the spool in `dir` without changing it, whether or not a server holds it, and whichever version wrote it; undefined where
 * there is none. Throws SPOOL_VERSION, SPOOL_FAILED, or SPOOL_DAMAGED where nothing names the replica any more.
 */
export function readLeftBehind(dir: string): LeftBehind | undefined {
  try {
    if (isBeingReplaced(dir)) return readRemains(dir) ?? nameless(dir)
    return readFile(dir) ?? readRemains(dir)
  } catch (thrown) {
    throw spoolFault('cannot read the spool', thrown)
  }
}

/** Whether the next opening replaces the file, whatever it is. */
function isBeingReplaced(dir: string): boolean {
  const signs = [join(dir, rescueName), newPath(dir, fileName)]
  return folderOfSetAside(dir) !== undefined || signs.some((path) => existsSync(path))
}

function readFile(dir: string): LeftBehind | undefined {
  try {
    const database = openForReading(dir)
    return database && readDatabase(database)
  } catch (thrown) {
    const fault = spoolFault('cannot read the spool', thrown)
    const remains = fault.code === 'SPOOL_VERSION' || fault.retryable ? undefined : readRemains(dir)
    if (remains === undefined) throw fault
    return remains
  }
}

/** Closes the database. */
function readDatabase(database: DatabaseSync): LeftBehind {
  try {
    const sql = new Sql(database)
    const lacking = sql.all(`SELECT sink FROM cursors WHERE position < ${lastPosition} ORDER BY sink`)
    const replica = replicaOf(previousTrail(sql)?.trail)
    return { replica, lacking: lacking.map(({ sink }) => String(sink)), isReadable: true }
  } finally {
    database.close()
  }
}

/** What stands beside the file, or was set aside with it; undefined where nothing names the replica. */
function readRemains(dir: string): LeftBehind | undefined {
  const aside = folderOfSetAside(dir)
  // What was set aside was the spool's own; what stands in its place since may be anybody's.
  const folders = aside === undefined ? [dir] : [aside, dir]
  const heads = [...folders.map((folder) => join(folder, headName)), newPath(dir, headName)]
  const databases = folders.flatMap((folder) => [join(folder, rescueName), join(folder, fileName)])
  for (const [read, paths] of [
    [remainsOfHead, heads],
    [remainsOfDatabase, databases],
  ] as const) {
    const found = paths.map(read).find((one) => one !== undefined && one.replica !== null)
    if (found !== undefined) return { ...found, isReadable: false }
  }
  return undefined
}

function remainsOfHead(path: string): LeftBehind | undefined {
  const head = readHead(path)
  if (head.kind !== 'read') return undefined
  const { committed, cursors } = head.state
  const lacking = cursors.filter(({ position }) => position < (committed?.position ?? 0)).map(({ sink }) => sink)
  return { replica: replicaOf(committed?.trail), lacking, isReadable: false }
}

function remainsOfDatabase(path: string): LeftBehind | undefined {
  try {
    return existsSync(path) ? readDatabase(openReadOnly(path)) : undefined
  } catch {
    // Another may tell more.
    return undefined
  }
}

function replicaOf(trail: string | undefined): string | null {
  return trail?.slice(0, -idLength) ?? null
}

function nameless(dir: string): never {
  const message = `neither a head nor a copy in ${dir} names the replica: start \`serve\` with its name and this data folder`
  throw new CountersignError('SPOOL_DAMAGED', message)
}
