import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CountersignError, messageOf } from '../../errors.ts'

/** A public key that a policy may be signed with. Made only by `readSigners` and `signerOf`. */
export interface PublicSigner {
  readonly keyId: string
  /** Ed25519, public. */
  readonly key: KeyObject
}

/** A private key that signs policies. Made only by `readSigningKey`. */
export interface SigningKey {
  readonly keyId: string
  /** Ed25519, private. */
  readonly key: KeyObject
}

interface PemBlock {
  readonly label: string
  readonly text: string
}

/** Lower-case hex SHA-256 of the key's SubjectPublicKeyInfo in DER (RFC 7093, section 2, method 4). */
export function keyIdOf(publicKey: KeyObject): string {
  return hash('sha256', publicKey.export({ type: 'spki', format: 'der' }), 'hex')
}

/** The public half of a key, whichever half is given. */
export function signerOf({ key }: SigningKey): PublicSigner {
  const publicKey = createPublicKey(key)
  return { keyId: keyIdOf(publicKey), key: publicKey }
}

/**
 * Reads Ed25519 public keys from PEM files (SubjectPublicKeyInfo), one or more in each; a key that stands twice counts once.
 * Throws CONFIG_INVALID, which names `setting`, the file, and what is allowed.
 */
export function readSigners(files: readonly string[], setting = 'policy.signers'): readonly PublicSigner[] {
  const signers = new Map<string, PublicSigner>()
  for (const file of files) {
    const refuse = (why: string): CountersignError =>
      new CountersignError('CONFIG_INVALID', `${setting}: ${file} cannot be used: ${why}`)
    for (const block of publicBlocks(readText(file, refuse), refuse)) {
      const key = ed25519(() => createPublicKey(block.text), refuse)
      signers.set(keyIdOf(key), { keyId: keyIdOf(key), key })
    }
  }
  return [...signers.values()]
}

/**
 * Reads an Ed25519 private key from a PEM file (PKCS #8). Throws USAGE, which names `flag`, the file, and what is allowed;
 * no message holds anything of the key.
 */
export function readSigningKey(file: string, flag = '--key'): SigningKey {
  const refuse = (why: string): CountersignError =>
    new CountersignError('USAGE', `${flag}: ${file} cannot be used: ${why}`)
  const [block, ...more] = blocksOf(readText(file, refuse), refuse)
  if (block === undefined || more.length > 0) throw refuse('it does not hold exactly one key in PEM')
  if (block.label === 'ENCRYPTED PRIVATE KEY') throw refuse('the key is encrypted; decrypt it with `openssl pkey`')
  if (block.label !== 'PRIVATE KEY') throw refuse(`it holds ${block.label}; allowed: a PRIVATE KEY (PKCS #8)`)
  const key = ed25519(() => createPrivateKey(block.text), refuse)
  return { keyId: keyIdOf(createPublicKey(key)), key }
}

/** A new Ed25519 key pair in PEM: PKCS #8 and SubjectPublicKeyInfo. */
export function newSigningKey(): { readonly privatePem: string; readonly publicPem: string; readonly keyId: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    keyId: keyIdOf(publicKey),
  }
}

type Refuse = (why: string) => CountersignError

function publicBlocks(text: string, refuse: Refuse): readonly PemBlock[] {
  const blocks = blocksOf(text, refuse)
  if (blocks.length === 0) throw refuse('it holds no key; allowed: one or more PUBLIC KEY blocks in PEM')
  for (const { label } of blocks) {
    if (label.endsWith('PRIVATE KEY')) {
      throw refuse('it holds a private key, which belongs where policies are signed; allowed: its PUBLIC KEY')
    }
    if (label !== 'PUBLIC KEY') throw refuse(`it holds ${label}; allowed: PUBLIC KEY`)
  }
  return blocks
}

/** Every block of a PEM text (RFC 7468); what stands between them is not looked at. */
function blocksOf(text: string, refuse: Refuse): readonly PemBlock[] {
  const whole = /-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g
  const blocks = [...text.matchAll(whole)].map(([block, label = '']) => ({ label, text: `${block}\n` }))
  const begun = text.match(/-----BEGIN/g)?.length ?? 0
  if (begun !== blocks.length) throw refuse('it holds a PEM block that is not whole')
  return blocks
}

function ed25519(read: () => KeyObject, refuse: Refuse): KeyObject {
  let key: KeyObject
  try {
    key = read()
  } catch {
    throw refuse('the key in it cannot be read')
  }
  if (key.asymmetricKeyType === 'ed25519') return key
  throw refuse(`the key in it is ${key.asymmetricKeyType ?? 'of an unknown type'}; allowed: ed25519`)
}

function readText(file: string, refuse: Refuse): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (fault) {
    throw refuse(messageOf(fault))
  }
}
