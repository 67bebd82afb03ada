/** What a Check was answered, as it stands on the wire. */
export interface WireAnswer {
  readonly decisionId: string
  /** What Envoy does: `allow` only for status 0 with an `ok_response`. */
  readonly effect: 'allow' | 'deny'
  readonly reason: string
}

const ok = 0
/** Fields of envoy.service.auth.v3.CheckResponse, as tags of length-delimited fields. */
const tags = { status: 0x0a, denied: 0x12, ok: 0x1a, metadata: 0x22 } as const

/** Reads a CheckResponse without a protobuf library. Throws where it is none, or where its metadata says otherwise than Envoy does. */
export function readAnswer(message: Buffer): WireAnswer {
  const fields = fieldsOf(message)
  const code = codeOf(fields.get(tags.status))
  const effect = code === ok && fields.has(tags.ok) && !fields.has(tags.denied) ? 'allow' : 'deny'
  const metadata = fields.get(tags.metadata)?.toString('latin1') ?? ''
  const [decisionId, said, reason] = [
    member(metadata, 'decisionId'),
    member(metadata, 'effect'),
    member(metadata, 'reason'),
  ]
  if (said !== effect) throw new Error(`an answer that Envoy takes for "${effect}" says "${said}" of itself`)
  if (decisionId.length !== 36) throw new Error(`an answer has the decision id "${decisionId}"`)
  return { decisionId, effect, reason }
}

function fieldsOf(message: Buffer): Map<number, Buffer> {
  const fields = new Map<number, Buffer>()
  for (let at = 0; at < message.length;) {
    const tag = message[at] ?? 0
    const { value: length, next } = varint(message, at + 1)
    fields.set(tag, message.subarray(next, next + length))
    at = next + length
  }
  return fields
}

/** google.rpc.Status.code; 0 where it is left out. */
function codeOf(status: Buffer | undefined): number {
  return status?.[0] === 0x08 ? varint(status, 1).value : ok
}

function varint(bytes: Buffer, from: number): { readonly value: number; readonly next: number } {
  let value = 0
  for (let at = from, shift = 1; ; at += 1, shift *= 128) {
    const byte = bytes[at]
    if (byte === undefined) throw new Error('an answer is no CheckResponse: it ends within a number')
    value += (byte & 0x7f) * shift
    if (byte < 0x80) return { value, next: at + 1 }
  }
}

/** A text member of a google.protobuf.Struct: entry { 0a key, 12 Value { 1a text } }, each shorter than 128 bytes. */
function member(struct: string, key: string): string {
  const entry = String.fromCharCode(0x0a, key.length) + key + String.fromCharCode(0x12)
  const at = struct.indexOf(entry)
  if (at < 0) return ''
  const text = at + entry.length + 2
  const length = struct.charCodeAt(text)
  return struct.charCodeAt(text - 1) === 0x1a ? struct.slice(text + 1, text + 1 + length) : ''
}
