/** How far the records of a trail are vouched for by somebody who is trusted: a checkpoint, an earlier run, or one from outside. */
export class Vouched {
  /** The last sequence that is vouched for; 0 where none is. */
  to = 0
  /** `recordedat` there; null before the first. */
  at: string | null = null

  upTo(sequence: number, at: string): void {
    if (sequence <= this.to) return
    this.to = sequence
    this.at = at
  }
}
