import { CheckedReader } from './file/checked-reader.ts'
import { spoolFault } from './file/faults.ts'
import { openForReading } from './file/open.ts'
import { Sql } from './file/sql.ts'
import type { SpooledRecord } from './spooled-record.ts'

/** Reads a spool beside its writer, in this process or another one. Never writes. */
export interface SpoolReader {
  /** Up to `limit` records after `position`, in order. Throws SPOOL_DAMAGED or SPOOL_FAILED. */
  after(position: number, limit: number): readonly SpooledRecord[]
  /** How far the sink of this name has got, with its own note on that; 0 where the spool does not know it. */
  cursor(sink: string): { readonly position: number; readonly mark: string | null }
  close(): void
}

/**
 * Opens the spool in `dir` for those who judge what they read by themselves; undefined where there is none. Throws SPOOL_VERSION,
 * SPOOL_DAMAGED or SPOOL_FAILED.
 */
export function openSpoolReader(dir: string): SpoolReader | undefined {
  const sql = open(dir)
  if (sql === undefined) return undefined
  const after = 'SELECT position, trail, sequence, line FROM records WHERE position > ? ORDER BY position LIMIT ?'
  return reader(sql, (position, limit) => sql.all(after, position, limit) as unknown as readonly SpooledRecord[])
}

/**
 * The same for those who deliver: `after` throws SPOOL_DAMAGED instead of handing out a record that was altered, or passing over one
 * that is missing. From then on the file is not to be trusted.
 */
export function openDeliveryReader(dir: string): SpoolReader | undefined {
  const sql = open(dir)
  if (sql === undefined) return undefined
  const checked = new CheckedReader(sql)
  return reader(sql, (position, limit) => checked.after(position, limit))
}

function open(dir: string): Sql | undefined {
  const database = openForReading(dir)
  return database && new Sql(database)
}

function reader(sql: Sql, after: SpoolReader['after']): SpoolReader {
  return {
    after: (position, limit) => reading(() => after(position, limit)),
    cursor: (sink) => reading(() => cursorOf(sql, sink)),
    close: () => {
      sql.database.close()
    },
  }
}

function cursorOf(sql: Sql, sink: string): { position: number; mark: string | null } {
  const row = sql.get('SELECT position, mark FROM cursors WHERE sink = ?', sink)
  const mark = row?.['mark']
  return { position: Number(row?.['position'] ?? 0), mark: typeof mark === 'string' ? mark : null }
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw spoolFault('cannot read the spool', thrown)
  }
}
