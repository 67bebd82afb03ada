// The certificate library asks for it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  type X509Certificate,
} from '@peculiar/x509'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const hourMs = 3_600_000

/** Certificate and key, in PEM. */
export interface KafkaCertificate {
  readonly certificate: string
  readonly key: string
}

/** A certificate authority, made on the spot, that issues certificates for brokers on loopback and for their clients. */
export async function makeKafkaAuthority(): Promise<{
  readonly ca: string
  issue(name: string): Promise<KafkaCertificate>
}> {
  const keys = await generateKeys()
  const extensions = [new BasicConstraintsExtension(true, undefined, true)]
  const name = 'CN=Kafka test authority'
  const ca = await X509CertificateGenerator.createSelfSigned({ name, keys, extensions, ...common() })
  return { ca: ca.toString('pem'), issue: (client) => issue(ca, keys.privateKey, client) }
}

async function issue(ca: X509Certificate, signingKey: webcrypto.CryptoKey, name: string): Promise<KafkaCertificate> {
  const keys = await generateKeys()
  const certificate = await X509CertificateGenerator.create({
    issuer: ca.subject,
    subject: `CN=${name}`,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
    ...common(),
  })
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  return { certificate: certificate.toString('pem'), key }
}

function generateKeys() {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

function common() {
  const now = Date.now()
  return { signingAlgorithm: algorithm, notBefore: new Date(now - hourMs), notAfter: new Date(now + 24 * hourMs) }
}
