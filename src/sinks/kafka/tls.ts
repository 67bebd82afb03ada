import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { CountersignError, messageOf } from '../../errors.ts'

/** Files of PEM; read again at every connect, so that they can be renewed in place. */
export interface KafkaTlsFiles {
  /** Who signs the brokers' certificates; default: what Node.js trusts. */
  readonly ca?: string | undefined
  /** This client's own certificate and key, where the brokers ask for one. */
  readonly certificate?: string | undefined
  readonly key?: string | undefined
}

/** Reads the files. Throws TLS_INVALID (retryable: files can be renewed). */
export function readTls({ ca, certificate, key }: KafkaTlsFiles): SecureContextOptions {
  const context = {
    ...(ca === undefined ? {} : { ca: readPem('CA', ca) }),
    ...(certificate === undefined ? {} : { cert: readPem('certificate', certificate) }),
    ...(key === undefined ? {} : { key: readPem('key', key) }),
  }
  try {
    createSecureContext(context)
  } catch (cause) {
    const files = [ca, certificate, key].filter((file) => file !== undefined).join(', ')
    throw tlsInvalid(`the files for TLS to Kafka (${files}) do not fit together: ${messageOf(cause)}`, cause)
  }
  return context
}

function readPem(what: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw tlsInvalid(`the ${what} file for TLS to Kafka cannot be read: ${messageOf(cause)}`, cause)
  }
}

function tlsInvalid(message: string, cause: unknown): CountersignError {
  return new CountersignError('TLS_INVALID', message, { cause, retryable: true })
}
