import { eventTypes } from '../audit/event.ts'
import type { ParsedRecord } from '../audit/chain.ts'
import { kindOf, numberAt, textAt } from './members.ts'

/** One access: what was decided and how it ended, whichever of both is known. */
export interface AccessRow {
  readonly kind: 'access'
  readonly time: string
  readonly principal: string | undefined
  readonly destination: string | undefined
  /** What was asked for, such as `GET /orders/1`. */
  readonly request: string
  effect: string | undefined
  /** The reason of the decision; where there was no decision, what Envoy did without one. */
  reason: string | undefined
  /** Where the rule stands, such as `policy.csv:12`. */
  rule: string | undefined
  /** Status that the caller got, or how the access ended; undefined as long as no end of it is recorded. */
  status: string | undefined
  readonly decisionId: string | undefined
  decided: boolean
}

/** Anything else that stands in a trail. */
export interface EventRow {
  readonly kind: 'event'
  readonly time: string
  readonly what: string
  readonly text: string
}

export type Row = AccessRow | EventRow

/**
 * Makes one row of the decision and the access record of each access, in the order of their first records. Bounded: a
 * row waits for its other half until `window` rows wait; a half that comes later is a row of its own.
 */
export class AccessJoin {
  readonly #window: number
  readonly #waiting: Row[] = []
  readonly #byDecision = new Map<string, AccessRow>()

  constructor(window = 5000) {
    this.#window = window
  }

  /** Takes a record; returns the rows that are ready. */
  add(record: ParsedRecord): Row[] {
    if (record.type === eventTypes.decision || record.type === eventTypes.access) this.#addHalf(record)
    else this.#waiting.push(eventRow(record))
    return this.#take((row) => isComplete(row) || this.#waiting.length > this.#window)
  }

  /** The rows that still wait. */
  end(): Row[] {
    return this.#take(() => true)
  }

  #addHalf(record: ParsedRecord): void {
    const decisionId = textAt(record, 'decisionId')
    const known = decisionId === undefined ? undefined : this.#byDecision.get(decisionId)
    const again = known?.status !== undefined && record.type === eventTypes.access
    if (known !== undefined && !again) {
      fill(known, record)
      return
    }
    const row = accessRow(record, decisionId)
    fill(row, record)
    this.#waiting.push(row)
    if (decisionId !== undefined) this.#byDecision.set(decisionId, row)
  }

  #take(ready: (row: Row) => boolean): Row[] {
    const rows: Row[] = []
    for (let row = this.#waiting[0]; row !== undefined && ready(row); row = this.#waiting[0]) {
      this.#waiting.shift()
      rows.push(row)
      if (row.kind === 'access' && row.decisionId !== undefined && this.#byDecision.get(row.decisionId) === row) {
        this.#byDecision.delete(row.decisionId)
      }
    }
    return rows
  }
}

function isComplete(row: Row): boolean {
  return row.kind === 'event' || (row.status !== undefined && (row.decided || row.decisionId === undefined))
}

function accessRow(record: ParsedRecord, decisionId: string | undefined): AccessRow {
  return {
    kind: 'access',
    time: record.time,
    principal: textAt(record, 'subject', 'principal'),
    destination: textAt(record, 'resource', 'principal') ?? textAt(record, 'resource', 'host'),
    request: requestOf(record),
    effect: undefined,
    reason: undefined,
    rule: undefined,
    status: undefined,
    decisionId,
    decided: false,
  }
}

/** Adds what a record knows. A decision that supersedes another one settles what was answered. */
function fill(row: AccessRow, record: ParsedRecord): void {
  const isDecision = record.type === eventTypes.decision
  if (isDecision || !row.decided) {
    row.effect = textAt(record, 'effect') ?? row.effect
    row.reason = textAt(record, 'reason') ?? textAt(record, 'mediation') ?? textAt(record, 'envoy', 'direction')
    const [file, line] = [textAt(record, 'rule', 'file'), numberAt(record, 'rule', 'line')]
    row.rule = file === undefined ? undefined : `${file}:${String(line ?? '?')}`
  }
  if (isDecision) row.decided = true
  else if (textAt(record, 'phase') === 'end') row.status = statusOf(record)
}

function requestOf(record: ParsedRecord): string {
  const rpc = textAt(record, 'action', 'rpc')
  if (rpc !== undefined) return rpc
  const method = textAt(record, 'action', 'method')
  if (method !== undefined) return `${method} ${textAt(record, 'resource', 'path') ?? ''}`.trimEnd()
  const port = numberAt(record, 'resource', 'port')
  return `${textAt(record, 'action', 'protocol') ?? ''}${port === undefined ? '' : ` port ${String(port)}`}`
}

function statusOf(record: ParsedRecord): string {
  const grpc = numberAt(record, 'outcome', 'grpcStatus')
  if (grpc !== undefined) return `grpc ${String(grpc)}`
  const status = numberAt(record, 'outcome', 'status')
  return status === undefined || status === 0 ? (textAt(record, 'outcome', 'final') ?? 'ended') : String(status)
}

function eventRow(record: ParsedRecord): EventRow {
  const what = kindOf(record)
  return { kind: 'event', time: record.time, what, text: describe(record, what) }
}

function describe(record: ParsedRecord, what: string): string {
  const change = textAt(record, 'change') ?? ''
  if (what === 'policy') return [change, textAt(record, 'policyVersion')?.slice(0, 19) ?? ''].join(' ').trimEnd()
  if (what !== 'trail') return change
  if (change === 'gap') {
    return `gap: ${String(numberAt(record, 'count') ?? '?')} of ${textAt(record, 'of') ?? '?'} not recorded, ${textAt(record, 'reason') ?? '?'}`
  }
  const previous = textAt(record, 'previous', 'trail')
  return `${change} ${record.trail}${previous === undefined ? '' : `, after ${previous}`}`
}
