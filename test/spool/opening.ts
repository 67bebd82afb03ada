import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { v7 as uuidv7 } from 'uuid'
import { decide } from '../../src/decision/decide.ts'
import type { DecisionData } from '../../src/audit/event-data.ts'
import { type AuditEvent, decisionEvent, trailEvent } from '../../src/audit/event.ts'
import { checkLine } from '../../src/audit/chain.ts'
import { auditUnavailable } from '../../src/decision/decide.ts'
import type { Cursor, SpoolOpening } from '../../src/spool/protocol.ts'
import { openSpoolReader } from '../../src/spool/reader.ts'
import { ordersRequest } from '../cases/access-requests.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'
import { signingKeyPem } from '../cases/signing-key.ts'
import { expectValidRecord } from '../contract/event-schema.ts'

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'countersign-spool-'))
}

export function openingIn(dir: string, more: Partial<SpoolOpening> = {}): SpoolOpening {
  return {
    dir,
    replica: 'test-1',
    trail: `test-1-${uuidv7()}`,
    openedId: uuidv7(),
    versions: { countersign: '0.1.0', node: process.version },
    settings: `sha256:${'0'.repeat(64)}`,
    sinks: ['archive'],
    retainDeliveredMs: 600_000,
    maxBytes: 1e9,
    checkpoints: { keyName: 'countersign', privateKey: signingKeyPem(), everyRecords: 1000, everyMs: 10_000 },
    known: [],
    distrust: null,
    ...more,
  }
}

/** A sink's step forward, without a note of its own. */
export function cursorAt(sink: string, position: number): Cursor {
  return { sink, position, mark: null, rewound: false }
}

/** An allow, with what replaces it where it cannot be kept in time. */
export function newDecision(): {
  readonly id: string
  readonly event: AuditEvent
  readonly ifLate: (superseding: boolean) => AuditEvent
} {
  const id = uuidv7()
  const rules = ruleSetThat(() => allowed)
  const decision = decide(ordersRequest, rules, { decisionId: id, nowUs: () => 0, anonymous: 'deny' })
  const late = auditUnavailable(decision)
  return {
    id,
    event: decisionEvent(ordersRequest, decision),
    ifLate: (superseding) => decisionEvent(ordersRequest, late, superseding ? { id: uuidv7() } : undefined),
  }
}

/** Stands for an access event, on which nobody waits; told from real gaps by `of: trail`. */
export function newAccess(): AuditEvent {
  return trailEvent(uuidv7(), new Date(), {
    change: 'gap',
    of: 'trail',
    trail: null,
    fromSequence: null,
    toSequence: null,
    count: 1,
    countExact: true,
    from: new Date().toISOString(),
    to: new Date().toISOString(),
    reason: 'SPOOL_REPLACED',
    envoy: null,
  })
}

export interface Kept {
  readonly id: string
  readonly type: string
  readonly trail: string
  readonly sequence: string
  readonly data: Partial<DecisionData> & Record<string, unknown>
}

/** Every record of a spool, in order, each validated; the chain is checked too. */
export function keptIn(dir: string): Kept[] {
  const reader = openSpoolReader(dir)
  if (reader === undefined) return []
  try {
    const records = reader.after(0, 1_000_000)
    const last = new Map<string, { sequence: number; hash: string }>()
    for (const { line } of records) {
      const checked = checkLine(line)
      if (!checked.ok) throw new Error(checked.problem)
      const { trail, sequence, prevHash, hash } = checked.place
      const before = last.get(trail)
      if (before !== undefined && (before.sequence + 1 !== sequence || before.hash !== prevHash)) {
        throw new Error(`${trail} does not go on at ${sequence}`)
      }
      last.set(trail, { sequence, hash })
    }
    return records.map(({ line }) => expectValidRecord(line) as unknown as Kept)
  } finally {
    reader.close()
  }
}
