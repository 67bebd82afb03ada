import type { CandidateDecision, Reason, Rule } from '../decision/decision.ts'

// The shapes of `data`, one for each type of event; docs/events.md and event.schema.json are their contract.

export interface SubjectData {
  readonly principal: string | null
  readonly trustDomain: string | null
  readonly namespace: string | null
  readonly serviceAccount: string | null
  readonly user: null
  readonly via: null
  readonly address: string | null
}

export interface ActionData {
  readonly protocol: string
  readonly method: string | null
  readonly rpc: string | null
}

export interface ResourceData {
  readonly principal: string | null
  readonly host: string | null
  readonly path: string | null
  readonly port: number | null
  readonly query: readonly string[]
}

export interface ContextData {
  readonly requestId: string | null
  readonly traceId: string | null
  readonly spanId: string | null
  readonly userAgent: string | null
  readonly extensions: Readonly<Record<string, string>>
}

export interface DecisionData {
  readonly decisionId: string
  readonly effect: 'allow' | 'deny'
  readonly reason: Reason
  readonly rule: Rule | null
  readonly roles: readonly string[]
  readonly policyVersion: string | null
  readonly durationUs: number
  readonly supersedes: boolean
  readonly subject: SubjectData
  readonly pep: { readonly principal: string | null; readonly address: string }
  readonly anomalies: readonly string[]
  readonly action: ActionData
  readonly resource: ResourceData
  readonly context: ContextData
  /** Left out while no candidate is loaded; null where it was not asked. */
  readonly candidate?: CandidateDecision | null
  readonly redacted?: readonly string[]
}

export type Mediation = 'checked' | 'unchecked' | 'authorizer-error'
export type Final = 'served' | 'refused' | 'failed'

export interface OutcomeData {
  /** HTTP status that Envoy answered; null where there was none. */
  readonly status: number | null
  readonly grpcStatus: number | null
  /** Envoy's short response flags, such as `UAEX`. */
  readonly flags: readonly string[]
  /** Envoy's response code details, or what ended the connection. */
  readonly details: string | null
  readonly final: Final | null
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly durationMs: number | null
  readonly upstream: {
    readonly cluster: string | null
    readonly address: string | null
    readonly attempts: number | null
  }
}

export interface EnvoyData {
  readonly node: string | null
  readonly cluster: string | null
  readonly logName: string | null
  readonly direction: 'inbound' | 'outbound' | 'gateway'
  readonly streamId: string | null
  /** Envoy's access log type, such as `DownstreamEnd`. */
  readonly entry: string
}

export interface AccessData {
  readonly decisionId: string | null
  readonly phase: 'start' | 'periodic' | 'end'
  readonly mediation: Mediation | null
  readonly effect: 'allow' | 'deny' | null
  readonly reason: string | null
  readonly rule: Rule | null
  readonly policyVersion: string | null
  readonly subject: SubjectData
  readonly action: ActionData
  readonly resource: ResourceData
  readonly context: ContextData
  readonly outcome: OutcomeData
  readonly envoy: EnvoyData
  readonly redacted?: readonly string[]
}

export interface PolicyProblem {
  readonly file: string
  /** 1-based; null where the problem is the file's or the folder's. */
  readonly line: number | null
  /** 1-based, in characters; null where no single place of the line is meant. */
  readonly column: number | null
  readonly code: string
  readonly message: string
}

export interface PolicyData {
  readonly change: 'loaded' | 'rejected' | 'candidate-loaded' | 'candidate-removed'
  /** Where the version was read. */
  readonly origin: 'folder' | 'last-good'
  /** Whether it is a version of the candidate policy. */
  readonly candidate: boolean
  /** Null where the folder could not even be read. */
  readonly policyVersion: string | null
  /** The version in force until then; null where there was none. */
  readonly previousVersion: string | null
  readonly files: readonly { readonly name: string; readonly sha256: string }[]
  /** Who made the version, for what ticket, in the words of those who signed it. */
  readonly author: string | null
  readonly ticket: string | null
  /** Ids of the keys that signed it. */
  readonly signedBy: readonly string[]
  readonly rules: { readonly added: number; readonly removed: number; readonly total: number }
  readonly problems: readonly PolicyProblem[]
}

export interface TrailOpened {
  readonly change: 'opened'
  readonly replica: string
  /** The replica's previous trail with its last sequence and hash as found; null where the spool holds none. */
  readonly previous: {
    readonly trail: string
    readonly sequence: string
    readonly hash: string
    /** False where its writer ended without closing it. */
    readonly closed: boolean
  } | null
  readonly versions: { readonly countersign: string; readonly node: string }
  /** `sha256:` digest of the settings in force. */
  readonly settings: string
  /** The public key that the trail's checkpoints are signed with: `<name>+<key id>+<base64>`. */
  readonly verifierKey: string
}

export interface TrailClosed {
  readonly change: 'closed'
  /** Records of this trail, before this one, that every sink has, and that some sink still lacks. */
  readonly delivered: number
  readonly left: number
}

export type GapReason =
  'DEADLINE' | 'SPOOL_FULL' | 'SPOOL_DAMAGED' | 'SPOOL_REPLACED' | 'OVERLOADED' | 'QUOTA' | 'SHUTDOWN'

export interface TrailGap {
  readonly change: 'gap'
  readonly of: 'decision' | 'access' | 'trail'
  readonly trail: string | null
  readonly fromSequence: string | null
  readonly toSequence: string | null
  readonly count: number
  readonly countExact: boolean
  readonly from: string
  readonly to: string
  readonly reason: GapReason
  readonly envoy: string | null
}

export type TrailData = TrailOpened | TrailClosed | TrailGap

export interface CheckpointData {
  /** A C2SP signed note: trail, size (this record's sequence minus 1), RFC 6962 root, Ed25519 signature. */
  readonly note: string
}
