import { describe, expect, test } from '@jest/globals'
import { operandReader } from '../../../src/policy/compiled/conditions.ts'
import { absent, policyFunction, policyFunctions } from '../../../src/policy/patterns/functions.ts'

type Name = keyof typeof policyFunctions

function ask(name: Name, pattern: string, value: string, third?: string): boolean | string {
  const definition = policyFunction(name)
  expect(definition?.patternProblem(pattern)).toBeUndefined()
  return definition?.compile(pattern)(value, third) ?? 'no function'
}

/** A value that is too long for a regular expression gets no answer. */
function answer(name: Name, pattern: string, value: string): boolean | string {
  try {
    return ask(name, pattern, value)
  } catch (thrown) {
    if (thrown instanceof Error && thrown.message.includes('is too long for')) return 'too long'
    throw thrown
  }
}

/** Long values are no titles. */
function start(text: string): string {
  return text.length > 24 ? `${text.slice(0, 24)}…` : text
}

describe('a value that is made to be slow', () => {
  const cases: [Name, string, string, boolean | 'too long'][] = [
    ['regexMatch', '(a+)+$', `${'a'.repeat(8_000)}!`, false],
    ['regexMatch', '(a+)+$', `${'a'.repeat(60_000)}!`, 'too long'],
    ['regexMatch', '^(a|aa)+$', 'a'.repeat(8_000), true],
    ['regexMatch', '^(?:a?){40}a{40}$', 'a'.repeat(40), true],
    ['regexMatch', '(x+x+)+y', 'x'.repeat(8_000), false],
    ['regexMatch', '(.*,){20}z', '1,'.repeat(600), false],
    ['regexMatch', '^/docs/.*-.{36}$', `/docs/${'-'.repeat(8_000)}`, 'too long'],
    ['keyMatch2', '/:a'.repeat(2_000), '/x'.repeat(4_000), false],
    ['keyMatch2', '/:a'.repeat(4_000), '/x'.repeat(4_000), true],
    ['keyMatch2', `${'/:a/*'.repeat(20)}/y`, '/x'.repeat(500), false],
    ['keyMatch2', `${'/:a/*'.repeat(20)}/y`, `${'/x'.repeat(500)}/y`, true],
    ['keyMatch2', `${'/:a/*'.repeat(20)}/y`, '/x'.repeat(4_000), 'too long'],
    ['keyMatch3', `${'/*'.repeat(30)}/y`, '/'.repeat(800), false],
    ['keyMatch4', `${'/{a}/*'.repeat(9)}/{a}`, '/x'.repeat(1_000), true],
    ['keyMatch4', `${'/{a}/*'.repeat(9)}/{a}`, `${'/x'.repeat(1_000)}/y`, false],
    ['keyMatch5', `${'/{a}/*'.repeat(20)}/y`, `${'/x'.repeat(500)}/y?${'/z'.repeat(4_000)}`, true],
    ['globMatch', '**/**/**/**/*x', `${'a/'.repeat(2_000)}y`, false],
    ['globMatch', '**/**/**/**/*x', `${'a/'.repeat(2_000)}yx`, true],
    ['globMatch', '**/a/**/a/**/a/**/*x', `${'a/'.repeat(900)}y`, false],
    ['globMatch', `/${'*a'.repeat(30)}`, `/${'a'.repeat(700)}b`, false],
    ['globMatch', `/${'*a'.repeat(30)}`, `/${'a'.repeat(8_000)}b`, 'too long'],
    ['pathMatch', `${'/*'.repeat(4_000)}/**`, '/x'.repeat(4_000), true],
    ['spiffeMatch', 'spiffe://*/**', `spiffe://a${'/x'.repeat(30_000)}`, true],
    ['ipMatch', '::/0', `${'0:'.repeat(30_000)}0`, false],
  ]
  for (const [name, pattern, value, expected] of cases) {
    test(`is answered with ${String(expected)} by ${name} ${start(pattern)} for ${start(value)}`, () => {
      expect(answer(name, pattern, value)).toBe(expected)
    })
  }
})

describe('a pattern is refused', () => {
  const cases: [Name, string, string][] = [
    ['regexMatch', 'a(?=b)', 'lookahead "(?=" is not supported'],
    ['regexMatch', 'a(?!b)', 'lookahead "(?!" is not supported'],
    ['regexMatch', '(?<=b)a', 'lookbehind "(?<=" is not supported'],
    ['regexMatch', '(?<!b)a', 'lookbehind "(?<!" is not supported'],
    ['regexMatch', '(a)\\1', 'the backreference "\\1" is not supported'],
    ['regexMatch', '(?<n>a)\\k<n>', 'the backreference "\\k" is not supported'],
    ['regexMatch', '(?i:a)', 'flags inside of "(?…:" are not supported'],
    ['regexMatch', '\\01', 'octal escapes such as "\\01" are not supported'],
    ['regexMatch', '[\\c_]', '"\\c" without a letter is not supported'],
    ['regexMatch', '(', 'Invalid regular expression: /(/: Unterminated group'],
    ['regexMatch', 'a'.repeat(1_001), 'it has 1001 characters; at most 1000 are allowed'],
    ['regexMatch', '(?:a{100}){11}', 'its repetitions make more than 1000 steps'],
    ['regexMatch', 'a{1001}', 'its repetitions make more than 1000 steps'],
    ['regexMatch', '(?:){4294967295}', 'its repetitions make more than 1000 steps'],
    ['keyMatch2', '/a/:', '"/:" must be followed by a name'],
    ['keyMatch2', `/(${'a'.repeat(1_000)})`, 'it has 1003 characters; at most 1000 are allowed'],
    ['keyMatch2', '/(?!admin)', 'lookahead "(?!" is not supported'],
    ['keyMatch3', '/{a', '"/{" must be followed by a name and "}"'],
    ['keyMatch4', '/x{a}', 'braces may only stand around a whole segment, and parentheses not at all'],
    [
      'keyMatch4',
      `${'/{a}/*'.repeat(10)}/{a}`,
      'it has 11 names; beside wildcards and a name that stands twice, at most 10 are allowed',
    ],
    ['globMatch', '@(a|b)', 'extended globs such as @(a|b) are not supported; write {a,b}'],
    ['globMatch', '!a', 'negation by a leading "!" is not supported'],
    ['globMatch', '#a', 'a glob that begins with "#" is a comment and matches nothing'],
    ['globMatch', 'a\\*', '"\\" is not supported; write [*] for a star'],
    ['globMatch', '[[:alpha:]]', 'classes such as [[:alpha:]] are not supported'],
    ['globMatch', 'a{1..3}', 'braces without a comma, also sequences such as {1..3}, are not supported'],
    ['globMatch', '{a,b}'.repeat(7), 'its braces make more than 100 alternatives'],
    ['globMatch', '/a/../b', 'the segments "." and ".." are not supported'],
    [
      'globMatch',
      '**/a/**/b/c/**',
      'what stands between three or more "**" must have the same number of segments each',
    ],
    ['globMatch', '**/.a/**', 'a segment that begins with "." is not supported beside several "**"'],
    ['globMatch', '/.?', 'a wildcard that alone follows a leading "." is not supported'],
    ['globMatch', '?'.repeat(1_001), 'it has 1001 characters; at most 1000 are allowed'],
    ['ipMatch', '10.0.0.0/33', 'it is neither an IP address nor a CIDR'],
    ['ipMatch', 'fe80::1%eth0', 'it is neither an IP address nor a CIDR'],
  ]
  for (const [name, pattern, problem] of cases) {
    test(`by ${name}: ${start(pattern)}`, () => {
      expect(policyFunctions[name].patternProblem(pattern)).toBe(problem)
    })
  }
})

describe('a prefix is exact', () => {
  const [rest, one] = ['**', '*']
  test.each<[Name, string, string[]]>([
    ['pathMatch', '/orders/{id}', ['', 'orders', one]],
    ['pathMatch', '/orders/**', ['', 'orders', rest]],
    ['spiffeMatch', 'spiffe://*/ns/{n}/**', ['spiffe:', '', one, 'ns', one, rest]],
    ['keyMatch', '/foo/bar', ['', 'foo', 'bar']],
    ['keyMatch', '/foo/ba*', ['', 'foo', rest]],
    ['keyMatch', '/foo/*/x', ['', 'foo', rest]],
    ['keyMatch', '*', [rest]],
    ['keyMatch2', '/foo/:id/items', ['', 'foo', one, 'items']],
    ['keyMatch2', '/foo/:id/*', ['', 'foo', one, rest]],
    ['keyMatch2', '/foo/*/items', ['', 'foo', rest]],
    ['keyMatch2', '/foo/x:y/:z/', ['', 'foo', 'x:y', one, '']],
    ['keyMatch2', '/foo/a.b/c', ['', 'foo', rest]],
    ['keyMatch2', '/foo/a\\.b/c', ['', 'foo', 'a.b', 'c']],
    ['keyMatch3', '/foo/{id}', ['', 'foo', one]],
    ['keyMatch5', '/foo/{id}', ['', 'foo', one, rest]],
    ['keyMatch5', '/foo/bar', ['', 'foo', rest]],
    ['keyGet2', '/foo/:id', ['', 'foo', one]],
    ['regexMatch', '^/foo/bar', ['', 'foo', rest]],
    ['regexMatch', '^/foo/bar$', ['', 'foo', 'bar']],
    ['regexMatch', '^/foo/[^/]+/bar', ['', 'foo', one, rest]],
    ['regexMatch', '^(/foo)/\\d+$', ['', 'foo', one]],
    ['regexMatch', '^/foo/?bar', ['', rest]],
    ['regexMatch', '^/foo/*', ['', rest]],
    ['regexMatch', '^/foo/a|b', [rest]],
    ['regexMatch', '^/foo/(?:a|b)$', ['', 'foo', one]],
    ['regexMatch', '/foo/bar', [rest]],
    ['globMatch', '/foo/bar', ['', rest]],
    ['globMatch', 'foo/*', ['foo', rest]],
    ['globMatch', '{foo,bar}/*', [rest]],
    ['globMatch', '*/foo', ['', rest]],
    ['ipMatch', '10.0.0.1', ['10.0.0.1']],
    ['ipMatch', '10.0.0.1/8', [rest]],
  ])('for %s %s', (name, pattern, expected) => {
    const shown = policyFunctions[name]
      .prefix(pattern)
      .map((segment) => (segment.kind === 'text' ? segment.text : segment.kind === 'one' ? one : rest))
    expect(shown).toEqual(expected)
  })
})

describe('a warning', () => {
  test.each<[Name, string, string | undefined]>([
    ['keyMatch', '/a/*/b', 'PATTERN_STAR_INSIDE'],
    ['keyGet', '/a/*/b', 'PATTERN_STAR_INSIDE'],
    ['keyMatch', '/a/**', 'PATTERN_STAR_INSIDE'],
    ['keyMatch', '/a/*', undefined],
    ['keyMatch2', '/a.b/:c', 'PATTERN_DOT'],
    ['keyMatch2', '/a\\.b/:c.d/.*', undefined],
    ['keyMatch3', '/a.b', 'PATTERN_DOT'],
    ['keyMatch5', '/a.b', 'PATTERN_DOT'],
    ['keyMatch4', '/{a}/{a}/{b}', 'PATTERN_NAMES_ALL_EQUAL'],
    ['keyMatch4', '/{a}/{a}', undefined],
    ['keyMatch4', '/{a}/{b}', undefined],
    ['regexMatch', '/orders', 'PATTERN_UNANCHORED'],
    ['regexMatch', '^/orders', 'PATTERN_UNANCHORED'],
    ['regexMatch', '^a|b$', 'PATTERN_UNANCHORED'],
    ['regexMatch', '^a$|^b$', undefined],
    ['regexMatch', '^(?:a|b)$', undefined],
    ['regexMatch', '(^a$|^b$)', undefined],
    ['regexMatch', '^[a-z]{500}$', 'PATTERN_LARGE'],
  ])('of %s for %s is %s', (name, pattern, code) => {
    expect(policyFunction(name)?.patternProblem(pattern)).toBeUndefined()
    expect(policyFunction(name)?.warning?.(pattern)?.code).toBe(code)
  })

  test('about a star says what is ignored and what to write', () => {
    expect(policyFunctions.keyMatch.warning('/a/*/b')?.message).toBe(
      'everything after the "*" is ignored: it covers what "/a/*" covers, whatever "/b" says; ' +
        'write a pathMatch pattern, where "*" is one segment',
    )
  })
})

describe('the functions of a matcher', () => {
  const columns = ['value', 'pattern', 'third']
  const functions = Object.fromEntries(
    Object.entries(policyFunctions).map(([name, { arity }]) => {
      const given = columns.slice(0, arity).map((column) => ({ kind: 'column', column }) as const)
      const call = { kind: 'call', name: name as Name, arguments: given } as const
      const read = operandReader(call, { tokens: [], columns, roles: new Map() })
      return [name, (...values: readonly unknown[]) => read([], values)]
    }),
  )

  test('are false of what is absent, or give an absent text', () => {
    for (const [name, { gives }] of Object.entries(policyFunctions)) {
      for (const values of [['', '*'], [NaN, '*'], [undefined, '*'], ['a', ''], ['a', NaN], []]) {
        expect([name, values, functions[name]?.(...values, 'x')]).toEqual([
          name,
          values,
          gives === 'truth' ? false : absent,
        ])
      }
    }
  })

  test('give an absent text where nothing is found', () => {
    expect(functions['keyGet']?.('/b', '/a/*')).toBe(absent)
    expect(functions['keyGet2']?.('/a/b', '/a/:x', 'y')).toBe(absent)
    expect(functions['keyGet2']?.('/a/b', '/a/:x', 'x')).toBe('b')
  })

  test('match nothing by a name that is no pattern', () => {
    for (const name of ['pathMatch', 'spiffeMatch', 'ipMatch'] as const) {
      expect(functions[name]?.('reader', 'reader')).toBe(false)
    }
  })
})

describe('ipMatch', () => {
  test('reads every group of an address, also behind two colons', () => {
    expect(ask('ipMatch', '::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8')).toBe(true)
    expect(ask('ipMatch', '::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:9')).toBe(false)
  })

  test('is false for the other family, a zone, and what is no address', () => {
    expect(ask('ipMatch', '0.0.0.0/0', '::ffff:1.2.3.4')).toBe(false)
    expect(ask('ipMatch', '::/0', 'fe80::1%eth0')).toBe(false)
    expect(ask('ipMatch', '0.0.0.0/0', 'localhost')).toBe(false)
  })
})
