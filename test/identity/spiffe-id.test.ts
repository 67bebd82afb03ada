import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseSpiffeId } from '../../src/identity/spiffe-id.ts'

const prefix = 'spiffe://cluster.local/'

describe('parseSpiffeId', () => {
  test.each([
    ['spiffe://cluster.local/ns/shop/sa/web', 'cluster.local', '/ns/shop/sa/web'],
    ['spiffe://staging.example.com/payments/mysql', 'staging.example.com', '/payments/mysql'],
    ['spiffe://k8s-west.example.com/ns/staging/sa/default', 'k8s-west.example.com', '/ns/staging/sa/default'],
    [
      'spiffe://example.com/9eebccd2-12bf-40a6-b262-65fe0487d453',
      'example.com',
      '/9eebccd2-12bf-40a6-b262-65fe0487d453',
    ],
    ['spiffe://example.com', 'example.com', ''],
    ['spiffe://10.0.0.1/x', '10.0.0.1', '/x'],
    ['spiffe://a_b-c.d/Upper/lower/0', 'a_b-c.d', '/Upper/lower/0'],
    ['spiffe://example.com/.../..a/a..', 'example.com', '/.../..a/a..'],
    ['spiffe://example.com/a.-_Z9', 'example.com', '/a.-_Z9'],
    [`spiffe://${'a'.repeat(255)}/x`, 'a'.repeat(255), '/x'],
  ])('accepts %s', (uri, trustDomain, path) => {
    expect(parseSpiffeId(uri)).toEqual({ ok: true, value: { uri, trustDomain, path } })
  })

  test.each([
    ['an empty text', ''],
    ['another scheme', 'https://cluster.local/ns/shop/sa/web'],
    ['a scheme in upper case', 'SPIFFE://cluster.local/web'],
    ['a scheme with more before it', 'xspiffe://cluster.local/web'],
    ['a scheme alone', 'spiffe://'],
    ['one slash after the scheme', 'spiffe:/cluster.local/web'],
    ['no slash after the scheme', 'spiffe:cluster.local/web'],
    ['a DNS name', 'web.shop.svc'],
    ['a certificate subject', 'CN=web,O=shop'],
    ['an empty trust domain', 'spiffe:///ns/shop/sa/web'],
    ['a trust domain of 256 bytes', `spiffe://${'a'.repeat(256)}/x`],
    ['a trust domain in upper case', 'spiffe://Cluster.local/web'],
    ['a port', 'spiffe://cluster.local:8443/web'],
    ['an empty port', 'spiffe://cluster.local:/web'],
    ['user info', 'spiffe://user@cluster.local/web'],
    ['user info with a password', 'spiffe://user:pass@cluster.local/web'],
    ['an IPv6 address', 'spiffe://[::1]/web'],
    ['a wildcard', 'spiffe://*.local/web'],
    ['percent-encoding in the trust domain', 'spiffe://cluster%2elocal/web'],
    ['a trailing slash', `${prefix}web/`],
    ['a trailing slash after the trust domain', prefix],
    ['an empty segment', `${prefix}ns//web`],
    ['a leading empty segment', `${prefix}/web`],
    ['the segment "."', `${prefix}ns/./web`],
    ['the segment ".."', `${prefix}ns/../web`],
    ['the segment ".." at the end', `${prefix}ns/..`],
    ['percent-encoding', `${prefix}we%62`],
    ['a percent-encoded slash', `${prefix}ns%2fshop`],
    ['a percent-encoded dot segment', `${prefix}%2e%2e`],
    ['a query', `${prefix}web?x=1`],
    ['an empty query', `${prefix}web?`],
    ['a query after the trust domain', 'spiffe://cluster.local?x=1'],
    ['a fragment', `${prefix}web#x`],
    ['an empty fragment', `${prefix}web#`],
    ['a colon in the path', `${prefix}web:1`],
    ['sub-delimiters in the path', `${prefix}a!b$c`],
    ['a backslash', `${prefix}ns\\shop`],
    ['a space', `${prefix}a b`],
    ['white space around it', ` ${prefix}web`],
    ['a newline at the end', `${prefix}web\n`],
    ['a null character', `${prefix}web\0`],
    ['letters that are not ASCII', `${prefix}wéb`],
    ['a letter that looks like an ASCII one', `${prefix}wеb`],
    ['a lone surrogate', `${prefix}web\ud800`],
    ['the replacement character', `${prefix}web\ufffd`],
    ['two ids', `${prefix}web,${prefix}api`],
  ])('refuses %s', (_, text) => {
    const parsed = parseSpiffeId(text)
    expect(parsed).toEqual({ ok: false, problem: expect.stringMatching(/./) })
  })

  test('accepts 2,048 bytes and refuses 2,049', () => {
    const longest = prefix + 'a'.repeat(2048 - prefix.length)
    expect(parseSpiffeId(longest)).toMatchObject({ ok: true, value: { uri: longest } })
    expect(parseSpiffeId(`${longest}a`)).toMatchObject({ ok: false, problem: expect.stringContaining('2048') })
  })

  test('never throws, and returns an accepted id byte for byte', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }).map((text) => prefix + text),
      fc
        .string({ unit: fc.constantFrom('a', 'Z', '0', '.', '-', '_', '/', '%', ':', '@', '?', '#') })
        .map((text) => `spiffe://${text}`),
    )
    fc.assert(
      fc.property(texts, (text) => {
        const parsed = parseSpiffeId(text)
        if (!parsed.ok) return
        expect(parsed.value.uri).toBe(text)
        expect(`spiffe://${parsed.value.trustDomain}${parsed.value.path}`).toBe(text)
      }),
      { numRuns: 500 },
    )
  })

  test('accepts whatever is built by the rules', () => {
    const domain = fc.string({ unit: fc.constantFrom(...'az09.-_'), minLength: 1, maxLength: 255 })
    const segment = fc
      .string({ unit: fc.constantFrom(...'azAZ09.-_'), minLength: 1, maxLength: 60 })
      .filter((text) => text !== '.' && text !== '..')
    fc.assert(
      fc.property(domain, fc.array(segment, { maxLength: 10 }), (trustDomain, segments) => {
        const path = segments.map((text) => `/${text}`).join('')
        expect(parseSpiffeId(`spiffe://${trustDomain}${path}`)).toMatchObject({
          ok: true,
          value: { trustDomain, path },
        })
      }),
    )
  })
})
