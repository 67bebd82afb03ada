import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { readCheckRequest } from '../../src/check/read-request.ts'
import { maxPathBytes, type PathClass, pathClasses, pathProblem } from '../../src/check/suspicious-path.ts'
import { httpCall, reading } from './calls.ts'

/** Of each class: paths that are suspicious for it and nothing else, and paths that look like it and are not. */
const cases: Readonly<Record<PathClass, { readonly suspicious: readonly string[]; readonly fine: readonly string[] }>> =
  {
    'encoded-slash': {
      suspicious: ['/a%2fb', '/a%2Fb', '/%2f', '/a%5cb', '/a%5Cb', '/a%2F', '/%2f%2F'],
      fine: ['/a%20b', '/2f', '/a%252fb', '/a%26b'],
    },
    backslash: { suspicious: ['/a\\b', '\\', '/a\\', '/\\\\a'], fine: ['/a|b', '/a!b'] },
    'dot-segment': {
      suspicious: [
        '/.',
        '/..',
        '/./a',
        '/../a',
        '/a/..',
        '/a/../b',
        '/a/.',
        '/%2e',
        '/%2E%2e/a',
        '/.%2e/a',
        '/a/%2e.',
        '/%2E',
      ],
      fine: ['/...', '/a.', '/a..', '/..a', '/.well-known/x', '/a.b', '/%2ea', '/a%2e%2e', '/...%2e', '/.%2ea'],
    },
    semicolon: { suspicious: ['/a;b=c', '/;', '/a%3bb', '/a%3B'], fine: ['/a:b', '/a,b', '/a=b', '/a&b', '/3b'] },
    'double-slash': { suspicious: ['//', '//a', '/a//b', '/a//', '///'], fine: ['/a/b/', '/', '/a/b'] },
    control: {
      suspicious: [
        ...['/a\0', '/a\n', '/a\tb', '/\x1f', '/\x7f', '/\u0085', '/\u009f'],
        ...['/%00', '/%0a', '/%0A', '/%1f', '/%1F', '/%7f', '/%7F', '/%0d%0a', '/%c2%85', '/%C2%9F'],
      ],
      fine: ['/ a', '/%20', '/%7e', '/é', '/%C3%A9', '/\u00a0', '/%c2%a0', '/%2d'],
    },
    'invalid-percent': {
      suspicious: [
        ...['/%', '/a%', '/%a', '/%zz', '/%2', '/%2g', '/%u002f', '/100%'],
        ...['/%c0%af', '/%C0%AE', '/%c1%9c', '/%e0%80%af', '/%E0%9F%BF', '/%f0%80%80%af'],
      ],
      fine: ['/%25', '/%41', '/%c3%a9', '/%e2%82%ac', '/%e0%a4%85', '/%f0%9f%98%80', '/%C2%A9', '/%e9'],
    },
    fragment: { suspicious: ['/a#b', '/#'], fine: ['/a%23b', '/a+b'] },
  }

const classes = Object.keys(pathClasses) as PathClass[]
const none: ReadonlySet<PathClass> = new Set()

describe.each(classes)('the class %s', (name) => {
  const { suspicious, fine } = cases[name]

  test.each(suspicious)('refuses %j, and lets it through where the class is allowed', (path) => {
    expect(pathProblem(path, none)).toContain(`(${name})`)
    expect(pathProblem(path, new Set([name]))).toBeUndefined()
    expect(pathProblem(path, new Set(classes.filter((other) => other !== name)))).toContain(`(${name})`)
  })

  test.each(fine)('has nothing against %j', (path) => {
    expect(pathProblem(path, none)).toBeUndefined()
  })
})

test('bytes that are not UTF-8 are refused whatever is allowed', () => {
  expect(pathProblem('/a\uFFFD', new Set(classes))).toBe('the path has bytes that are not UTF-8')
})

test('a path of two classes is let through only where both are allowed', () => {
  expect(pathProblem('/a;b//c', new Set(['semicolon']))).toContain('(double-slash)')
  expect(pathProblem('/a;b//c', new Set(['semicolon', 'double-slash']))).toBeUndefined()
})

test('a path of plain segments is never suspicious', () => {
  const segment = fc.stringMatching(/^[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~-]{0,12}$/)
  fc.assert(
    fc.property(fc.array(segment, { minLength: 1 }), (segments) => {
      expect(pathProblem(`/${segments.join('/')}`, none)).toBeUndefined()
    }),
  )
})

test('what is not suspicious reads the same once it is decoded and resolved', () => {
  const piece = fc.constantFrom('x', '/', '.', '%2e', '%2f', '%5C', '\\', ';', '%', '%41', '..', '#', '%00', 'é')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const path = `/${pieces.join('')}`
      if (pathProblem(path, none) !== undefined) return
      const resolved = new URL(`http://host${path}`).pathname
      expect(decodeURIComponent(resolved)).toBe(decodeURIComponent(path))
      expect(decodeURIComponent(path).split('/')).toHaveLength(path.split('/').length)
    }),
    { numRuns: 2000 },
  )
})

test('looks at the longest path, whatever is repeated in it', () => {
  for (const piece of ['%', '/.', '/', '.', '%2', '%e0', ';', '/%2e']) {
    const path = `/${piece.repeat(Math.floor((maxPathBytes - 1) / piece.length))}`
    expect(() => pathProblem(path, new Set(classes))).not.toThrow()
  }
})

describe('a Check', () => {
  test('is refused with PATH_SUSPICIOUS, and its record keeps the path', () => {
    const { refusal, resource } = readCheckRequest(httpCall({ path: '/orders/1;x=/admin?a=b' }), reading)
    expect(refusal).toEqual({ reason: 'PATH_SUSPICIOUS', detail: expect.stringContaining('semicolon') as unknown })
    expect(resource).toMatchObject({ path: '/orders/1;x=/admin', query: ['a'] })
  })

  test('is put to policy where the setting allows the class', () => {
    const allowing = { ...reading, allowedPaths: new Set<PathClass>(['semicolon']) }
    expect(readCheckRequest(httpCall({ path: '/orders/1;v=2' }), allowing)).not.toHaveProperty('refusal')
  })

  test('may have anything in its query', () => {
    expect(readCheckRequest(httpCall({ path: '/a?next=/../%2f;//%zz\\' }), reading)).not.toHaveProperty('refusal')
  })

  test('with U+FFFD in its path is refused even where all classes are allowed', () => {
    const allowing = { ...reading, allowedPaths: new Set(classes) }
    const { refusal } = readCheckRequest(httpCall({ path: '/a\uFFFD' }), allowing)
    expect(refusal?.reason).toBe('PATH_SUSPICIOUS')
  })
})
