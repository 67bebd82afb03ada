import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseTrustDomain } from '../../src/identity/trust-domain.ts'

describe('parseTrustDomain', () => {
  test.each(['cluster.local', 'a', '0', 'prod_eu-1.example.org', '10.0.0.1', '-', 'a'.repeat(255)])(
    'accepts %j',
    (text) => {
      expect(parseTrustDomain(text)).toEqual({ ok: true, value: text })
    },
  )

  test.each([
    ['', 'the trust domain is empty'],
    ['a'.repeat(256), 'the trust domain has 256 bytes; at most 255 are allowed'],
    ['Cluster.local', expect.stringContaining('lower-case')],
    ['cluster.local:443', expect.stringContaining('"cluster.local:443"')],
    ['user@cluster.local', expect.stringContaining('may hold only')],
    ['cluster.local/', expect.stringContaining('may hold only')],
    ['cluster%2elocal', expect.stringContaining('may hold only')],
    ['münchen.example', expect.stringContaining('may hold only')],
    ['cluster.local\n', expect.stringContaining('may hold only')],
    [' cluster.local', expect.stringContaining('may hold only')],
    ['*.local', expect.stringContaining('may hold only')],
  ])('refuses %j and says why', (text, problem) => {
    expect(parseTrustDomain(text)).toEqual({ ok: false, problem })
  })

  test('never throws, and accepts only what it returns unchanged and in lower case', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const parsed = parseTrustDomain(text)
        if (parsed.ok) expect([parsed.value, text.toLowerCase()]).toEqual([text, text])
      }),
    )
  })
})
