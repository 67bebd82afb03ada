import { createPublicKey, hash, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CountersignError, messageOf } from '../../errors.ts'
import { newKeyPair, privateKeyIn, publicKeysIn, type Refuse } from '../../keys/pem.ts'

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
    for (const key of publicKeysIn(readText(file, refuse), refuse))
      signers.set(keyIdOf(key), { keyId: keyIdOf(key), key })
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
  const key = privateKeyIn(readText(file, refuse), refuse)
  return { keyId: keyIdOf(createPublicKey(key)), key }
}

/** A new Ed25519 key pair in PEM, and its id. */
export function newSigningKey(): { readonly privatePem: string; readonly publicPem: string; readonly keyId: string } {
  const pair = newKeyPair()
  return { ...pair, keyId: keyIdOf(createPublicKey(pair.publicPem)) }
}

function readText(file: string, refuse: Refuse): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (fault) {
    throw refuse(messageOf(fault))
  }
}
