import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { stringify } from 'yaml'
import type { PolicyToken } from '../../../src/decision/rule-set.ts'
import { Pace } from '../../../src/policy/pace.ts'
import { parseRules } from '../../../src/policy/parse/parse-rules.ts'
import { parseTests, testLimits, type ParsedTests } from '../../../src/policy/parse/parse-tests.ts'

const tokens: readonly PolicyToken[] = ['sub', 'act', 'obj', 'port']
const rules =
  'p, reader, /orders/{id}, GET, allow\n# again\np, reader,/orders/{id},GET, allow\np, "a,b", /x, PUT, deny\ng, web, reader\n'

async function parse(text: string, csv = rules): Promise<ParsedTests> {
  const { rows } = await parseRules({ name: 'policy.csv', text: csv, sha256: '' }, new Pace())
  return parseTests({ name: 'tests.yaml', text, sha256: '' }, { model: { tokens }, rows }, new Pace())
}

/** `line:column: message` of each problem; every one has the file and the code. */
async function problemsOf(text: string): Promise<string[]> {
  const { problems } = await parse(text)
  expect(problems.every(({ file, code }) => file === 'tests.yaml' && code === 'TEST_INVALID')).toBe(true)
  return problems.map(({ line, column, message }) => `${String(line)}:${String(column)}: ${message}`)
}

const good = '- name: a\n  request: { sub: web }\n  expect: allow\n'

describe('a list of tests', () => {
  test('is read with the place of each test', async () => {
    const text = `# first\n\n- name: reads\n  request:\n    sub: web\n    act: GET\n    obj: /orders/1\n  expect: allow\n  rule: "p, reader, /orders/{id}, GET, allow"\n- { name: writes, request: { sub: "web" }, expect: deny }\n`
    const { cases, problems } = await parse(text)
    expect(problems).toEqual([])
    expect(cases).toEqual([
      {
        ...{ name: 'reads', request: { sub: 'web', act: 'GET', obj: '/orders/1' }, expect: 'allow' },
        ...{ file: 'tests.yaml', line: 3, column: 3, rule: expect.objectContaining({ type: 'p' }) },
      },
      { name: 'writes', request: { sub: 'web' }, expect: 'deny', rule: null, file: 'tests.yaml', line: 10, column: 3 },
    ])
  })

  test('may be JSON', async () => {
    const { cases, problems } = await parse(JSON.stringify([{ name: 'a', request: { port: 80 }, expect: 'deny' }]))
    expect(problems).toEqual([])
    expect(cases).toMatchObject([{ name: 'a', request: { port: '80' }, line: 1, column: 2 }])
  })

  test('may begin with --- and end with ..., and have CRLF', async () => {
    const { cases, problems } = await parse(`---\n${good}...\n`.replaceAll('\n', '\r\n'))
    expect(problems).toEqual([])
    expect(cases).toMatchObject([{ name: 'a', request: { sub: 'web' }, line: 2 }])
  })

  test.each(['', '\n\n', '# nothing yet\n', '[]', '---\n'])('may be empty: %j', async (text) => {
    expect(await parse(text)).toEqual({ cases: [], problems: [] })
  })

  test('may hold long comments', async () => {
    const { cases, problems } = await parse(
      '# x\n'.repeat(30_000) + good + '# x\n'.repeat(10_000) + good.replace('name: a', 'name: b'),
    )
    expect(problems).toEqual([])
    expect(cases.map(({ line }) => line)).toEqual([30_001, 40_004])
  })

  test('takes numbers as they are written', async () => {
    const { cases } = await parse(good.replace('web', 'web, port: 0443, obj: 1.10'))
    expect(cases[0]?.request).toEqual({ sub: 'web', port: '0443', obj: '1.10' })
  })

  test('may share a text, or a request, by an alias', async () => {
    const { cases, problems } = await parse(
      `- name: a\n  request: &r { sub: &web spiffe://x/web }\n  expect: allow\n` +
        `- name: b\n  request: *r\n  expect: deny\n- name: c\n  request: { sub: *web }\n  expect: deny\n`,
    )
    expect(problems).toEqual([])
    expect(cases.map(({ request }) => request)).toEqual(Array(3).fill({ sub: 'spiffe://x/web' }))
  })

  test('reads back whatever is well formed', async () => {
    const text = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
      .filter((value) => !/\p{Cc}|\p{Cs}/u.test(value))
    const request = fc.record(Object.fromEntries(tokens.map((token) => [token, text])), { requiredKeys: ['sub'] })
    const one = fc.record({ name: text, request, expect: fc.constantFrom('allow', 'deny') })
    const list = fc.uniqueArray(one, { selector: ({ name }) => name, maxLength: 12 })
    const style = fc.constantFrom(
      {},
      { collectionStyle: 'flow' as const },
      { defaultStringType: 'QUOTE_SINGLE' as const },
      { lineWidth: 20 },
    )
    await fc.assert(
      fc.asyncProperty(list, style, async (tests, options) => {
        const { cases, problems } = await parse(stringify(tests, options))
        expect(problems).toEqual([])
        expect(cases.map(({ name, request, expect }) => ({ name, request, expect }))).toEqual(tests)
      }),
      { numRuns: 300 },
    )
  })
})

describe('the rule of a test', () => {
  const withRule = (rule: string) =>
    `- name: a\n  request: { sub: web }\n  expect: allow\n  rule: ${JSON.stringify(rule)}\n`

  test('is found by its values, whatever the spacing, and is the first where it stands twice', async () => {
    const { cases, problems } = await parse(withRule('p,reader,   /orders/{id},GET,allow'))
    expect(problems).toEqual([])
    expect(cases[0]?.rule?.rule).toEqual({ file: 'policy.csv', line: 1, text: 'p, reader, /orders/{id}, GET, allow' })
    const quoted = await parse(withRule('p,"a,b",/x,PUT,deny'))
    expect(quoted.cases[0]?.rule?.rule.line).toBe(4)
  })

  test.each([
    [
      'p, reader, /orders/{id}, PUT, allow',
      'the policy has no rule "p, reader, /orders/{id}, PUT, allow"; the nearest is "p, reader, /orders/{id}, GET, allow" (policy.csv:1)',
    ],
    ['p, nobody, /y, DELETE, never', 'the policy has no rule "p, nobody, /y, DELETE, never"'],
    ['g, web, reader', '"g, web, reader" is no rule, so it settles no request; allowed: a line "p, …" of the policy'],
    ['# p, reader', 'the rule "# p, reader" cannot be parsed; allowed: a line "p, …" of the policy'],
    ['p, "reader', 'the rule "p, \\"reader" cannot be parsed; allowed: a line "p, …" of the policy'],
    ['p, a\np, b', 'the rule holds the control character "\\n"; allowed: the text of a line "p, …"'],
  ])('%j is a problem where it is not there', async (rule, message) => {
    expect(await problemsOf(withRule(rule))).toEqual([`4:9: ${message}`])
  })

  test('each is found where a broken one stands between', async () => {
    const { cases, problems } = await parse(
      ['p, "', 'p, reader, /orders/{id}, GET, allow', 'p, "a,b", /x, PUT, deny']
        .map((rule, index) => withRule(rule).replace('name: a', `name: ${String(index)}`))
        .join(''),
    )
    expect(problems.map(({ line }) => line)).toEqual([4])
    expect(cases.map(({ rule }) => rule?.rule.line)).toEqual([1, 4])
  })
})

describe('a broken test is named by line and column:', () => {
  const tokensAllowed = "a mapping of the model's tokens: sub, act, obj, port"
  const noToken = 'a text; a token that the request does not have is left out'

  test.each([
    [
      'no name',
      '- request: { sub: a }\n  expect: deny',
      ['1:3: the test has no name; any text that no other test has is allowed'],
    ],
    ['no request', '- name: a\n  expect: deny', [`1:3: the test has no request; it is ${tokensAllowed}`]],
    [
      'no expectation',
      '- name: a\n  request: { sub: a }',
      ['1:3: the test does not say what to expect; allowed: allow, deny'],
    ],
    [
      'nothing at all',
      '- name: a\n  request: { sub: a }\n  expect: deny\n-',
      ['4:2: a test is a mapping of name, request, expect, rule; found nothing'],
    ],
    ['a text', '- allow', ['1:3: a test is a mapping of name, request, expect, rule; found the text "allow"']],
    ['another effect', good.replace('allow', 'Allow'), ['3:11: expect is "Allow"; allowed: allow, deny']],
    ['a list as effect', good.replace('allow', '[allow]'), ['3:11: expect is a list; allowed: allow, deny']],
    [
      'an unknown member',
      `${good}  wants: x`,
      ['4:3: a test has no member "wants"; allowed: name, request, expect, rule'],
    ],
    ['a merged mapping', `${good}  <<: {}`, ['4:3: a test has no member "<<"; allowed: name, request, expect, rule']],
    ['a repeated member', `${good}  expect: deny`, ['4:3: "expect" stands twice']],
    ['a repeated name', good + good, ['4:9: the name "a" stands in line 1 already']],
    [
      'an unknown token',
      good.replace('sub', 'user'),
      [`2:14: the model's request definition has no token "user"; allowed: sub, act, obj, port`],
    ],
    [
      'an inherited name',
      good.replace('sub', '__proto__'),
      [`2:14: the model's request definition has no token "__proto__"; allowed: sub, act, obj, port`],
    ],
    ['a repeated token', good.replace('web', 'web, sub: x'), ['2:24: "sub" stands twice']],
    ['an empty request', good.replace('sub: web', ''), [`2:12: the request is empty; allowed: ${tokensAllowed}`]],
    [
      'a request that is a list',
      good.replace('{ sub: web }', '[web]'),
      [`2:12: the request is a list; allowed: ${tokensAllowed}`],
    ],
    ['an empty text', good.replace('web', '""'), [`2:19: sub is empty; allowed: ${noToken}`]],
    ['null', good.replace('web', 'null'), [`2:19: sub is nothing; allowed: ${noToken}`]],
    ['no value', good.replace('{ sub: web }', '\n    sub:'), [`3:9: sub is nothing; allowed: ${noToken}`]],
    ['a list as token', good.replace('web', '[web]'), [`2:19: sub is a list; allowed: ${noToken}`]],
    ['a mapping as token', good.replace('web', '{ a: b }'), [`2:19: sub is a mapping; allowed: ${noToken}`]],
    [
      'a truth value',
      good.replace('web', 'true'),
      [`2:19: sub is the value true; allowed: ${noToken} (write it in quotes)`],
    ],
    [
      'a line break in a token',
      good.replace('web', '"a\\nb"'),
      [`2:19: sub holds the control character "\\n"; allowed: ${noToken}`],
    ],
    [
      'a name that is too long',
      good.replace('name: a', `name: ${'a'.repeat(201)}`),
      ['1:9: the name has 201 characters; at most 200 are allowed'],
    ],
    [
      'several',
      '- name: a\n  expect: x\n- expect: deny\n  request: {}',
      [
        `1:3: the test has no request; it is ${tokensAllowed}`,
        '2:11: expect is "x"; allowed: allow, deny',
        '3:3: the test has no name; any text that no other test has is allowed',
        `4:12: the request is empty; allowed: ${tokensAllowed}`,
      ],
    ],
  ])('%s', async (_title, text, expected) => {
    expect(await problemsOf(text)).toEqual(expected)
  })
})

describe('what is no list of tests is refused:', () => {
  test.each([
    ['a mapping', 'tests:\n  - name: a', ['1:1: expected a list: each entry begins with "- "']],
    ['a text', '\nhello', ['2:1: expected a list: each entry begins with "- "']],
    ['a second document', `${good}---\n${good}`, ['4:1: a second document begins here; one is allowed']],
    ['a tag', good.replace('web', '!!str web'), ['2:19: the tag "!!str" is not supported; leave it out']],
    [
      'a tag of its own',
      good.replace('web', '!<tag:x,2000:y> web'),
      ['2:19: the tag "!<tag:x,2000:y>" is not supported; leave it out'],
    ],
    ['a directive', `%YAML 1.1\n---\n${good}`, ['1:1: directives are not supported; leave the line out']],
    [
      'a control character',
      `- name: a\n  request: {}\n\u0002`,
      ['3:1: the control character "\\u0002" is not allowed in YAML'],
    ],
    [
      'deep nesting',
      good.replace('web', '['.repeat(50)),
      ['2:26: more than 8 lists and mappings stand inside one another'],
    ],
    ['an unknown alias', good.replace('web', '*web'), ['2:19: the alias *web has no anchor &web before it']],
    [
      'too long an entry',
      good.replace('web', 'x'.repeat(9_000)),
      ['1:1: what begins here has more than 4096 characters'],
    ],
    [
      'too long a list in brackets',
      `[${'{}, '.repeat(5_000)}]`,
      ['1:1: what begins here has more than 4096 characters'],
    ],
    [
      'too large a file',
      '#\n'.repeat(testLimits.text / 2 + 1),
      ['1:1: the file has 4194306 characters; at most 4194304 are allowed'],
    ],
  ])('%s', async (_title, text, expected) => {
    const problems = await problemsOf(text)
    expect(problems.slice(0, expected.length)).toEqual(expected)
    expect((await parse(text)).cases).toEqual([])
  })

  test.each([
    ['an open bracket', good.replace(' }', ''), 3],
    ['a wrong indentation', `${good}   rule: x`, 3],
    ['an open quote', good.replace('web', '"web'), 4],
    ['a tab as indentation', '- name: a\n\trequest: x', 2],
    ['text behind a text', good.replace('web', '"a" b'), 2],
    ['a colon too much', good.replace('name: a', 'name: a: b'), 1],
    ['an entry that is indented otherwise', `${good} - name: b`, 4],
  ])('%s', async (_title, text, line) => {
    const { problems } = await parse(text)
    expect(problems[0]).toMatchObject({ code: 'TEST_INVALID', message: expect.stringMatching(/^not valid YAML: /) })
    expect(problems.map((found) => found.line)).toContain(line)
  })

  test('work that is given up ends', async () => {
    const given = AbortSignal.abort(new Error('given up'))
    const file = { name: 'tests.yaml', text: '# x\n'.repeat(500_000), sha256: '' }
    await expect(parseTests(file, { model: { tokens }, rows: [] }, new Pace(given))).rejects.toThrow('given up')
  })

  test('at most 10,000 tests are read', async () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, index) => good.replace('name: a', `name: ${String(index)}`)).join('')
    expect(await parse(many(10_000))).toMatchObject({ cases: { length: 10_000 }, problems: [] })
    expect((await parse(many(10_001))).problems).toMatchObject([{ line: 30_001, message: 'more than 10000 entries' }])
  })

  test('no text of YAML’s own characters makes it throw', async () => {
    const piece = fc.constantFrom(
      '- ',
      '-',
      '? ',
      ': ',
      ', ',
      '[',
      ']',
      '{',
      '}',
      '&a ',
      '*a ',
      '!t ',
      '|',
      '>',
      '"',
      "'",
      '#',
      ' ',
      '  ',
      '\n',
      '\t',
      '---\n',
      '...\n',
      '%',
      '<<',
      'name',
      'request',
      'sub',
      'expect',
      'allow',
      'null',
      '\u{1F600}',
      '\uFEFF',
      '\\x',
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 60 }), async (pieces) => {
        const { cases, problems } = await parse(pieces.join(''))
        expect(cases.every(({ name, request }) => name !== '' && Object.keys(request).length > 0)).toBe(true)
        expect(problems.every(({ line, column }) => Number(line) > 0 && Number(column) > 0)).toBe(true)
      }),
      { numRuns: 3_000 },
    )
  })
})
