import type { AuditEvent } from './event.ts'

export interface AppendOptions {
  /**
   * The event to keep instead where this one cannot be kept in time. Asked for once, with true where the first record did
   * become durable after the deadline and has to be superseded, with false where it was withdrawn.
   */
  readonly ifLate?: (superseding: boolean) => AuditEvent
  /** How long the caller can wait, in milliseconds; never longer than the setting `audit.deadlineMs`. */
  readonly withinMs?: number
  /** Aborted when the caller waits no more: from then on, keeping the record is too late. */
  readonly gone?: AbortSignal
}

/** Where events become records. */
export interface AuditLog {
  /**
   * Appends one decision. MUST NOT throw or reject. Resolves true when the record is as durable as the settings demand
   * (`strict`: committed to disk; `best-effort`: accepted), and false when that cannot be had in time: then the event is
   * withdrawn or superseded, and the caller MUST answer with a denial.
   */
  append(event: AuditEvent, options?: AppendOptions): Promise<boolean>

  /**
   * Appends one event on which no answer waits. MUST NOT throw or reject. Resolves true when it is durable, false when it
   * could not be kept (counted in a `gap`); a caller that waits for it before it reads more is slowed to what the disk takes.
   */
  record(event: AuditEvent): Promise<boolean>

  /**
   * Resolves when there is room for one more event of `record`. Whoever brings many MUST wait for it before it makes the next:
   * what comes all the same may be dropped, and counted. MUST NOT reject; resolves at once where what comes is refused anyway.
   */
  room(): Promise<void>
}
