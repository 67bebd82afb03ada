// A small certificate authority: issues the SPIFFE certificates of the demo and the tests.

// The certificate library asks for it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'

// SPIFFE certificates made on the spot, for demonstrations and tests only: nothing keeps or renews them.

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const hourMs = 3_600_000

/** Certificate and key, in PEM. */
export interface Certificate {
  readonly certificate: string
  readonly key: string
}

/** A certificate authority of one trust domain. */
export interface Authority {
  readonly certificate: string
  /** Issues an X509-SVID with the given URI SANs, one as the standard has it. */
  issue(...uris: readonly string[]): Promise<Certificate>
}

export async function makeAuthority(trustDomain: string): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${trustDomain}`,
    keys,
    signingAlgorithm: algorithm,
    ...validity(),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${trustDomain}` }]),
    ],
  })
  return {
    certificate: certificate.toString('pem'),
    issue: (...uris) => issue(certificate, keys.privateKey, uris),
  }
}

async function issue(
  issuer: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  uris: readonly string[],
): Promise<Certificate> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    issuer: issuer.subject,
    subject: '',
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    ...validity(),
    extensions: [
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new SubjectAlternativeNameExtension(
        uris.map((value) => ({ type: 'url' as const, value })),
        true,
      ),
    ],
  })
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { certificate: certificate.toString('pem'), key }
}

function validity(): { notBefore: Date; notAfter: Date } {
  // Clocks of machines differ a little.
  return { notBefore: new Date(Date.now() - hourMs), notAfter: new Date(Date.now() + 24 * hourMs) }
}

/** Writes what Envoy and Countersign read: the workload's certificate and key, and the CAs that are believed. */
export function writePki(folder: string, name: string, own: Certificate, authorities: readonly Authority[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, `${name}.crt`), own.certificate)
  writeFileSync(join(folder, `${name}.key`), own.key, { mode: 0o600 })
  writeFileSync(join(folder, 'ca.crt'), authorities.map(({ certificate }) => certificate).join('\n'))
}
