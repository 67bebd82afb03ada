import type { SpooledRecord } from '../spool/spooled-record.ts'
import type { Sink } from './sink.ts'

/** One sink with its place in the spool; what it needs to go on by itself. */
export interface Lane {
  readonly name: string
  readonly sink: Sink
  /** The sink has every record up to this position. */
  position: number
  stopped: boolean
  readonly read: (after: number) => readonly SpooledRecord[]
  /** Tells the spool how far the sink has got. */
  readonly delivered: (position: number, records: number) => void
  /** Tells of a delivery that failed; it will be tried again. */
  readonly troubled: (fault: unknown) => void
  /** Resolves when there may be more to read. */
  readonly moreToRead: () => Promise<void>
  /** Resolves when it is time for the next try, after this many failures in a row. */
  readonly nextTry: (failures: number) => Promise<void>
}

/**
 * Delivers the spool to one sink, in order, until the lane is stopped. A record counts as delivered only when the sink has said
 * so; the same records are given again until it does.
 */
export async function deliver(lane: Lane): Promise<void> {
  let failures = 0
  while (!lane.stopped) {
    try {
      const records = lane.read(lane.position)
      const last = records.at(-1)
      if (last === undefined) {
        await lane.moreToRead()
        continue
      }
      await lane.sink.deliver(records)
      lane.position = last.position
      lane.delivered(last.position, records.length)
      failures = 0
    } catch (fault) {
      failures += 1
      lane.troubled(fault)
      await lane.nextTry(failures)
    }
  }
  await lane.sink.close().catch(lane.troubled)
}
