import { describe, expect, test } from '@jest/globals'
import type { PolicyRequest } from '../../../src/decision/rule-set.ts'
import { modelText } from '../policies.ts'
import { explained } from './opened.ts'

const rbac = modelText({ m: 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act' })

async function missesOf(csv: string, request: PolicyRequest, model = rbac) {
  const { nearMisses } = await explained(model, csv, request)
  return nearMisses.map(({ rule, words, alike }) => ({ line: rule.line, words, alike: alike.map(({ line }) => line) }))
}

describe('what is nearest', () => {
  test('is the same role and path with another method, then another role, then another path', async () => {
    const csv = [
      'p, reader, /orders/{id}/items, GET',
      'p, writer, /orders/{id}, GET',
      'p, reader, /orders/{id}, PUT',
      'p, other, /else, DELETE',
      'g, web, reader',
    ].join('\n')
    expect(await missesOf(csv, { sub: 'web', obj: '/orders/1', act: 'GET' })).toEqual([
      {
        line: 3,
        words: 'role reader matches, the path matches, the method differs: GET is asked, PUT is allowed',
        alike: [],
      },
      {
        line: 2,
        words: 'the path matches, the method matches, role writer is missing: no role link leads from web to writer',
        alike: [],
      },
      {
        line: 1,
        words:
          'role reader matches, the method matches, the path differs: /orders/1 is asked, /orders/{id}/items is allowed',
        alike: [],
      },
    ])
  })

  test('among paths is the one that shares the most segments', async () => {
    const csv = ['/z', '/api/v1/orders', '/api/v2', '/api/v1/users/list', '/api/v1/users/{id}/x']
      .map((path) => `p, web, ${path}, GET`)
      .join('\n')
    const misses = await missesOf(csv, { sub: 'web', obj: '/api/v1/users/7/y', act: 'GET' })
    expect(misses.map(({ line }) => line)).toEqual([5, 4, 2, 3, 1])
  })

  test('holds at most five rules, and those that are the same for other roles or methods as one', async () => {
    const csv = Array.from({ length: 30 }, (_, at) => `p, role${String(at)}, /a, GET`).join('\n')
    const [first, ...others] = await missesOf(csv, { sub: 'web', obj: '/a', act: 'GET' })
    expect(others).toEqual([])
    expect(first?.alike).toHaveLength(29)
    expect(first?.words).toContain('no role link leads from web to role0, role1, role2, role3 or 26 others')
    const apart = Array.from({ length: 30 }, (_, at) => `p, web, /a/${String(at)}, GET`).join('\n')
    expect(await missesOf(apart, { sub: 'web', obj: '/a', act: 'GET' })).toHaveLength(5)
  })

  test('is nothing where a rule shares no more than the method', async () => {
    expect(await missesOf('p, report, /a, GET', { sub: 'web', obj: '/b', act: 'GET' })).toEqual([])
  })

  test('is no rule that denies, and none where a rule denies whatever allows', async () => {
    const model = modelText({
      p: 'sub, obj, act, eft',
      e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
      m: 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act',
    })
    const csv = 'p, web, /a, PUT, deny\np, web, /a, POST, allow\np, web, /b, GET, deny\np, web, /b, PUT, allow'
    expect(await missesOf(csv, { sub: 'web', obj: '/a', act: 'GET' }, model)).toHaveLength(1)
    expect(await missesOf(csv, { sub: 'web', obj: '/b', act: 'GET' }, model)).toEqual([])
  })

  test('where the first rule decides is one that comes before it', async () => {
    const model = modelText({ p: 'sub, obj, act, eft', e: 'priority(p.eft) || deny' })
    const csv = 'p, web, /a, PUT, allow\np, web, /a, GET, deny\np, web, /a, POST, allow'
    expect((await missesOf(csv, { sub: 'web', obj: '/a', act: 'GET' }, model)).map(({ line }) => line)).toEqual([1])
  })

  test('of a model for several protocols is told by the branch of the request', async () => {
    const model = modelText({
      r: 'sub, protocol, act, obj, rpc',
      p: 'sub, protocol, act, obj',
      m: '(p.sub == "*" || g(r.sub, p.sub)) && r.protocol == p.protocol && (r.protocol == "http" && (r.act == p.act || p.act == "*") && pathMatch(r.obj, p.obj) || r.protocol == "grpc" && r.rpc == p.obj)',
    })
    const csv = 'p, web, http, GET, /a\np, web, grpc, call, shop.Orders/Get'
    const [http] = await missesOf(csv, { sub: 'web', protocol: 'http', act: 'PUT', obj: '/a' }, model)
    expect(http?.words).toBe(
      'the caller matches, the protocol matches, the path matches, the method differs: PUT is asked, GET is allowed',
    )
    const [grpc] = await missesOf(csv, { sub: 'web', protocol: 'grpc', rpc: 'shop.Orders/List' }, model)
    expect(grpc?.words).toBe(
      'the caller matches, the protocol matches, the gRPC method differs: shop.Orders/List is asked, shop.Orders/Get is allowed',
    )
  })
})

describe('a condition in words', () => {
  test.each<[string, string, string, PolicyRequest, string]>([
    [
      'an absent token',
      'r.sub == p.sub && r.act == p.act',
      'p, web, /a, GET',
      { sub: 'web' },
      'the method is absent: GET is allowed',
    ],
    [
      'a list',
      '(r.act in ["GET", "HEAD"]) && r.sub == p.sub',
      'p, web, /a, OPTIONS',
      { sub: 'web', act: 'PUT' },
      'the method differs: PUT is asked, GET or HEAD is allowed',
    ],
    [
      'a negation',
      'r.sub == p.sub && !(r.act == p.act)',
      'p, web, /a, GET',
      { sub: 'web', act: 'GET' },
      '!(r.act == p.act) does not hold',
    ],
    [
      'another comparison',
      'r.sub == p.sub && r.obj != p.obj',
      'p, web, /a, GET',
      { sub: 'web', obj: '/a' },
      'r.obj != p.obj does not hold',
    ],
    [
      'a workload that is no role',
      'g(r.sub, p.sub) && r.act == p.act',
      'p, spiffe://a/web, /a, GET',
      { sub: 'spiffe://a/report', act: 'GET' },
      'the caller differs: spiffe://a/report asks, spiffe://a/web is allowed',
    ],
    [
      'a role of the path',
      'r.sub == p.sub && g(r.obj, p.obj)',
      'p, web, orders, GET\ng, /orders, orders',
      { sub: 'web', obj: '/other' },
      'the path does not belong to orders: no role link leads from /other to orders',
    ],
  ])('%s', async (_, m, csv, request, words) => {
    const [miss] = await missesOf(csv, request, modelText({ m }))
    expect(miss?.words.endsWith(words) ? words : miss?.words).toBe(words)
  })
})

describe('what would make a rule match', () => {
  const remedies = async (csv: string, request: PolicyRequest, m?: string) => {
    const { nearMisses } = await explained(m === undefined ? rbac : modelText({ m }), csv, request)
    return nearMisses[0]?.remedies
  }

  test('is a role link, or the rule with what is asked', async () => {
    expect(await remedies('p, reader, /a, GET', { sub: 'web', obj: '/a', act: 'GET' })).toEqual(['g, web, reader'])
    expect(await remedies('p, web, "/a,b", GET', { sub: 'web', obj: '/a,b', act: 'PUT' })).toEqual([
      'p, web, "/a,b", PUT',
    ])
  })

  test('is no role link to another workload', async () => {
    const csv = 'p, spiffe://a/web, /a, GET'
    expect(await remedies(csv, { sub: 'spiffe://a/report', obj: '/a', act: 'GET' })).toEqual([
      'p, spiffe://a/report, /a, GET',
    ])
  })

  test('is never a wider pattern than what is asked', async () => {
    for (const obj of ['/a/*', '/a/{id}', '/a/**']) {
      expect(await remedies('p, web, /a, GET', { sub: 'web', obj, act: 'GET' })).toEqual([])
    }
  })

  test('is not known for what is absent, negated or would not match', async () => {
    expect(await remedies('p, web, /a, GET', { sub: 'web', obj: '/a' })).toEqual([])
    expect(await remedies('p, web, /a, GET', { sub: 'web', act: 'GET' }, 'r.sub == p.sub && r.act != p.act')).toEqual(
      [],
    )
    expect(
      await remedies('p, web, ^/a$, GET', { sub: 'web', obj: '/(' }, 'r.sub == p.sub && regexMatch(r.obj, p.obj)'),
    ).toEqual([])
  })
})
