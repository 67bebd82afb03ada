import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parsePathPattern, pathMatch } from '../../../src/policy/patterns/path-match.ts'

const segment = fc.stringMatching(/^[A-Za-z0-9._~%:@!$&'()+,;=-]{1,8}$/)
const path = fc.array(segment, { minLength: 1, maxLength: 6 }).map((segments) => `/${segments.join('/')}`)

describe('pathMatch', () => {
  test.each([
    ['/', '/', true],
    ['/orders/1', '/orders/{id}', true],
    ['/orders/1', '/orders/*', true],
    ['/orders/', '/orders/{id}', false],
    ['/orders', '/orders/{id}', false],
    ['/orders/1/', '/orders/{id}', false],
    ['/orders/1/items', '/orders/{id}', false],
    ['/orders/1/items/2', '/orders/{id}/items/{item}', true],
    ['/admin', '/admin/**', true],
    ['/admin/', '/admin/**', true],
    ['/admin/a/b/c', '/admin/**', true],
    ['/administrator', '/admin/**', false],
    ['/Admin/a', '/admin/**', false],
    ['/', '/**', true],
    ['/a/b', '/**', true],
    ['*', '/**', false],
    ['', '/**', false],
    ['orders/1', '/orders/{id}', false],
    ['/a.b', '/a.b', true],
    ['/axb', '/a.b', false],
    ['/orders/..%2fadmin', '/orders/{id}', true],
    ['/a/b/c', '/*/**', true],
    ['/', '/*/**', false],
  ])('%s against %s is %s', (value, pattern, expected) => {
    expect(pathMatch(value, pattern)).toBe(expected)
  })

  test('a path without special characters is covered by itself as pattern, and by no other path', () => {
    fc.assert(fc.property(path, path, (a, b) => pathMatch(a, a) && pathMatch(a, b) === (a === b)))
  })

  test('a wildcard is exactly one segment, wherever it stands', () => {
    const cases = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 6 }), fc.nat(), fc.constantFrom('*', '{id}'))
    fc.assert(
      fc.property(cases, segment, ([segments, at, wildcard], other) => {
        const index = at % segments.length
        const pattern = `/${segments.with(index, wildcard).join('/')}`
        expect(pathMatch(`/${segments.with(index, other).join('/')}`, pattern)).toBe(true)
        expect(pathMatch(`/${segments.with(index, `${other}/${other}`).join('/')}`, pattern)).toBe(false)
        expect(pathMatch(`/${segments.toSpliced(index, 1).join('/')}`, pattern)).toBe(false)
      }),
    )
  })

  test('a final ** covers everything below, and nothing beside', () => {
    fc.assert(
      fc.property(path, path, segment, (a, b, other) => {
        expect(pathMatch(a + b, `${a}/**`)).toBe(true)
        expect(pathMatch(a, `${a}/**`)).toBe(true)
        expect(pathMatch(a + other + b, `${a}/**`)).toBe(false)
      }),
    )
  })

  test('never throws, whatever the texts are', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        (a, b) => typeof pathMatch(a, b) === 'boolean',
      ),
    )
  })
})

describe('parsePathPattern', () => {
  test.each(['', 'orders', '/a/**/b', '/a*', '/{a}b', '/{}', '/{a', '/a}', '/***', '/a?b', '/a#b', '**'])(
    'refuses %j',
    (pattern) => {
      expect(parsePathPattern(pattern)).toMatchObject({ ok: false })
      expect(pathMatch(pattern, pattern)).toBe(false)
    },
  )
})
