import { accessEvent, decisionEvent, trailEvent, type AuditEvent } from '../../src/audit/event.ts'
import { encodeEvent, firstPrevHash, sealRecord } from '../../src/audit/record.ts'
import { openArchive } from '../../src/archive/write.ts'
import type { AccessRequest } from '../../src/decision/access-request.ts'
import { decide } from '../../src/decision/decide.ts'
import type { Decision } from '../../src/decision/decision.ts'
import type { RuleSet } from '../../src/decision/rule-set.ts'
import { identifyPeer } from '../../src/identity/principal.ts'
import type { TrustDomain } from '../../src/identity/trust-domain.ts'
import { signer } from '../cases/signing-key.ts'

const accepted = new Set(['cluster.local' as TrustDomain])
const trail = 'countersign-0-019aa400-0000-7000-8000-00000000000b'
const batch = 5000
const methods = ['GET', 'GET', 'GET', 'POST', 'DELETE']
/** The kinds of things that are asked for. */
export const things = ['orders', 'invoices', 'customers', 'baskets', 'payments', 'refunds', 'stock', 'prices']

export const workloads = 200

/** The SPIFFE ID of a workload by its number, from 0 on. */
export function workload(number: number): string {
  return `spiffe://cluster.local/ns/shop-${String(number % 20)}/sa/web-${String(number % workloads)}`
}

/** The request of a number: 200 workloads, 8 kinds of things, a method that is not always allowed, each id another. */
export function requestOf(number: number, time: Date): AccessRequest {
  const thing = things[number % things.length] ?? ''
  return {
    time,
    subject: {
      peer: identifyPeer(workload(number), accepted),
      address: `10.1.${String(number % 250)}.${String(number % 199)}`,
    },
    action: { protocol: 'http', method: methods[number % methods.length] ?? 'GET' },
    resource: {
      principal: `spiffe://cluster.local/ns/shop-${String(number % 20)}/sa/${thing}`,
      host: `${thing}.shop-${String(number % 20)}`,
      path: `/api/v2/${thing}/${uuid(number)}/lines`,
      port: 8443,
      query: ['page'],
    },
    context: {
      requestId: uuid(number),
      traceparent: `00-4bf92f3577b34da6a3ce929d${hex(number, 8)}-00f067aa${hex(number, 8)}-01`,
      traceId: `4bf92f3577b34da6a3ce929d${hex(number, 8)}`,
      spanId: `00f067aa${hex(number, 8)}`,
      userAgent: 'okhttp/4.12.0',
    },
    pep: { principal: `spiffe://cluster.local/ns/shop-${String(number % 20)}/sa/${thing}`, address: '10.1.2.9' },
  }
}

export interface Written {
  readonly decisions: number
  readonly records: number
  readonly bytes: number
  /** Of the decisions alone. */
  readonly decisionBytes: number
}

/** Writes decisions as rules answer them, each followed by the access event of its outcome, into an archive of one trail. */
export async function writeArchive(dir: string, decisions: number, rules: RuleSet, start: Date): Promise<Written> {
  const archive = openArchive(dir)
  const written = { decisions, records: 0, bytes: 0, decisionBytes: 0 }
  let [sequence, prevHash] = [0, firstPrevHash]
  let lines: { trail: string; sequence: number; line: string }[] = []
  const add = async (event: AuditEvent): Promise<number> => {
    sequence += 1
    const { line, hash } = sealRecord(encodeEvent(event), { trail, sequence, prevHash, recordedAt: event.time })
    prevHash = hash
    lines.push({ trail, sequence, line })
    written.records += 1
    written.bytes += line.length + 1
    if (lines.length < batch) return line.length + 1
    await archive.append(lines)
    lines = []
    return line.length + 1
  }
  await add(openedAt(start))
  for (let number = 0; number < decisions; number += 1) {
    const request = requestOf(number, new Date(start.getTime() + number * 5))
    const decision = decide(request, rules, { decisionId: uuid(number), nowUs: () => 0, anonymous: 'deny' })
    written.decisionBytes += await add(decisionEvent(request, decision))
    await add(outcomeOf(request, decision, number))
  }
  await archive.append(lines)
  await archive.close()
  return written
}

function openedAt(time: Date): AuditEvent {
  return trailEvent(uuid(0), time, {
    change: 'opened',
    replica: 'countersign-0',
    previous: null,
    versions: { countersign: '0.1.0', node: process.versions.node },
    settings: `sha256:${'0'.repeat(64)}`,
    verifierKey: signer.verifierKey,
  })
}

function outcomeOf(request: AccessRequest, decision: Decision, number: number): AuditEvent {
  const { decisionId, effect, reason, rule, policyVersion } = decision
  return accessEvent({
    id: uuid(number + 1e9),
    time: request.time,
    peer: request.subject.peer,
    address: '10.1.2.3',
    action: request.action,
    resource: request.resource,
    context: request.context,
    joined: { decisionId, mediation: 'checked', effect, reason, rule, policyVersion },
    phase: 'end',
    outcome: {
      status: effect === 'allow' ? 200 : 403,
      grpcStatus: null,
      flags: effect === 'allow' ? [] : ['UAEX'],
      details: effect === 'allow' ? 'via_upstream' : 'ext_authz_denied',
      final: effect === 'allow' ? 'served' : 'refused',
      bytesReceived: 160,
      bytesSent: 1560,
      durationMs: 33.9,
      upstream: { cluster: 'inbound|8080||', address: '10.1.2.9:8080', attempts: 1 },
    },
    envoy: {
      node: 'sidecar~10.1.2.9~orders-6d5f7c9b8d-x2x9z.shop~shop.svc.cluster.local',
      cluster: 'orders.shop',
      logName: 'audit',
      direction: 'inbound',
      streamId: uuid(number),
      entry: 'DownstreamEnd',
    },
  })
}

function uuid(number: number): string {
  return `019aa5d5-${hex(number, 8).slice(0, 4)}-7${hex(number, 8).slice(4, 7)}-8000-${hex(number, 12)}`
}

function hex(number: number, digits: number): string {
  return number.toString(16).padStart(digits, '0').slice(-digits)
}
