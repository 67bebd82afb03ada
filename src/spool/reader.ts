import { spoolFault } from './faults.ts'
import { openForReading } from './file.ts'
import type { SpooledRecord } from './spooled-record.ts'

/** Reads a spool beside its writer, in this process or another one. Never writes. */
export interface SpoolReader {
  /** Up to `limit` records after `position`, in order. Throws SPOOL_FAILED. */
  after(position: number, limit: number): readonly SpooledRecord[]
  /** How far the sink of this name has got; 0 where the spool does not know it. */
  cursor(sink: string): number
  close(): void
}

/** Opens the spool in `dir`; undefined where there is none. Throws SPOOL_VERSION or SPOOL_FAILED. */
export function openSpoolReader(dir: string): SpoolReader | undefined {
  const database = openForReading(dir)
  if (database === undefined) return undefined
  const after = database.prepare(
    'SELECT position, trail, sequence, line FROM records WHERE position > ? ORDER BY position LIMIT ?',
  )
  const cursor = database.prepare('SELECT position FROM cursors WHERE sink = ?')
  return {
    after: (position, limit) => reading(() => after.all(position, limit) as unknown as readonly SpooledRecord[]),
    cursor: (sink) => reading(() => Number(cursor.get(sink)?.['position'] ?? 0)),
    close: () => {
      database.close()
    },
  }
}

function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw spoolFault('cannot read the spool', thrown)
  }
}
