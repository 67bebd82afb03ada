import type { AppendOptions, AuditLog } from '../../src/audit/audit-log.ts'
import type { AccessData, DecisionData } from '../../src/audit/event-data.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { recordLine } from '../cases/place.ts'
import { expectValidRecord } from '../contract/event-schema.ts'

/** What becomes of a decision: kept; withdrawn, because it could not be kept in time; or kept too late, and superseded. */
export type Behaviour = 'keeps' | 'withdraws' | 'supersedes'

/** A record as its reader sees it. */
export interface FakeRecord<Data> {
  readonly id: string
  readonly type: string
  readonly subject?: string
  readonly time: string
  readonly traceparent?: string
  readonly data: Data
}

/** An audit log in memory, which keeps the promises of `AuditLog`. Throws where an event makes no valid record. */
export class FakeAuditLog implements AuditLog {
  readonly #behaviour: Behaviour
  readonly #lines: string[] = []
  /** The options of each append. */
  readonly appended: AppendOptions[] = []
  /** Says when an event of `record` is durable; at once where it is left out. */
  durable: () => Promise<unknown> = () => Promise.resolve()
  /** Says when there is room for another event of `record`; at once where it is left out. */
  hasRoom: () => Promise<unknown> = () => Promise.resolve()

  constructor(behaviour: Behaviour = 'keeps') {
    this.#behaviour = behaviour
  }

  get records(): FakeRecord<unknown>[] {
    return this.#lines.map((line) => JSON.parse(line) as FakeRecord<unknown>)
  }

  get decisions(): FakeRecord<DecisionData>[] {
    return this.records.filter(({ type }) => type === 'io.countersign.decision.v1') as FakeRecord<DecisionData>[]
  }

  get accesses(): FakeRecord<AccessData>[] {
    return this.records.filter(({ type }) => type === 'io.countersign.access.v1') as FakeRecord<AccessData>[]
  }

  async append(event: AuditEvent, options: AppendOptions = {}): Promise<boolean> {
    this.appended.push(options)
    await Promise.resolve()
    if (this.#behaviour !== 'withdraws') this.#keep(event)
    if (this.#behaviour === 'keeps') return true
    const late = options.ifLate?.(this.#behaviour === 'supersedes')
    if (late !== undefined) this.#keep(late)
    return false
  }

  async record(event: AuditEvent): Promise<boolean> {
    this.#keep(event)
    await this.durable()
    return true
  }

  async room(): Promise<void> {
    await this.hasRoom()
  }

  #keep(event: AuditEvent): void {
    const line = recordLine(event)
    expectValidRecord(line)
    this.#lines.push(line)
  }
}
