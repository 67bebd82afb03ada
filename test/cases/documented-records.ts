import type { EnvoyData, OutcomeData } from '../../src/audit/event-data.ts'
import { accessEvent, checkpointEvent, decisionEvent, policyEvent, trailEvent, type AuditEvent } from '../../src/audit/event.ts'
import { MerkleTree } from '../../src/audit/merkle.ts'
import { encodeEvent, sealRecord } from '../../src/audit/record.ts'
import { decide } from '../../src/decision/decide.ts'
import { ordersRequest } from './access-requests.ts'
import { firstPlace } from './place.ts'
import { allowed, policyVersion, ruleSetThat } from './rule-sets.ts'
import { signer } from './signing-key.ts'

const decisionId = uuid(3)
const ticks = [100, 137]
const decision = decide(
  ordersRequest,
  ruleSetThat(() => allowed),
  { decisionId, nowUs: () => ticks.shift() ?? 0, anonymous: 'deny' },
)

const outcome: OutcomeData = {
  status: 200,
  grpcStatus: null,
  flags: [],
  details: 'via_upstream',
  final: 'served',
  bytesReceived: 160,
  bytesSent: 156,
  durationMs: 33.9,
  upstream: { cluster: 'inbound|8080||', address: '10.1.2.9:8080', attempts: 1 },
}

const envoy: EnvoyData = {
  node: 'sidecar~10.1.2.9~orders-6d5f7c9b8d-x2x9z.shop~shop.svc.cluster.local',
  cluster: 'orders.shop',
  logName: 'audit',
  direction: 'inbound',
  streamId: '5ff3a4a4-25b8-4d5c-a0f6-1f0d1ef65b2b',
  entry: 'DownstreamEnd',
}

const { effect, reason, rule } = decision
const candidate = { effect: 'deny', reason: 'NO_MATCHING_RULE', policyVersion: `sha256:${'6a'.repeat(32)}` } as const

/** One event of each type: a run that starts, loads its policy, decides one access and hears of its outcome. */
const events: readonly AuditEvent[] = [
  trailEvent(uuid(1), at('09:59:58.000'), {
    change: 'opened',
    replica: 'countersign-0',
    previous: {
      trail: 'countersign-0-019aa400-0000-7000-8000-00000000000b',
      sequence: '0000000000000042',
      hash: '9f'.repeat(32),
      closed: true,
    },
    versions: { countersign: '0.1.0', node: '24.18.1' },
    settings: `sha256:${'3c'.repeat(32)}`,
    verifierKey: signer.verifierKey,
  }),
  policyEvent(uuid(2), at('09:59:58.100'), {
    change: 'loaded',
    origin: 'folder',
    candidate: false,
    policyVersion,
    previousVersion: null,
    files: [
      { name: 'model.conf', sha256: 'a1'.repeat(32) },
      { name: 'policy.csv', sha256: 'b2'.repeat(32) },
    ],
    author: 'Ana Li',
    ticket: 'CHG-1207',
    signedBy: ['c3'.repeat(32)],
    rules: { added: 14, removed: 0, total: 14 },
    problems: [],
  }),
  decisionEvent(ordersRequest, { ...decision, candidate }),
  accessEvent({
    ...ordersRequest,
    id: uuid(4),
    peer: ordersRequest.subject.peer,
    address: '10.1.2.3',
    joined: { decisionId, mediation: 'checked', effect, reason, rule, policyVersion },
    phase: 'end',
    outcome,
    envoy,
  }),
]

/** The records of these events, and of a checkpoint that covers them, as one trail; docs/events.md shows them. */
export function documentedRecords(): readonly string[] {
  const lines: string[] = []
  const tree = MerkleTree.empty()
  let { prevHash } = firstPlace
  const add = (event: AuditEvent): void => {
    const recordedAt = new Date(event.time.getTime() + 1)
    const record = sealRecord(encodeEvent(event), { ...firstPlace, sequence: tree.size + 1, prevHash, recordedAt })
    lines.push(record.line)
    tree.append(record.hash)
    prevHash = record.hash
  }
  for (const event of events) add(event)
  const note = signer.sign({ origin: firstPlace.trail, size: tree.size, root: tree.root() })
  add(checkpointEvent(uuid(5), at('10:00:08.000'), { note }))
  return lines
}

function uuid(number: number): string {
  return `019aa5d5-76fb-7000-8000-00000000000${String(number)}`
}

function at(time: string): Date {
  return new Date(`2026-11-22T${time}Z`)
}
