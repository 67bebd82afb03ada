import type { AccessRequest, Action, Context, Resource } from '../decision/access-request.ts'
import { anonymousSubject } from '../decision/decide.ts'
import type { Decision, Reason, Rule } from '../decision/decision.ts'
import type { PeerIdentity } from '../identity/principal.ts'
import { maskPath } from './redact.ts'

/** One fact, before it has a place in a trail. `docs/events.md` and `event.schema.json` are its contract. */
export interface AuditEvent {
  /** UUIDv7. */
  readonly id: string
  readonly type: EventType
  /** The principal, left out where there is none. */
  readonly subject?: string
  /** When it happened. */
  readonly time: Date
  readonly traceparent?: string
  readonly data: object
}

export const eventTypes = {
  decision: 'io.countersign.decision.v1',
  access: 'io.countersign.access.v1',
  policy: 'io.countersign.policy.v1',
  trail: 'io.countersign.trail.v1',
} as const

export type EventType = (typeof eventTypes)[keyof typeof eventTypes]

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
  readonly code: string
  readonly message: string
}

export interface PolicyData {
  readonly change: 'loaded' | 'rejected'
  /** Null where the folder could not even be read. */
  readonly policyVersion: string | null
  readonly previousVersion: string | null
  readonly files: readonly { readonly name: string; readonly sha256: string }[]
  readonly author: string | null
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

/** The record of what was answered to one Check. `supersedes` marks the second record of a decision; it has an id of its own. */
export function decisionEvent(
  request: AccessRequest,
  decision: Decision,
  superseding?: { readonly id: string },
): AuditEvent {
  const action = actionData(request.action)
  const resource = resourceData(request.resource)
  const data: DecisionData = {
    decisionId: decision.decisionId,
    effect: decision.effect,
    reason: decision.reason,
    rule: decision.rule,
    roles: decision.roles,
    policyVersion: decision.policyVersion,
    durationUs: decision.durationUs,
    supersedes: superseding !== undefined,
    subject: subjectData(request.subject.peer, request.subject.address),
    pep: { principal: request.pep.principal ?? null, address: request.pep.address },
    anomalies: [],
    action: action.data,
    resource: resource.data,
    context: contextData(request.context),
    ...redactedMember([...action.redacted, ...resource.redacted]),
  }
  return {
    id: superseding?.id ?? decision.decisionId,
    type: eventTypes.decision,
    ...subjectMember(request.subject.peer),
    time: request.time,
    ...traceMember(request.context),
    data,
  }
}

export function policyEvent(id: string, time: Date, data: PolicyData): AuditEvent {
  return { id, type: eventTypes.policy, time, data }
}

export function trailEvent(id: string, time: Date, data: TrailData): AuditEvent {
  return { id, type: eventTypes.trail, time, data }
}

/** What Envoy did, from one access-log entry; `outcome` and `envoy` say how it ended and who said so. */
export interface AccessFacts {
  readonly id: string
  readonly time: Date
  readonly peer: PeerIdentity
  readonly address?: string
  readonly action: Action
  readonly resource: Resource
  readonly context: Context
  readonly joined: Pick<AccessData, 'decisionId' | 'mediation' | 'effect' | 'reason' | 'rule' | 'policyVersion'>
  readonly phase: AccessData['phase']
  readonly outcome: OutcomeData
  readonly envoy: EnvoyData
}

export function accessEvent(facts: AccessFacts): AuditEvent {
  const action = actionData(facts.action)
  const resource = resourceData(facts.resource)
  const { decisionId, mediation, effect, reason, rule, policyVersion } = facts.joined
  const data: AccessData = {
    decisionId,
    phase: facts.phase,
    mediation,
    effect,
    reason,
    rule,
    policyVersion,
    subject: subjectData(facts.peer, facts.address),
    action: action.data,
    resource: resource.data,
    context: contextData(facts.context),
    outcome: facts.outcome,
    envoy: facts.envoy,
    ...redactedMember([...action.redacted, ...resource.redacted]),
  }
  return {
    id: facts.id,
    type: eventTypes.access,
    ...subjectMember(facts.peer),
    time: facts.time,
    ...traceMember(facts.context),
    data,
  }
}

function subjectMember(peer: PeerIdentity): { subject?: string } {
  return peer.kind === 'proved' || peer.kind === 'unknown-trust-domain' ? { subject: peer.principal.id.uri } : {}
}

const traceparentForm = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/

/** The caller wrote this header: what is not of W3C Trace Context's form is left out. */
function traceMember({ traceparent }: Context): { traceparent?: string } {
  return traceparent !== undefined && traceparentForm.test(traceparent) ? { traceparent } : {}
}

function redactedMember(redacted: readonly string[]): { redacted?: readonly string[] } {
  return redacted.length === 0 ? {} : { redacted }
}

function subjectData(peer: PeerIdentity, address: string | undefined): SubjectData {
  const rest = { user: null, via: null, address: address ?? null }
  switch (peer.kind) {
    case 'missing':
      return { principal: anonymousSubject, trustDomain: null, namespace: null, serviceAccount: null, ...rest }
    case 'invalid':
      return { principal: peer.text, trustDomain: null, namespace: null, serviceAccount: null, ...rest }
    case 'proved':
    case 'unknown-trust-domain': {
      const { id, namespace, serviceAccount } = peer.principal
      return { principal: id.uri, trustDomain: id.trustDomain, namespace, serviceAccount, ...rest }
    }
  }
}

/** A part of an event's data, and the paths of its members that were masked. */
interface Masked<T> {
  readonly data: T
  readonly redacted: readonly string[]
}

function actionData(action: Action): Masked<ActionData> {
  const rpc = action.rpc === undefined ? null : maskPath(action.rpc)
  return {
    data: { protocol: action.protocol, method: action.method ?? null, rpc: rpc?.text ?? null },
    redacted: rpc?.masked === true ? ['action.rpc'] : [],
  }
}

function resourceData(resource: Resource): Masked<ResourceData> {
  const path = resource.path === undefined ? null : maskPath(resource.path)
  // A query without "=" is a name and nothing else: a token that stands alone there is masked too.
  const query = resource.query.map((name) => maskPath(name))
  return {
    data: {
      principal: resource.principal ?? null,
      host: resource.host ?? null,
      path: path?.text ?? null,
      port: resource.port ?? null,
      query: query.map(({ text }) => text),
    },
    redacted: [
      ...(path?.masked === true ? ['resource.path'] : []),
      ...(query.some(({ masked }) => masked) ? ['resource.query'] : []),
    ],
  }
}

function contextData(context: Context): ContextData {
  return {
    requestId: context.requestId ?? null,
    traceId: context.traceId ?? null,
    spanId: context.spanId ?? null,
    userAgent: context.userAgent ?? null,
    extensions: {},
  }
}
