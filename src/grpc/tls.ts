import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { CountersignError, messageOf } from '../errors.ts'

/** Paths of PEM files. */
export interface TlsFiles {
  readonly certificate: string
  readonly key: string
  readonly clientCa: string
}

/** Their content, in PEM; the key fits the certificate. Made only by `readTls`. */
export interface TlsMaterial {
  readonly certificate: Buffer
  readonly key: Buffer
  readonly clientCa: Buffer
}

/** Reads and checks what mTLS needs. Throws TLS_INVALID, which names the setting and the file. */
export function readTls(files: TlsFiles): TlsMaterial {
  const certificate = readPem('tls.certificate', files.certificate)
  const key = readPem('tls.key', files.key)
  const clientCa = readPem('tls.clientCa', files.clientCa)
  const leaf = parsed('tls.certificate', files.certificate, () => new X509Certificate(certificate))
  const privateKey = parsed('tls.key', files.key, () => createPrivateKey(key))
  for (const one of certificatesIn(clientCa)) parsed('tls.clientCa', files.clientCa, () => new X509Certificate(one))
  if (certificatesIn(clientCa).length === 0) throw invalid('tls.clientCa', files.clientCa, 'it holds no certificate')
  refuseForeignKey(leaf, privateKey, files)
  return { certificate, key, clientCa }
}

function refuseForeignKey(leaf: X509Certificate, key: KeyObject, files: TlsFiles): void {
  if (leaf.checkPrivateKey(key)) return
  throw invalid('tls.key', files.key, `it is not the key of the certificate in ${files.certificate} (tls.certificate)`)
}

function readPem(setting: string, path: string): Buffer {
  return parsed(setting, path, () => readFileSync(path))
}

function parsed<T>(setting: string, path: string, read: () => T): T {
  try {
    return read()
  } catch (thrown) {
    throw invalid(setting, path, messageOf(thrown), thrown)
  }
}

function certificatesIn(pem: Buffer): readonly string[] {
  return pem.toString().match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? []
}

function invalid(setting: string, path: string, why: string, cause?: unknown): CountersignError {
  return new CountersignError('TLS_INVALID', `${setting}: ${path} cannot be used: ${why}`, { cause })
}
