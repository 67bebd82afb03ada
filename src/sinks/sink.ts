import type { SpooledRecord } from '../spool/spooled-record.ts'

/** Where records are delivered. One instance belongs to one delivery lane, which never calls it twice at a time. */
export interface Sink {
  /**
   * Delivers records in the order given. MUST resolve only when all of them are durable at their destination, and MUST
   * reject (with a CountersignError) when that is not certain: the same records, in the same order, are then given again.
   * MUST NOT reorder, leave out or change a record; duplicates are allowed.
   */
  deliver(records: readonly SpooledRecord[]): Promise<void>

  /** Lets go of connections and files. Nothing is delivered afterwards. */
  close(): Promise<void>
}
