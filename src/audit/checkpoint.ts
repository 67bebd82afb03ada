import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import { CountersignError, messageOf } from '../errors.ts'
import type { Parsed } from '../identity/parsed.ts'

// Checkpoints: C2SP tlog-checkpoint (c2sp.org/tlog-checkpoint) as C2SP signed notes (c2sp.org/signed-note), signed with Ed25519.

/** What a checkpoint states: the first `size` records of a trail have this Merkle root. */
export interface Checkpoint {
  /** Id of the trail. */
  readonly origin: string
  readonly size: number
  /** RFC 6962 root, 32 bytes. */
  readonly root: Buffer
}

/** Signs checkpoints with one key. */
export interface CheckpointSigner {
  /** The public key in the form `<name>+<key id, 8 hex digits>+<base64>`, for those who verify. */
  readonly verifierKey: string
  /** The signed note; ends with a newline. Throws a RangeError for what a checkpoint cannot state. */
  sign(checkpoint: Checkpoint): string
}

/** A public key under its name, as a signed note names it. */
export interface VerifierKey {
  /** `<name>+<key id, 8 hex digits>+<base64 of 0x01 and the key>`. */
  readonly text: string
  readonly name: string
  /** 4 bytes. */
  readonly id: Buffer
  readonly publicKey: KeyObject
}

export type OpenedCheckpoint =
  | { readonly ok: true; readonly checkpoint: Checkpoint; readonly signedBy: VerifierKey }
  | {
      readonly ok: false
      readonly reason: 'malformed' | 'unknown-key' | 'bad-signature'
      readonly problem: string
      /** What it states, worth nothing without a signature; absent where it is malformed. */
      readonly checkpoint?: Checkpoint
    }

/** The algorithm byte of Ed25519 in key ids and verifier keys. */
const ed25519 = 1
const keyBytes = 32
const rootBytes = 32
const idBytes = 4
const signatureBytes = 64
/** SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410). */
const spkiHead = Buffer.from('302a300506032b6570032100', 'hex')
/** What signed-note lets a key be named: no Unicode space, no plus sign. */
const anyKeyName = /^[^\s+\u0085]+$/
/** What a key of ours, or a trusted one, may be named: also nothing that does not show. */
const keyName = /^[^\s+\p{C}]+$/u
/** What the first line of a checkpoint of ours may be. */
const originName = keyName
/** Signed-note asks for 16, of up to 5 kB each; a note is not to be a place to spend time in. */
const maxSignatures = 16
const maxNoteLength = 128 * 1024

/** Makes a signer of an Ed25519 private key (PKCS #8, PEM). Throws KEY_INVALID for another key, or a name that a note cannot carry. */
export function createCheckpointSigner(name: string, privateKeyPem: string): CheckpointSigner {
  if (!keyName.test(name)) {
    throw new CountersignError(
      'KEY_INVALID',
      `${JSON.stringify(name)} cannot name a key: no space, "+" or control character`,
    )
  }
  const key = privateKeyOf(privateKeyPem)
  const raw = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(spkiHead.length)
  const id = keyId(name, raw)
  return {
    verifierKey: `${name}+${id.toString('hex')}+${Buffer.concat([Buffer.from([ed25519]), raw]).toString('base64')}`,
    sign: (checkpoint) => {
      const text = textOf(checkpoint)
      const signature = Buffer.concat([id, sign(null, Buffer.from(text), key)])
      return `${text}\n— ${name} ${signature.toString('base64')}\n`
    },
  }
}

/** Reads a public key in the form `<name>+<key id>+<base64>`, whose id has to be that of its name and key. */
export function parseVerifierKey(text: string): Parsed<VerifierKey> {
  const [name = '', id = '', ...rest] = text.split('+')
  // Base64 may hold "+" itself.
  const encoded = rest.join('+')
  const wrong = (problem: string): Parsed<VerifierKey> => ({ ok: false, problem })
  if (!keyName.test(name)) return wrong('the form is NAME+ID+KEY, without spaces')
  if (!/^[0-9a-f]{8}$/.test(id)) return wrong('the id, after the first "+", is 8 lower-case hex digits')
  const bytes = bytesIn(encoded)
  if (bytes?.length !== 1 + keyBytes || bytes[0] !== ed25519) {
    return wrong('the key, after the second "+", is base64 of the byte 1 and 32 bytes of an Ed25519 key')
  }
  const raw = bytes.subarray(1)
  if (keyId(name, raw).toString('hex') !== id) return wrong(`the id ${id} is not that of this name and key`)
  const publicKey = createPublicKey({ key: Buffer.concat([spkiHead, raw]), format: 'der', type: 'spki' })
  return { ok: true, value: { text, name, id: Buffer.from(id, 'hex'), publicKey } }
}

/**
 * Reads a note and checks its signature with those of `keys` that it names. One good signature of a known key is enough; a bad one
 * of a known key spoils the note (signed-note); lines of unknown keys are passed over.
 */
export function openCheckpoint(note: string, keys: readonly VerifierKey[]): OpenedCheckpoint {
  const parts = splitNote(note)
  const checkpoint = parts === undefined ? undefined : checkpointIn(parts.text)
  if (parts === undefined || checkpoint === undefined) {
    return { ok: false, reason: 'malformed', problem: 'the note is not a signed checkpoint' }
  }
  let signedBy: VerifierKey | undefined
  const text = Buffer.from(parts.text)
  for (const { name, id, signature } of parts.signatures) {
    // More than one, where the short ids of two trusted keys happen to be the same.
    const known = keys.filter((key) => key.name === name && key.id.equals(id))
    if (known.length === 0) continue
    const key = known.find(({ publicKey }) => isSignature(signature, text, publicKey))
    if (key === undefined) {
      const problem = `the signature of ${name} (key ${id.toString('hex')}) does not fit the checkpoint`
      return { ok: false, reason: 'bad-signature', problem, checkpoint }
    }
    signedBy ??= key
  }
  if (signedBy !== undefined) return { ok: true, checkpoint, signedBy }
  const names = parts.signatures.map(({ name, id }) => `${name} (key ${id.toString('hex')})`).join(', ')
  return {
    ok: false,
    reason: 'unknown-key',
    problem: `the checkpoint is signed by ${names}, no key that is trusted`,
    checkpoint,
  }
}

interface NoteSignature {
  readonly name: string
  readonly id: Buffer
  readonly signature: Buffer
}

function splitNote(note: string): { readonly text: string; readonly signatures: readonly NoteSignature[] } | undefined {
  // U+FFFD is what a lenient reader makes of bytes that are not UTF-8, which a note must not hold.
  // eslint-disable-next-line no-control-regex
  if (note.length > maxNoteLength || !note.isWellFormed() || /[\u0000-\u0009\u000b-\u001f\ufffd]/.test(note)) {
    return undefined
  }
  const split = note.lastIndexOf('\n\n')
  if (split === -1 || !note.endsWith('\n')) return undefined
  const lines = note.slice(split + 2, -1).split('\n')
  if (lines.length > maxSignatures) return undefined
  const signatures = lines.map(signatureIn)
  if (!signatures.every((signature) => signature !== undefined)) return undefined
  return { text: note.slice(0, split + 1), signatures }
}

function signatureIn(line: string): NoteSignature | undefined {
  const [dash, name = '', encoded = '', ...rest] = line.split(' ')
  const bytes = bytesIn(encoded)
  if (dash !== '—' || rest.length > 0 || !anyKeyName.test(name)) return undefined
  if (bytes === undefined || bytes.length <= idBytes) return undefined
  return { name, id: bytes.subarray(0, idBytes), signature: bytes.subarray(idBytes) }
}

function isSignature(signature: Buffer, text: Buffer, key: KeyObject): boolean {
  return signature.length === signatureBytes && verify(null, text, key, signature)
}

/** Lines behind the root are extensions: signed, and nothing that is understood here. */
function checkpointIn(text: string): Checkpoint | undefined {
  const [origin = '', size = '', encoded = '', ...extensions] = text.slice(0, -1).split('\n')
  const root = bytesIn(encoded)
  // 16 digits are more than any trail has records; signed-note has no limit.
  const isSize = /^(?:0|[1-9][0-9]{0,15})$/.test(size) && Number.isSafeInteger(Number(size))
  if (origin === '' || !isSize || root?.length !== rootBytes || extensions.includes('')) return undefined
  return { origin, size: Number(size), root }
}

function textOf({ origin, size, root }: Checkpoint): string {
  if (!originName.test(origin) || !Number.isSafeInteger(size) || size < 0 || root.length !== rootBytes) {
    throw new RangeError(`no checkpoint can state size ${String(size)} of ${JSON.stringify(origin)}`)
  }
  return `${origin}\n${String(size)}\n${root.toString('base64')}\n`
}

/** RFC 4648, section 4: the one encoding that the bytes have; undefined for anything else. */
function bytesIn(encoded: string): Buffer | undefined {
  const bytes = Buffer.from(encoded, 'base64')
  return bytes.toString('base64') === encoded ? bytes : undefined
}

function keyId(name: string, rawKey: Buffer): Buffer {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.from([ed25519]), rawKey]), 'buffer').subarray(
    0,
    idBytes,
  )
}

function privateKeyOf(pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (thrown) {
    throw new CountersignError('KEY_INVALID', `the signing key cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
  if (key.asymmetricKeyType === 'ed25519') return key
  const found = key.asymmetricKeyType ?? 'unknown'
  throw new CountersignError('KEY_INVALID', `the signing key is of type ${found}; an Ed25519 key is needed`)
}
