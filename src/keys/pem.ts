import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { CountersignError } from '../errors.ts'

// Ed25519 keys in PEM (RFC 7468), as policies and checkpoints are signed with.

/** Makes the error for a file that holds no usable key, of why. */
export type Refuse = (why: string) => CountersignError

/** A new Ed25519 key pair in PEM: PKCS #8 and SubjectPublicKeyInfo. */
export function newKeyPair(): { readonly privatePem: string; readonly publicPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

/** The Ed25519 private key (PKCS #8) that a text holds. Throws what `refuse` makes; no message holds anything of the key. */
export function privateKeyIn(text: string, refuse: Refuse): KeyObject {
  const [block, ...more] = blocksOf(text, refuse)
  if (block === undefined || more.length > 0) throw refuse('it does not hold exactly one key in PEM')
  if (block.label === 'ENCRYPTED PRIVATE KEY') throw refuse('the key is encrypted; decrypt it with `openssl pkey`')
  if (block.label !== 'PRIVATE KEY') throw refuse(`it holds ${block.label}; allowed: a PRIVATE KEY (PKCS #8)`)
  return ed25519(() => createPrivateKey(block.text), refuse)
}

/** The Ed25519 public keys (SubjectPublicKeyInfo) that a text holds, at least one. Throws what `refuse` makes. */
export function publicKeysIn(text: string, refuse: Refuse): readonly KeyObject[] {
  const blocks = blocksOf(text, refuse)
  if (blocks.length === 0) throw refuse('it holds no key; allowed: one or more PUBLIC KEY blocks in PEM')
  for (const { label } of blocks) {
    if (label.endsWith('PRIVATE KEY')) {
      throw refuse('it holds a private key, which belongs where policies are signed; allowed: its PUBLIC KEY')
    }
    if (label !== 'PUBLIC KEY') throw refuse(`it holds ${label}; allowed: PUBLIC KEY`)
  }
  return blocks.map((block) => ed25519(() => createPublicKey(block.text), refuse))
}

interface PemBlock {
  readonly label: string
  readonly text: string
}

/** Every block of a PEM text; what stands between them is not looked at. */
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
