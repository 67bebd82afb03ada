import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AccessData, DecisionData } from '../../src/audit/event-data.ts'
import { type Authority, makeAuthority, writePki } from '../../deploy/envoy/demo/certificates.ts'
import { type Countersign, runCountersign, startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { type Orders, startOrders } from '../../deploy/envoy/demo/orders.ts'
import { until } from '../../deploy/envoy/demo/processes.ts'
import type { Client } from '../../deploy/envoy/demo/request.ts'
import type { SidecarOptions } from '../../deploy/envoy/demo/sidecar.ts'
import { keptLines } from '../archive/kept-lines.ts'
import { expectValidRecord } from '../contract/event-schema.ts'

/** The identities of a small mesh, and those that do not belong to it. */
export interface Clients {
  readonly web: Client
  readonly report: Client
  readonly partner: Client
  readonly nobody: Client
}

/** One record as a reader sees it. */
export interface TrailRecord<Data = unknown> {
  readonly id: string
  readonly type: string
  readonly subject?: string
  readonly data: Data
}

/** What a mesh test starts with: a folder, certificates, an upstream, and a server. */
export interface Mesh {
  readonly folder: string
  readonly data: string
  readonly ours: Authority
  readonly clients: Clients
  readonly orders: Orders
  readonly countersign: Countersign
  /** What a sidecar of this mesh is started with. */
  readonly sidecar: SidecarOptions
  /** All records so far, each validated against the schema. */
  records(): Promise<TrailRecord[]>
  /** The decision and access records of one decision id, once both are there. */
  recordsOf(
    decisionId: string,
  ): Promise<{ decisions: TrailRecord<DecisionData>[]; accesses: TrailRecord<AccessData>[] }>
  verify(): Promise<{ status: number | null; output: string }>
  stop(): Promise<void>
}

export const orderId = 'spiffe://cluster.local/ns/shop/sa/orders'

const sources = { main: 'src/cli/main.ts' } as const

export interface MeshOptions {
  readonly settings?: Readonly<Record<string, unknown>>
  /** Makes settings that need the certificates, which stand in `pki/` of the folder. */
  readonly settingsIn?: (folder: string, ours: Authority) => Promise<Readonly<Record<string, unknown>>>
}

export async function startMesh(options: MeshOptions = {}): Promise<Mesh> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-e2e-'))
  const data = join(folder, 'data')
  const ours = await makeAuthority('cluster.local')
  const foreign = await makeAuthority('partner.example')
  writePki(join(folder, 'pki'), 'workload', await ours.issue(orderId), [ours, foreign])
  const orders = await startOrders()
  // These tests are about what is decided and recorded, not about how fast: several of them share a machine.
  const settings = { audit: { deadlineMs: 4000 }, ...options.settings, ...(await options.settingsIn?.(folder, ours)) }
  const countersign = await startCountersign({ ...sources, data, settings })
  const mesh: Mesh = {
    folder,
    data,
    ours,
    orders,
    countersign,
    sidecar: { folder, countersignPort: countersign.port, upstream: orders },
    clients: {
      web: { certificate: await ours.issue('spiffe://cluster.local/ns/shop/sa/web') },
      report: { certificate: await ours.issue('spiffe://cluster.local/ns/shop/sa/report') },
      partner: { certificate: await foreign.issue('spiffe://partner.example/ns/shop/sa/web') },
      nobody: {},
    },
    records: () => recordsIn(data),
    recordsOf: (decisionId) => recordsOfDecision(data, decisionId),
    verify: () => runCountersign(['verify', '--data', data], sources),
    stop: async () => {
      await countersign.process.stop()
      orders.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return mesh
}

/** All records of a data folder, as `query --json` prints them, each validated. */
export async function recordsIn(data: string, within: readonly string[] = []): Promise<TrailRecord[]> {
  const { output } = await runCountersign(['query', '--data', data, '--json'], { ...sources, within })
  const lines = output.split('\n').filter((line) => line !== '')
  return lines.map((line) => expectValidRecord(line) as unknown as TrailRecord)
}

async function recordsOfDecision(data: string, decisionId: string): ReturnType<Mesh['recordsOf']> {
  let decisions: TrailRecord<DecisionData>[] = []
  let accesses: TrailRecord<AccessData>[] = []
  await until(`both records of decision ${decisionId}`, async () => {
    const all = await recordsIn(data)
    const ours = all.filter((record) => (record.data as { decisionId?: string }).decisionId === decisionId)
    decisions = ours.filter(({ type }) => type === 'io.countersign.decision.v1') as TrailRecord<DecisionData>[]
    accesses = ours.filter(({ type }) => type === 'io.countersign.access.v1') as TrailRecord<AccessData>[]
    return decisions.length > 0 && accesses.some(({ data: access }) => access.phase === 'end')
  })
  return { decisions, accesses }
}

/** The lines of the archive, trail by trail, in the order in which they were written. */
export function archivedLines(data: string): string[] {
  return keptLines(join(data, 'archive'))
}
