/** One record as the spool holds it. */
export interface SpooledRecord {
  /** Orders records over all trails of the spool; grows, never reused. */
  readonly position: number
  readonly trail: string
  /** 1-based place in the trail. */
  readonly sequence: number
  /** The record's own bytes, without a newline. */
  readonly line: string
}
