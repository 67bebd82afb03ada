import type { TrailOpened } from '../../src/audit/event-data.ts'
import { accessEvent, decisionEvent, trailEvent, type AuditEvent } from '../../src/audit/event.ts'
import { encodeEvent, firstPrevHash, formatSequence, sealRecord } from '../../src/audit/record.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import type { Decision, DenyReason } from '../../src/decision/decision.ts'
import { identifyPeer } from '../../src/identity/principal.ts'
import type { TrustDomain } from '../../src/identity/trust-domain.ts'
import type { SpooledRecord } from '../../src/spool/spooled-record.ts'
import { signer } from '../cases/signing-key.ts'

/** A record of a made trail, with its hash. */
export type MadeRecord = SpooledRecord & { readonly hash: string }

const start = Date.UTC(2026, 10, 22, 10)
const accepted = new Set(['cluster.local' as TrustDomain])
export const policyVersion = `sha256:${'ab'.repeat(32)}`

/** A UUIDv7-shaped id that tells its number, for trails and events. */
export function idOf(number: number): string {
  return `0197a000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`
}

export interface Writing {
  readonly trail: string
  /** Milliseconds after the start of the made time. */
  readonly atMs?: number
  readonly stepMs?: number
  readonly previous?: TrailOpened['previous']
  readonly position?: number
}

/** Makes a trail: its `opened` record, then one record for each event. */
export function makeTrail(writing: Writing, events: readonly AuditEvent[]): MadeRecord[] {
  const { trail, atMs = 0, stepMs = 1000, previous = null, position = 1 } = writing
  const opened: TrailOpened = {
    change: 'opened',
    replica: trail.slice(0, -37),
    previous,
    versions: { countersign: '0.1.0', node: '24' },
    settings: `sha256:${'0'.repeat(64)}`,
    verifierKey: signer.verifierKey,
  }
  let prevHash = firstPrevHash
  return [trailEvent(idOf(1), timeAt(atMs), opened), ...events].map((event, index) => {
    const place = { trail, sequence: index + 1, prevHash, recordedAt: timeAt(atMs + index * stepMs) }
    const sealed = sealRecord(encodeEvent(event), place)
    prevHash = sealed.hash
    return { position: position + index, trail, sequence: index + 1, line: sealed.line, hash: sealed.hash }
  })
}

/** What the next trail says of this one. */
export function asPrevious(records: readonly MadeRecord[], closed = false): NonNullable<TrailOpened['previous']> {
  const last = records.at(-1) as MadeRecord
  return { trail: last.trail, sequence: formatSequence(last.sequence), hash: last.hash, closed }
}

export function timeAt(atMs: number): Date {
  return new Date(start + atMs)
}

export interface Asked {
  readonly number: number
  readonly atMs?: number
  readonly principal?: string
  readonly destination?: string
  readonly path?: string
  readonly method?: string
  readonly deny?: DenyReason
  readonly traceId?: string
}

export function decisionOf(asked: Asked): AuditEvent {
  return decisionEvent(requestOf(asked), answerTo(asked))
}

/** What Envoy tells of the access afterwards; `checked: false` is an access that it let through unasked. */
export function accessOf(asked: Asked, status: number | null = 200, checked = true): AuditEvent {
  const { time, subject, action, resource, context } = requestOf(asked)
  const { decisionId, effect, reason, rule } = answerTo(asked)
  return accessEvent({
    id: idOf(1_000_000 + asked.number),
    time,
    peer: subject.peer,
    action,
    resource,
    context,
    joined: checked
      ? { decisionId, mediation: 'checked', effect, reason, rule, policyVersion }
      : { decisionId: null, mediation: 'unchecked', effect: null, reason: null, rule: null, policyVersion: null },
    phase: 'end',
    outcome: {
      status,
      grpcStatus: null,
      flags: [],
      details: null,
      final: 'served',
      bytesReceived: 0,
      bytesSent: 0,
      durationMs: 1,
      upstream: { cluster: null, address: null, attempts: null },
    },
    envoy: { node: 'sidecar-1', cluster: null, logName: 'audit', direction: 'inbound', streamId: null, entry: 'x' },
  })
}

/** `count` plain decisions. */
export function decisions(count: number, from = 100): AuditEvent[] {
  return Array.from({ length: count }, (_, index) => decisionOf({ number: from + index, path: `/orders/${index}` }))
}

function requestOf(asked: Asked): AccessRequest {
  const { principal = 'spiffe://cluster.local/ns/shop/sa/web', path = '/orders', method = 'GET', traceId } = asked
  return {
    time: timeAt(asked.atMs ?? 0),
    subject: { peer: identifyPeer(principal, accepted), address: '10.1.2.3' },
    action: { protocol: 'http', method },
    resource: {
      principal: asked.destination ?? 'spiffe://cluster.local/ns/shop/sa/orders',
      host: 'orders.shop',
      path,
      port: 8443,
      query: [],
    },
    context: traceId === undefined ? {} : { traceId },
    pep: { address: '10.1.2.9' },
  }
}

function answerTo(asked: Asked): Decision {
  const rule = { file: 'policy.csv', line: 3, text: 'p, web, /orders/**, GET, allow' }
  const rest = { decisionId: idOf(asked.number), roles: [], durationUs: 7 }
  return asked.deny === undefined
    ? { effect: 'allow', reason: 'ALLOWED_BY_RULE', rule, policyVersion, ...rest }
    : { effect: 'deny', reason: asked.deny, rule: null, policyVersion, ...rest }
}
