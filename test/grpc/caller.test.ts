import 'reflect-metadata'
import { webcrypto, X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { describe, expect, test } from '@jest/globals'
import { type JsonGeneralName, SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { type Caller, callerOf } from '../../src/grpc/caller.ts'

const sidecar = 'spiffe://cluster.local/ns/shop/sa/orders'

describe('the caller of a call', () => {
  test('is nobody where the port has no TLS', () => {
    const call = { getPeer: () => '127.0.0.1:4711', getAuthContext: () => ({}) }
    expect(callerOf(call)).toEqual({ kind: 'plaintext', address: '127.0.0.1' })
  })

  test('is the one SPIFFE ID of its certificate', async () => {
    expect(await callerWith([uri(sidecar)])).toMatchObject({ kind: 'proved', id: { uri: sidecar }, address: '::1' })
  })

  test('may have names of other kinds beside it', async () => {
    const names = [dns('orders.shop'), uri(sidecar), { type: 'ip' as const, value: '10.0.0.1' }]
    expect(await callerWith(names)).toMatchObject({ kind: 'proved', id: { uri: sidecar } })
  })

  test.each<[what: string, names: readonly JsonGeneralName[], problem: RegExp]>([
    ['no name', [], /no URI SAN/],
    ['a DNS name alone', [dns('orders.shop')], /no URI SAN/],
    ['two URIs', [uri(sidecar), uri('spiffe://cluster.local/ns/shop/sa/web')], /more than one/],
    ['the same URI twice', [uri(sidecar), uri(sidecar)], /more than one/],
    ['a URI that is no SPIFFE ID', [uri('https://cluster.local/ns/shop/sa/orders')], /./],
    ['a URI that holds a second name', [uri(`${sidecar}, URI:spiffe://cluster.local/ns/x/sa/y`)], /./],
    ['a DNS name that holds a URI', [dns(`a, URI:${sidecar}, b`)], /no URI SAN/],
    ['a DNS name that ends its quotes', [dns(`a", URI:${sidecar}`)], /no URI SAN/],
    ['a DNS name with a backslash before a quote', [dns(`a\\", URI:${sidecar}`)], /no URI SAN/],
    ['an e-mail address that holds a URI', [{ type: 'email', value: `a, URI:${sidecar}` }], /no URI SAN/],
  ])('is invalid where its certificate has %s', async (_, names, problem) => {
    expect(await callerWith(names)).toEqual({
      kind: 'invalid',
      problem: expect.stringMatching(problem),
      address: '::1',
    })
  })
})

test('what stands in quotes is no name of its own, also where its commas are not escaped', () => {
  const sslPeerCertificate = { subjectaltname: `DNS:"a, URI:${sidecar}, b"` } as PeerCertificate
  const call = { getPeer: () => '::1:1', getAuthContext: () => ({ transportSecurityType: 'ssl', sslPeerCertificate }) }
  expect(callerOf(call)).toMatchObject({ kind: 'invalid', problem: expect.stringMatching(/no URI SAN/) })
})

function uri(value: string): JsonGeneralName {
  return { type: 'url', value }
}

function dns(value: string): JsonGeneralName {
  return { type: 'dns', value }
}

/** What a certificate with these names makes of its holder, in the words that Node.js itself finds for the names. */
async function callerWith(names: readonly JsonGeneralName[]): Promise<Caller> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const extensions = names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])]
  const made = await X509CertificateGenerator.createSelfSigned({ keys, signingAlgorithm: algorithm, extensions })
  const sslPeerCertificate = new X509Certificate(made.toString('pem')).toLegacyObject()
  const transportSecurityType = 'ssl'
  return callerOf({ getPeer: () => '::1:4711', getAuthContext: () => ({ transportSecurityType, sslPeerCertificate }) })
}
