import { sign, verify } from 'node:crypto'
import type { Parsed } from '../../identity/parsed.ts'
import type { PublicSigner, SigningKey } from './manifest-keys.ts'

/** A DSSE envelope (https://github.com/secure-systems-lab/dsse, version 1.0.2) with its payload decoded. */
export interface Envelope {
  readonly payloadType: string
  readonly payload: Buffer
  readonly signatures: readonly EnvelopeSignature[]
}

export interface EnvelopeSignature {
  /** What the envelope says of the key. Nobody signed that: it may help a message, and MUST NOT decide anything. */
  readonly keyId?: string
  readonly signature: Buffer
}

/** Signatures that one envelope may hold; each is tried with each listed key. */
export const maxSignatures = 16

/** The bytes that a DSSE signature is over: they bind the payload to its type. */
export function preAuthEncoding(payloadType: string, payload: Buffer): Buffer {
  const type = Buffer.from(payloadType, 'utf8')
  const head = `DSSEv1 ${String(type.length)} ${payloadType} ${String(payload.length)} `
  return Buffer.concat([Buffer.from(head, 'utf8'), payload])
}

/** An envelope in JSON, with an Ed25519 signature by each key. Ends with a line's end. */
export function signEnvelope(payloadType: string, payload: Buffer, keys: readonly SigningKey[]): string {
  const bytes = preAuthEncoding(payloadType, payload)
  const signatures = keys.map(({ keyId, key }) => ({ keyid: keyId, sig: sign(null, bytes, key).toString('base64') }))
  return `${JSON.stringify({ payloadType, payload: payload.toString('base64'), signatures }, null, 2)}\n`
}

/** Those of the signers by whom a signature of the envelope is. */
export function signersOf(envelope: Envelope, signers: readonly PublicSigner[]): readonly PublicSigner[] {
  const bytes = preAuthEncoding(envelope.payloadType, envelope.payload)
  return signers.filter(({ key }) => envelope.signatures.some(({ signature }) => verify(null, bytes, key, signature)))
}

/** Reads an envelope, and refuses what is none. Never throws. Members that DSSE does not know are not looked at. */
export function readEnvelope(text: string): Parsed<Envelope> {
  const envelope = parseObject(text)
  if (envelope === undefined) return wrong('it is no JSON object')
  const { payloadType, payload, signatures } = envelope
  if (typeof payloadType !== 'string') return wrong('"payloadType" is no text')
  const bytes = fromBase64(payload)
  if (bytes === undefined) return wrong('"payload" is not in base64')
  const read = readSignatures(signatures)
  return read.ok ? { ok: true, value: { payloadType, payload: bytes, signatures: read.value } } : read
}

function readSignatures(list: unknown): Parsed<readonly EnvelopeSignature[]> {
  if (!Array.isArray(list) || list.length === 0) return wrong('"signatures" is no list with at least one signature')
  if (list.length > maxSignatures) return wrong(`it has more than ${String(maxSignatures)} signatures`)
  const signatures: EnvelopeSignature[] = []
  for (const [index, entry] of list.entries()) {
    const { keyid, sig } = isObject(entry) ? entry : {}
    const signature = fromBase64(sig)
    if (signature === undefined) return wrong(`"sig" of signature ${String(index + 1)} is not in base64`)
    signatures.push(typeof keyid === 'string' ? { keyId: keyid, signature } : { signature })
  }
  return { ok: true, value: signatures }
}

/** A JSON object; undefined where the text is anything else. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** RFC 4648, standard or URL-safe, since DSSE asks verifiers to take both; only the one encoding that the bytes have. */
function fromBase64(text: unknown): Buffer | undefined {
  if (typeof text !== 'string') return undefined
  const bytes = Buffer.from(text, 'base64')
  const bare = text.replace(/={1,2}$/, '')
  const padded = bare === text || text.length % 4 === 0
  const known = [bytes.toString('base64').replace(/=+$/, ''), bytes.toString('base64url')]
  return padded && known.includes(bare) ? bytes : undefined
}

function wrong(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem }
}
