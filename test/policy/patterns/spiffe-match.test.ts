import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseSpiffePattern, spiffeMatch } from '../../../src/policy/patterns/spiffe-match.ts'

const web = 'spiffe://cluster.local/ns/shop/sa/web'

describe('spiffeMatch', () => {
  test.each([
    [web, web, true],
    [web, 'spiffe://cluster.local/ns/shop/sa/*', true],
    [web, 'spiffe://cluster.local/ns/{namespace}/sa/{account}', true],
    [web, 'spiffe://cluster.local/ns/shop/**', true],
    [web, 'spiffe://cluster.local/**', true],
    ['spiffe://cluster.local', 'spiffe://cluster.local/**', true],
    [web, 'spiffe://*/**', true],
    [web, 'spiffe://*/ns/shop/sa/web', true],
    [web, 'spiffe://cluster/ns/shop/sa/web', false],
    [web, 'spiffe://cluster.local/ns/shop/sa', false],
    [web, 'spiffe://cluster.local/ns/shop/sa/*/x', false],
    [web, 'spiffe://cluster.local/ns/SHOP/sa/web', false],
    ['spiffe://cluster.local.evil/ns/shop/sa/web', 'spiffe://cluster.local/**', false],
    ['https://cluster.local/ns/shop/sa/web', 'spiffe://*/**', false],
    ['SPIFFE://cluster.local/ns/shop/sa/web', 'spiffe://*/**', false],
    ['anonymous', 'spiffe://*/**', false],
    ['spiffe://', 'spiffe://*/**', false],
  ])('%s against %s is %s', (id, pattern, expected) => {
    expect(spiffeMatch(id, pattern)).toBe(expected)
  })

  test('a pattern with an exact trust domain covers no id of another one', () => {
    const domain = fc.stringMatching(/^[a-z0-9._-]{1,12}$/)
    fc.assert(fc.property(domain, domain, (a, b) => spiffeMatch(`spiffe://${a}/x/y`, `spiffe://${b}/**`) === (a === b)))
  })

  test('never throws, whatever the texts are', () => {
    const text = fc.string().map((end) => `spiffe://${end}`)
    fc.assert(fc.property(text, text, (a, b) => typeof spiffeMatch(a, b) === 'boolean'))
  })
})

describe('parseSpiffePattern', () => {
  test.each([
    '*',
    '',
    'spiffe://',
    'spiffe://**',
    'spiffe://Cluster.local/x',
    'spiffe://a/',
    'spiffe://a//b',
    'spiffe://a/b*',
    'spiffe://a/**/b',
    'spiffe://a/..',
    'spiffe://a/b%20',
    'spiffe://a*/b',
    'http://a/b',
  ])('refuses %j', (pattern) => {
    expect(parseSpiffePattern(pattern)).toMatchObject({ ok: false })
  })
})
