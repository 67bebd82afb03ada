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
  /** How long delivered records stay, in milliseconds, where there is room for them. */
  readonly retainDeliveredMs: number
  /** Bytes that all records may take, in UTF-8: those kept for replay alone make room first. */
  readonly maxBytes: number
  readonly checkpoints: CheckpointOpening
  /** Ends of this replica's earlier trails as others know them, in order of age. */
  readonly known: readonly KnownEnd[]
  /** Why the file that is there must be set aside although it may look whole; null where it is to be judged by itself. */
  readonly distrust: string | null
}

/** With what, and how often, the trail's size and root are signed. */
export interface CheckpointOpening {
  readonly keyName: string
  /** Ed25519, PKCS #8, PEM. */
  readonly privateKey: string
  /** A checkpoint follows this many records, or the first record that is this old (milliseconds), whichever comes first. */
  readonly everyRecords: number
  readonly everyMs: number
}

/** What somebody outside the spool's file knows of the end of a trail: it has at least this many records. */
export interface KnownEnd {
  readonly trail: string
  readonly sequence: number
  /** Hash of that record; null where it is not known. */
  readonly hash: string | null
  /** Position of that record in the spool, where it is known. */
  readonly position?: number
  readonly from: 'archive' | 'checkpoint' | 'writer'
}

/** How far a sink has got: it has every record up to and including `position`. */
export interface Cursor {
  readonly sink: string
  readonly position: number
  /** The sink's own note on where that is, kept with it; null where it has none. */
  readonly mark: string | null
  /** Set where the destination lost records: the position may go back. */
  readonly rewound: boolean
}

/** From the main thread to the worker. One batch is under way at a time. */
export type ToSpoolWorker =
  | { readonly kind: 'append'; readonly events: readonly EncodedEvent[]; readonly cursors: readonly Cursor[] }
  /** Looks whether the file is still what it was, and writes a checkpoint that is due. */
  | { readonly kind: 'check' }
  | { readonly kind: 'seal'; readonly closedId: string }
  | { readonly kind: 'close' }

/** From the worker to the main thread. Each message but `opened` answers one of those above. */
export type FromSpoolWorker =
  /** `previous`: the trail before this one, with the last record of it that stands in the file; absent where there is none. */
  | { readonly kind: 'opened'; readonly state: SpoolState; readonly previous?: PreviousTrail | undefined }
  /** `first`: position of the first of the events that were given; the others follow it without gaps. */
  | { readonly kind: 'committed'; readonly state: SpoolState; readonly first: number }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string; readonly retryable: boolean }
  | { readonly kind: 'closed' }

/** A trail with the last record of it that was found. */
export interface PreviousTrail {
  readonly trail: string
  readonly sequence: number
}

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
  /** Bytes of the records that every sink has, kept for replay. */
  readonly retainedBytes: number
  /** The last checkpoint of this trail, and when it was signed, in milliseconds since 1970. */
  readonly checkpoint: { readonly size: number; readonly at: number } | null
}
