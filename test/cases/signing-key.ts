import { createPrivateKey } from 'node:crypto'
import { createCheckpointSigner } from '../../src/audit/checkpoint.ts'

/** PKCS #8 of an Ed25519 key up to the key itself (RFC 8410). */
const head = Buffer.from('302e020100300506032b657004220420', 'hex')

/** An Ed25519 key that is the same in every run; `seed` (one byte) tells several apart. PKCS #8, PEM. */
export function signingKeyPem(seed = 7): string {
  const der = Buffer.concat([head, Buffer.alloc(32, seed)])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString()
}

export const signer = createCheckpointSigner('countersign', signingKeyPem())
