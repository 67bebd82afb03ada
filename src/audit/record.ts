import { hash } from 'node:crypto'
import type { AuditEvent } from './event.ts'
import { cutToSize, limitSteps, maxRecordBytes } from './redact.ts'

/** Room that the writer's members take in a record, with some to spare. */
const placeBytes = 1024

declare const proved: unique symbol

/** An event as JSON, encoded once, open at its end: the writer adds the place. Made only by `encodeEvent`. */
export type EncodedEvent = string & { readonly [proved]: 'EncodedEvent' }

/** The place of a record: which trail, where in it, after what. */
export interface Place {
  readonly trail: string
  /** 1-based. */
  readonly sequence: number
  /** Hash of the record before it; `firstPrevHash` for the first. */
  readonly prevHash: string
  readonly recordedAt: Date
}

/** `prevhash` of a trail's first record. */
export const firstPrevHash = '0'.repeat(64)

/** One record: its line (without a newline) and its hash (64 lower-case hex digits). */
export interface SealedRecord {
  readonly line: string
  readonly hash: string
}

/** Encodes an event, cut to what a record may carry. MUST NOT leave a line separator in the line, nor what is not UTF-8. */
export function encodeEvent(event: AuditEvent): EncodedEvent {
  const [usual, ...smaller] = limitSteps
  let encoded = encode(event, cutToSize(event.data, usual))
  for (const limits of smaller) {
    if (Buffer.byteLength(encoded) <= maxRecordBytes - placeBytes) break
    encoded = encode(event, cutToSize(event.data, limits))
  }
  return encoded
}

function encode(event: AuditEvent, data: object): EncodedEvent {
  const json = JSON.stringify({
    specversion: '1.0',
    id: event.id,
    type: event.type,
    ...(event.subject === undefined ? {} : { subject: event.subject }),
    time: event.time.toISOString(),
    datacontenttype: 'application/json',
    ...(event.traceparent === undefined ? {} : { traceparent: event.traceparent }),
    data,
  })
  return json.slice(0, -1).replace(escaped, escapeCharacter) as EncodedEvent
}

// Line separators beside the newline: readers of lines, Node's and Python's among them, break at them. And U+FFFD: a reader
// that decodes leniently puts it in the place of bytes that are not UTF-8, so it must not stand in a line itself.
const escaped = /[\u0085\u2028\u2029\ufffd]/g

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/**
 * Gives an event its place. `hash` is the SHA-256 of the line with `,"hash":"<64 hex>"` taken out, so any language checks
 * it by cutting a suffix of fixed length (docs/events.md).
 */
export function sealRecord(event: EncodedEvent, place: Place): SealedRecord {
  const open =
    `${event},"source":${JSON.stringify(`/countersign/${place.trail}`)},"recordedat":"${place.recordedAt.toISOString()}"` +
    `,"trail":${JSON.stringify(place.trail)},"sequence":"${formatSequence(place.sequence)}","prevhash":"${place.prevHash}"`
  const digest = hash('sha256', `${open}}`, 'hex')
  return { line: `${open},"hash":"${digest}"}`, hash: digest }
}

/** A sequence as records write it: 16 decimal digits, so that it sorts as text. */
export function formatSequence(sequence: number): string {
  return String(sequence).padStart(16, '0')
}
