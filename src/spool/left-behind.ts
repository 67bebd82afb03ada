import { openForReading } from './file/open.ts'
import { spoolFault } from './file/faults.ts'
import { readCursors, readExtent } from './file/holdings.ts'
import { Sql } from './file/sql.ts'
import { previousTrail } from './file/trails.ts'

/** A spool that no server holds any more, as it was left. */
export interface LeftBehind {
  /** Name of the replica whose trails stand in it; null where there is none. */
  readonly replica: string | null
  /** Records that at least one sink lacks. */
  readonly waitingRecords: number
  /** Names of the sinks that lack some of them. */
  readonly lacking: readonly string[]
}

/** `-` and a UUID, which follow the replica's name in the id of a trail. */
const idLength = 37

/**
 * Looks at the spool in `dir` without changing it, whether or not a server holds it; undefined where there is none. Throws
 * SPOOL_VERSION, SPOOL_DAMAGED or SPOOL_FAILED.
 */
export function readLeftBehind(dir: string): LeftBehind | undefined {
  const database = openForReading(dir)
  if (database === undefined) return undefined
  try {
    const sql = new Sql(database)
    const { position, waitingRecords } = readExtent(sql)
    const lacking = readCursors(sql).filter((cursor) => cursor.position < position)
    const replica = previousTrail(sql)?.trail.slice(0, -idLength) ?? null
    return { replica, waitingRecords, lacking: lacking.map(({ sink }) => sink) }
  } catch (thrown) {
    throw spoolFault('cannot read the spool', thrown)
  } finally {
    database.close()
  }
}
