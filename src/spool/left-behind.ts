import { openForReading } from './file/open.ts'
import { spoolFault } from './file/faults.ts'
import { Sql } from './file/sql.ts'
import { previousTrail } from './file/trails.ts'

/** A spool that no server holds any more, as it was left. */
export interface LeftBehind {
  /** Name of the replica whose trails stand in it; null where there is none. */
  readonly replica: string | null
  /** Names of the sinks that lack some of them. */
  readonly lacking: readonly string[]
}

/** What all versions of the file have: where everything was delivered there may be no record any more. */
const lastPosition = `
  (SELECT max(value) FROM (SELECT max(position) AS value FROM records UNION ALL SELECT max(position) FROM cursors))`

/** `-` and a UUID, which follow the replica's name in the id of a trail. */
const idLength = 37

/**
 * Looks at the spool in `dir` without changing it, whether or not a server holds it, and whichever version wrote it; undefined where
 * there is none. Throws SPOOL_VERSION, SPOOL_DAMAGED or SPOOL_FAILED.
 */
export function readLeftBehind(dir: string): LeftBehind | undefined {
  const database = openForReading(dir)
  if (database === undefined) return undefined
  try {
    const sql = new Sql(database)
    const lacking = sql.all(`SELECT sink FROM cursors WHERE position < ${lastPosition} ORDER BY sink`)
    const replica = previousTrail(sql)?.trail.slice(0, -idLength) ?? null
    return { replica, lacking: lacking.map(({ sink }) => String(sink)) }
  } catch (thrown) {
    throw spoolFault('cannot read the spool', thrown)
  } finally {
    database.close()
  }
}
