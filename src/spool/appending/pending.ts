import type { AuditEvent } from '../../audit/event.ts'
import { encodeEvent, type EncodedEvent } from '../../audit/record.ts'

/**
 * One event on its way to the disk. It begins `queued` here, is `taken` into a batch, and, where an acknowledgement is demanded
 * beyond the disk's, `committed` until that comes. `taken-late`: in a batch under way, with its caller already told that it came too
 * late.
 */
export interface Pending {
  event: EncodedEvent
  readonly kind: 'decision' | 'access'
  readonly time: Date
  /** Whether it is tried again after a batch that failed; otherwise its caller is told, and waits no more. */
  mayWait: boolean
  state: 'queued' | 'taken' | 'taken-late' | 'committed'
  /** Tells the caller whether the record was kept; undefined once it has been told. */
  settle: ((kept: boolean) => void) | undefined
  /** Makes the event that takes this one's place where it comes too late; undefined where it may wait as long as it takes. */
  readonly replacement: ((superseding: boolean) => EncodedEvent) | undefined
  timer: NodeJS.Timeout | undefined
}

/** Tells the caller, once. */
export function settle(pending: Pending, kept: boolean): void {
  clearTimeout(pending.timer)
  pending.settle?.(kept)
  pending.settle = undefined
}

/** The second record of a decision whose first one became durable too late; undefined where nothing can take its place. */
export function superseding(late: Pending): Pending | undefined {
  if (late.replacement === undefined) return undefined
  const nobody = { settle: undefined, replacement: undefined, timer: undefined }
  return { ...late, event: late.replacement(true), state: 'queued', mayWait: true, ...nobody }
}

/** An event that is no JSON is a fault of its maker; whoever waits for it must get an answer all the same. */
export function encodedOrNot(event: AuditEvent): EncodedEvent | undefined {
  try {
    return encodeEvent(event)
  } catch {
    return undefined
  }
}
