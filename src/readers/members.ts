import { eventTypes } from '../audit/event.ts'
import type { ParsedRecord } from '../audit/chain.ts'

/** Text at a path in a record's data; undefined where there is none. Records are believed no further than their hash. */
export function textAt(record: ParsedRecord, ...path: readonly string[]): string | undefined {
  const value = valueAt(record, path)
  return typeof value === 'string' ? value : undefined
}

/** Number at a path in a record's data; undefined where there is none. */
export function numberAt(record: ParsedRecord, ...path: readonly string[]): number | undefined {
  const value = valueAt(record, path)
  return typeof value === 'number' ? value : undefined
}

function valueAt(record: ParsedRecord, path: readonly string[]): unknown {
  let value: unknown = record.data
  for (const name of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined
    value = (value as Record<string, unknown>)[name]
  }
  return value
}

/** The short name of a record's type: `decision` of `io.countersign.decision.v1`. */
export function kindOf(record: ParsedRecord): string {
  return record.type.split('.').at(-2) ?? ''
}

/** What `opened` says, where this record is one. */
export function openedBy(record: ParsedRecord): OpenedTrail | undefined {
  if (record.type !== eventTypes.trail || textAt(record, 'change') !== 'opened') return undefined
  const verifierKey = textAt(record, 'verifierKey')
  const key = verifierKey === undefined ? {} : { verifierKey }
  const [trail, sequence, hash] = ['trail', 'sequence', 'hash'].map((name) => textAt(record, 'previous', name))
  if (trail === undefined || sequence === undefined || hash === undefined) return { previous: null, ...key }
  return { previous: { trail, sequence: /^[0-9]{16}$/.test(sequence) ? Number(sequence) : 0, hash }, ...key }
}

export interface OpenedTrail {
  /** The end of the trail before it, as it names it. */
  readonly previous: { readonly trail: string; readonly sequence: number; readonly hash: string } | null
  /** The key that its checkpoints are signed with. */
  readonly verifierKey?: string
}
