import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { identifyPeer } from '../../src/identity/principal.ts'
import type { TrustDomain } from '../../src/identity/trust-domain.ts'

const accepted: ReadonlySet<TrustDomain> = new Set(['cluster.local', 'partner.example'] as TrustDomain[])

describe('identifyPeer', () => {
  test('proves a workload of Istio’s form, with its namespace and service account', () => {
    expect(identifyPeer('spiffe://cluster.local/ns/shop/sa/web', accepted)).toMatchObject({
      kind: 'proved',
      principal: { id: { uri: 'spiffe://cluster.local/ns/shop/sa/web' }, namespace: 'shop', serviceAccount: 'web' },
    })
  })

  test.each([
    '/payments/mysql',
    '/ns/shop/sa',
    '/ns/shop/sa/web/extra',
    '/x/ns/shop/sa/web',
    '/NS/shop/SA/web',
    '/ns/shop/team/a/sa/web',
  ])('proves a workload with the path %s, and reads no namespace from it', (path) => {
    expect(identifyPeer(`spiffe://partner.example${path}`, accepted)).toMatchObject({
      kind: 'proved',
      principal: { namespace: null, serviceAccount: null },
    })
  })

  test('says that nobody presented an identity', () => {
    expect(identifyPeer('', accepted)).toEqual({ kind: 'missing' })
  })

  test.each([
    'anonymous',
    'CN=web',
    'web.shop.svc',
    ' ',
    'spiffe://cluster.local/ns/shop/sa/web/',
    'spiffe://CLUSTER.local/web',
  ])('finds %j invalid, and keeps it for the record', (text) => {
    expect(identifyPeer(text, accepted)).toEqual({ kind: 'invalid', text, problem: expect.stringMatching(/./) })
  })

  test('takes the id of a trust domain for no workload', () => {
    const text = 'spiffe://cluster.local'
    const problem = 'the SPIFFE ID names a trust domain, not a workload'
    expect(identifyPeer(text, accepted)).toEqual({ kind: 'invalid', text, problem })
  })

  test.each(['evil.example', 'cluster.local.evil.example', 'sub.cluster.local', 'cluster.loca', 'cluster.local.'])(
    'knows the workload of the foreign trust domain %s, and does not prove it',
    (domain) => {
      expect(identifyPeer(`spiffe://${domain}/ns/shop/sa/web`, accepted)).toMatchObject({
        kind: 'unknown-trust-domain',
        principal: { id: { trustDomain: domain }, namespace: 'shop', serviceAccount: 'web' },
      })
    },
  )

  test('proves nobody where no trust domain is accepted', () => {
    expect(identifyPeer('spiffe://cluster.local/web', new Set())).toMatchObject({ kind: 'unknown-trust-domain' })
  })

  test('never throws, and proves only ids of accepted trust domains', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.webUrl(),
      fc.string().map((path) => `spiffe://cluster.local/${path}`),
    )
    fc.assert(
      fc.property(texts, (text) => {
        const peer = identifyPeer(text, accepted)
        if (peer.kind === 'proved')
          expect(text).toMatch(/^spiffe:\/\/(cluster\.local|partner\.example)\/[A-Za-z0-9._/-]+$/)
      }),
    )
  })
})
