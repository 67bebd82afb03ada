import type { SpooledRecord } from '../spool/spooled-record.ts'

/** Where records are delivered. One instance belongs to one delivery lane, which never calls it twice at a time. */
export interface Sink {
  /**
   * Delivers records in the order given. MUST resolve with `kept` only when all of them are durable at their destination, and
   * MUST reject (with a CountersignError) when that is not certain: the same records, in the same order, are then given again.
   * MUST resolve with `lost` where the destination turned out to lack records that were `kept` there before: whatever the spool
   * still has is then given again from its oldest record on.
   * MUST NOT reorder, leave out or change a record; duplicates are allowed.
   */
  deliver(records: readonly SpooledRecord[]): Promise<Delivered>

  /** Lets go of connections and files. Nothing is delivered afterwards. */
  close(): Promise<void>
}

export type Delivered =
  /** `mark`: the sink's own note on where the last record is, given back to it at the next start; null where it needs none. */
  | { readonly kind: 'kept'; readonly mark: string | null }
  /** `what`: what is lost, and how that was seen. */
  | { readonly kind: 'lost'; readonly what: string }
