import type { EncodedEvent } from '../audit/record.ts'
import type { ErrorCode } from '../errors.ts'

/** What the spool's worker is started with. */
export interface SpoolOpening {
  readonly dir: string
  readonly replica: string
  /** Id of the trail to open; never one that was opened before. */
  readonly trail: string
  /** Id of the trail's first event. */
  readonly openedId: string
  readonly versions: { readonly countersign: string; readonly node: string }
  /** `sha256:` digest of the settings in force. */
  readonly settings: string
  /** Names of the sinks that records wait for. */
  readonly sinks: readonly string[]
  /** How long delivered records stay, in milliseconds. */
  readonly retainDeliveredMs: number
}

/** How far a sink has got: it has every record up to and including `position`. */
export interface Cursor {
  readonly sink: string
  readonly position: number
}

/** From the main thread to the worker. One batch is under way at a time. */
export type ToSpoolWorker =
  | { readonly kind: 'append'; readonly events: readonly EncodedEvent[]; readonly cursors: readonly Cursor[] }
  | { readonly kind: 'seal'; readonly closedId: string }
  | { readonly kind: 'close' }

/** From the worker to the main thread. Each message but `opened` answers one of those above. */
export type FromSpoolWorker =
  | { readonly kind: 'opened'; readonly state: SpoolState }
  | { readonly kind: 'committed'; readonly state: SpoolState }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly retryable: boolean }
  | { readonly kind: 'closed' }

/** What the spool holds after a commit. */
export interface SpoolState {
  readonly trail: string
  readonly lastSequence: number
  readonly lastPosition: number
  /** Records, and bytes of their lines, that at least one sink lacks. */
  readonly waitingRecords: number
  readonly waitingBytes: number
  /** When the oldest of them was recorded, in milliseconds since 1970; null where none waits. */
  readonly oldestWaitingMs: number | null
}
