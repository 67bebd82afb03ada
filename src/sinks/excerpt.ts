import { setImmediate as otherLanes } from 'node:timers/promises'
import type { SpooledRecord } from '../spool/spooled-record.ts'

/** What a lane reads at once. */
export interface Excerpt {
  readonly records: readonly SpooledRecord[]
  /** The spool was read up to and including this position; what is not among `records` is not for this lane. */
  readonly upTo: number
}

/** Which records a lane delivers. */
export type Wanted = 'all' | 'checkpoints'

/** Up to so many records after a position, as the spool's reader gives them. */
type ReadAfter = (position: number, limit: number) => readonly SpooledRecord[]

const recordsPerRead = 1000

/** Reads what comes after a position. A lane that wants few of the records passes over the others in the same steps. */
export async function readExcerpt(read: ReadAfter, after: number, wanted: Wanted): Promise<Excerpt> {
  const found = read(after, recordsPerRead)
  const upTo = found.at(-1)?.position ?? after
  if (wanted === 'all') return { records: found, upTo }
  // Nothing is waited for where nothing is delivered: a long spool would keep the thread to this lane.
  await otherLanes()
  return { records: found.filter(({ line }) => isCheckpoint(line)), upTo }
}

const checkpointType = '"type":"io.countersign.checkpoint.v1",'
const idAt = '{"specversion":"1.0","id":"'.length

/** Told by the head of the line, which the writer makes: parsing every record for a few would cost more than delivering them. */
function isCheckpoint(line: string): boolean {
  return line.startsWith(checkpointType, line.indexOf('"', idAt) + 2)
}
