import type { SpooledRecord } from '../../spool/spooled-record.ts'

/** A record as Kafka carries it. */
export interface KafkaMessage {
  /** The replica's name: a replica stays in one partition, over restarts too. */
  readonly key: string
  /** The record's own bytes. */
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** Below the 1,048,588 bytes that a broker takes by default, with room for what the format adds. */
export const maxProduceBytes = 900_000

/** More than the record format adds to one message: lengths, deltas, attributes. */
const overheadBytes = 64

/**
 * Groups records, in their order and with none left out, into batches of at most `maxProduceBytes`. A record that is
 * larger than that by itself is a batch of its own.
 */
export function* toMessages(records: readonly SpooledRecord[], replica: string): Generator<readonly KafkaMessage[]> {
  let batch: KafkaMessage[] = []
  let bytes = 0
  for (const { line } of records) {
    const message = toMessage(line, replica)
    const size = sizeOf(message)
    if (batch.length > 0 && bytes + size > maxProduceBytes) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(message)
    bytes += size
  }
  if (batch.length > 0) yield batch
}

function toMessage(line: string, replica: string): KafkaMessage {
  const headers = { 'content-type': 'application/cloudevents+json', ...eventHeaders(line) }
  return { key: replica, value: Buffer.from(line), headers }
}

/** The head of every line that the writer makes; ids and types never need escapes. */
const head = /^\{"specversion":"1\.0","id":"([^"\\]{1,256})","type":"([^"\\]{1,256})"/

/** A line that names no id or type is delivered without those headers: no record is left out. */
function eventHeaders(line: string): Record<string, string> {
  const match = head.exec(line)
  const { id, type } = match === null ? parsed(line) : { id: match[1], type: match[2] }
  return {
    ...(typeof type === 'string' ? { ce_type: type } : {}),
    ...(typeof id === 'string' ? { ce_id: id } : {}),
  }
}

function parsed(line: string): { readonly id?: unknown; readonly type?: unknown } {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}

function sizeOf({ key, value, headers }: KafkaMessage): number {
  let bytes = overheadBytes + Buffer.byteLength(key) + value.length
  for (const [name, text] of Object.entries(headers)) bytes += 8 + Buffer.byteLength(name) + Buffer.byteLength(text)
  return bytes
}
