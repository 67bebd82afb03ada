import type { GapReason } from '../../audit/event-data.ts'
import type { ErrorCode } from '../../errors.ts'
import type { SpoolState } from '../protocol.ts'

/** Why the spool cannot keep records at the moment. */
export interface SpoolProblem {
  readonly code: ErrorCode
  readonly message: string
  /** Whether it may pass without a new start. */
  readonly retryable: boolean
}

/** What a gap says of events that were refused because of a problem. */
export function gapReasonOf({ code }: Pick<SpoolProblem, 'code'>): GapReason {
  switch (code) {
    case 'SPOOL_FULL':
      return 'SPOOL_FULL'
    // Somebody locks the file, or the disk hangs: nothing is wrong with it.
    case 'SPOOL_IN_USE':
    case 'SPOOL_STALLED':
      return 'DEADLINE'
    default:
      return 'SPOOL_DAMAGED'
  }
}

export function threadEnded(error: Error | undefined): SpoolProblem {
  const message = `the spool’s thread ended${error === undefined ? '' : `: ${error.message}`}`
  return { code: 'SPOOL_FAILED', message, retryable: false }
}

/** Why nothing more is taken although the disk would take it, or null: too much waits for a sink. */
export function overflowOf({ waitingBytes }: SpoolState, maxBytes: number): SpoolProblem | null {
  if (waitingBytes < maxBytes) return null
  const message = `${waitingBytes} bytes wait for a sink; spool.maxBytes allows ${maxBytes}`
  return { code: 'SPOOL_FULL', message, retryable: true }
}

/** The disk has been at one batch for longer than an answer may wait. */
export function stalled(underWayMs: number, deadlineMs: number): SpoolProblem {
  const message = `the disk has been at one batch for ${Math.round(underWayMs)} ms; audit.deadlineMs allows ${deadlineMs}`
  return { code: 'SPOOL_STALLED', message, retryable: true }
}

/** A sink that has to have records before they are answered has lacked one for longer than that. */
export function unacknowledged(sinks: readonly string[], ageMs: number, deadlineMs: number): SpoolProblem {
  const late = `${sinks.join(', ')}: a record has not been acknowledged for ${Math.round(ageMs)} ms`
  const message = `${late}, as audit.require demands; audit.deadlineMs allows ${deadlineMs}`
  return { code: 'KAFKA_LATE', message, retryable: true }
}
