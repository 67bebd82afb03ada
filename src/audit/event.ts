import type { AccessRequest, Action, Context, Resource } from '../decision/access-request.ts'
import { anonymousSubject } from '../decision/decide.ts'
import type { Decision } from '../decision/decision.ts'
import type { PeerIdentity } from '../identity/principal.ts'
import { maskPath } from './redact.ts'
import type {
  AccessData,
  ActionData,
  CheckpointData,
  ContextData,
  DecisionData,
  EnvoyData,
  OutcomeData,
  PolicyData,
  ResourceData,
  SubjectData,
  TrailData,
} from './event-data.ts'

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
  checkpoint: 'io.countersign.checkpoint.v1',
} as const

export type EventType = (typeof eventTypes)[keyof typeof eventTypes]

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
    ...(decision.candidate === undefined ? {} : { candidate: decision.candidate }),
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

export function checkpointEvent(id: string, time: Date, data: CheckpointData): AuditEvent {
  return { id, type: eventTypes.checkpoint, time, data }
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
