import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Certificate, makeAuthority, writePki } from '../../deploy/envoy/demo/certificates.ts'
import { readTls, type TlsFiles } from '../../src/grpc/tls.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-tls-'))
const good: TlsFiles = { certificate: file('own.crt'), key: file('own.key'), clientCa: file('ca.crt') }
let other: Certificate

beforeAll(async () => {
  const ours = await makeAuthority('cluster.local')
  other = await ours.issue('spiffe://cluster.local/ns/a/sa/b')
  writePki(folder, 'own', await ours.issue('spiffe://cluster.local/ns/countersign/sa/countersign'), [ours])
  writeFileSync(file('other.key'), other.key)
  writeFileSync(file('text'), 'no PEM')
  writeFileSync(
    file('broken-ca.crt'),
    `${ours.certificate}\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
  )
})

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('the files of mTLS', () => {
  test('are taken where they fit together', () => {
    expect(readTls(good).clientCa.toString()).toContain('BEGIN CERTIFICATE')
  })

  test.each<[what: string, change: Partial<TlsFiles>, setting: string]>([
    ['a certificate that is missing', { certificate: file('absent') }, 'tls.certificate'],
    ['a certificate that is text', { certificate: file('text') }, 'tls.certificate'],
    ['a key that is missing', { key: file('absent') }, 'tls.key'],
    ['a key that is text', { key: file('text') }, 'tls.key'],
    ['a key of another certificate', { key: file('other.key') }, 'tls.key'],
    ['a CA file that is missing', { clientCa: file('absent') }, 'tls.clientCa'],
    ['a CA file that holds no certificate', { clientCa: file('text') }, 'tls.clientCa'],
    ['a CA file with a broken certificate', { clientCa: file('broken-ca.crt') }, 'tls.clientCa'],
    ['a folder', { key: folder }, 'tls.key'],
  ])('are refused by setting and path: %s', (_, change, setting) => {
    const path = Object.values(change)[0] ?? ''
    expect(() => readTls({ ...good, ...change })).toThrow(
      expect.objectContaining({
        code: 'TLS_INVALID',
        message: expect.stringContaining(`${setting}: ${path} cannot be used`),
      }),
    )
  })
})

function file(name: string): string {
  return join(folder, name)
}
