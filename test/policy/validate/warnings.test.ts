import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { PolicyRequest } from '../../../src/decision/rule-set.ts'
import { Pace } from '../../../src/policy/pace.ts'
import { policyWarnings, type PolicyWarningCode } from '../../../src/policy/problem.ts'
import { checkPolicy } from '../../../src/policy/validate/validate.ts'
import { scanWarnings, warningsOf } from '../../../src/policy/validate/warnings.ts'
import { build, modelText, ruleSet, snapshot } from '../policies.ts'

const paths = 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && (r.act == p.act || p.act == "*")'
const mixed = '(g(r.sub, p.sub) || spiffeMatch(r.sub, p.sub)) && pathMatch(r.obj, p.obj) && r.act == p.act'
const exact = 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act'
const deny = { p: 'sub, obj, act, eft', e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))' }
const priority = { p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' }
const [web, cron] = ['spiffe://a/ns/x/sa/web', 'spiffe://a/ns/x/sa/cron']
const readers = `g, ${web}, reader`
const members = `g, ${web}, reader\ng, ${cron}, writer\ng, writer, reader`

/** `line:column CODE` of each warning, and the messages. */
async function warned(model: string, csv: string): Promise<{ at: string[]; messages: string }> {
  const outcome = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
  if (!outcome.ok) throw new Error(JSON.stringify(outcome.problems))
  const warnings = await warningsOf(outcome.policy, new Pace())
  return {
    at: warnings.map(({ line, column, code }) => `${String(line)}:${String(column)} ${code}`),
    messages: warnings.map(({ message }) => message).join('\n'),
  }
}

type Case = readonly [
  title: string,
  parts: Parameters<typeof modelText>[0],
  csv: string,
  at: string[],
  message?: string,
]

const cases: Case[] = [
  ['nothing to say of a good policy', { m: paths }, `p, reader, /a/{id}, GET\np, writer, /b/**, *\n${members}`, []],
  ['a rule that stands twice', {}, `p, ${web}, /a, GET\n\n  p, ${web}, /a, GET`, ['3:3 RULE_REPEATED'], 'policy.csv:1'],
  ['a link that stands twice', {}, `p, r, /a, GET\ng, ${web}, r\ng, ${web}, r`, ['3:1 RULE_REPEATED'], 'policy.csv:2'],
  [
    'a rule within a wider path, wherever it stands',
    { m: paths },
    `p, reader, /a/{id}, GET\np, reader, /a/**, GET\np, reader, /a, GET\np, reader, /ab, GET\n${members}\np, writer, /z, GET`,
    ['1:1 RULE_SHADOWED', '3:1 RULE_SHADOWED'],
    'policy.csv:2',
  ],
  [
    'the later one of two rules that say the same in other words',
    { m: paths },
    `p, reader, /a/{id}, GET\np, reader, /a/*, GET\n${members}\np, writer, /z, GET`,
    ['2:1 RULE_SHADOWED'],
  ],
  [
    'a rule of a role, and of a member, whose role may do the same',
    { m: paths },
    `p, reader, /a/**, *\np, writer, /a/b, PUT\np, ${web}, /a, GET\n${members}`,
    ['2:1 RULE_SHADOWED', '3:1 RULE_SHADOWED'],
  ],
  [
    'a rule of one workload within a pattern of workloads',
    { m: mixed },
    `p, spiffe://a/ns/x/**, /a/*, GET\np, ${web}, /a/1, GET\np, spiffe://a/ns/{n}/sa/web, /a/1, GET`,
    ['2:1 RULE_SHADOWED'],
  ],
  [
    'a rule within a pattern of keyMatch',
    { m: 'r.sub == p.sub && keyMatch(r.obj, p.obj) && r.act == p.act' },
    `p, ${web}, /a/*, GET\np, ${web}, /a/b/*, GET\np, ${web}, /a/b, GET\np, ${web}, /a, GET`,
    ['2:1 RULE_SHADOWED', '3:1 RULE_SHADOWED'],
  ],
  [
    'no rule that only looks wider: another method, domain or effect',
    { ...deny, m: paths },
    `p, reader, /a/**, GET, allow\np, reader, /a/b, PUT, allow\np, reader, /a/b, GET, deny\n${members}\np, writer, /z, GET, allow`,
    [],
  ],
  [
    'no rule whose wider pattern stands under a negation',
    { m: '!pathMatch(r.obj, p.obj) && r.act == p.act && r.sub == p.sub' },
    'p, anonymous, /a/b, GET\np, anonymous, /a/**, GET',
    [],
  ],
  [
    'an allow that a denial always beats',
    { ...deny, m: paths },
    `p, writer, /a/b, GET, allow\np, reader, /a/**, *, deny\n${members}`,
    ['1:1 RULE_UNREACHABLE'],
    'policy.csv:2',
  ],
  [
    'a rule behind one of a smaller priority that covers it, and not the other way round',
    { ...priority, m: paths },
    `p, 2, reader, /a/b, GET, allow\np, 1, reader, /a/**, GET, deny\np, 0, reader, /a/c, GET, allow\n${members}\np, 3, writer, /z, GET, allow`,
    ['1:1 RULE_UNREACHABLE'],
    'comes first',
  ],
  [
    'a rule of somebody who can never be there',
    { m: 'r.sub == p.sub && r.obj == p.obj' },
    `p, alice, /a, GET\np, anonymous, /a, GET\np, ${web}, a, GET`,
    ['1:1 RULE_UNREACHABLE', '3:1 RULE_UNREACHABLE'],
  ],
  [
    'roles without members, once each, and roles that only have such',
    {},
    `p, ghost, /a, GET\np, ghost, /b, GET\np, boss, /a, GET\ng, nobody, boss`,
    ['1:4 ROLE_WITHOUT_MEMBERS', '3:1 RULE_UNREACHABLE'],
    '"ghost"',
  ],
  [
    'roles without rules, but not those that have a role with rules',
    {},
    `p, reader, /a, GET\n${members}\ng, ${web}, idle\ng, ${web}, lazy\ng, lazy, idle`,
    ['5:28 ROLE_WITHOUT_RULES', '6:28 ROLE_WITHOUT_RULES'],
    '"idle"',
  ],
  [
    'roles that have each other, or themselves',
    {},
    `p, a, /a, GET\ng, ${web}, a\ng, a, b\ng, b, c\ng, c, a\ng, c, c`,
    ['5:1 ROLE_CYCLE', '6:1 ROLE_CYCLE'],
    'a → b → c → a (policy.csv:3, policy.csv:4, policy.csv:5)',
  ],
  [
    'no cycle that goes over two domains',
    { r: 'sub, host, obj', p: 'sub, host, obj', g: 'g = _, _, _', m: 'g(r.sub, p.sub, r.host) && r.obj == p.obj' },
    `p, a, x, /a\ng, ${web}, a, x\ng, a, b, x\ng, b, a, y`,
    [],
  ],
  [
    'patterns that fix nothing, unless they deny',
    { ...deny, m: mixed },
    `p, spiffe://*/**, /a, GET, allow\np, spiffe://a/**, /{x}/b, GET, allow\np, spiffe://*/**, /**, PUT, deny`,
    ['1:4 PATTERN_FIXES_NOTHING', '2:19 PATTERN_FIXES_NOTHING'],
  ],
  [
    'expressions that begin with a wildcard, and of no others',
    { m: 'r.sub == p.sub && regexMatch(r.obj, p.obj)' },
    ['^/a(b|/.*)$', '^(a+)+$', '^/.*$', '^.+/a$', '^/[^/]+/b$', '^/[a-z]+$']
      .map((text) => `p, ${web}, ${text}, -`)
      .join('\n'),
    [3, 4, 5].map((line) => `${String(line)}:${String(web.length + 6)} PATTERN_FIXES_NOTHING`),
    'begins with a wildcard',
  ],
  ...(
    [
      ['globMatch', ['/[a-z]*/**', '/**', '/a*', '*/a'], [2, 4]],
      ['keyMatch', ['/a*', '/*', '*', '/a/*'], [2, 3]],
      ['keyMatch2', ['/a:b', '/*', '/:x/a', '/a/*'], [2, 3]],
      ['keyMatch3', ['/a{b}', '/*', '/{x}/a', '/a/*'], [2, 3]],
    ] as const
  ).map(([name, patterns, lines]): Case => [
    `patterns of ${name} that begin with a wildcard, and of no others`,
    { m: `r.sub == p.sub && ${name}(r.obj, p.obj) && r.act == p.act` },
    patterns.map((text, index) => `p, ${web}, ${text}, M${String(index)}`).join('\n'),
    lines.map((line) => `${String(line)}:${String(web.length + 6)} PATTERN_FIXES_NOTHING`),
  ]),
  [
    'what a function says of its patterns, in the matcher too',
    { m: 'r.sub == p.sub && keyMatch(r.obj, p.obj) && regexMatch(r.act, "GET")' },
    `p, ${web}, /a*b, -`,
    ['14:67 PATTERN_UNANCHORED', '1:28 PATTERN_STAR_INSIDE'],
  ],
  [
    'a rule of whom no request can be: a wildcard or no valid SPIFFE ID where names are only compared',
    { ...deny, m: exact },
    `p, *, /a/**, GET, deny\np, spiffe://td/ns/x/sa/*, /a/**, GET, deny\np, spiffe://Td/ns/x, /a/**, GET, deny\np, reader, /b, GET, allow\n${readers}`,
    ['1:1 RULE_UNREACHABLE', '2:1 RULE_UNREACHABLE', '3:1 RULE_UNREACHABLE'],
    'the column "sub" has "*", but r.sub is a valid SPIFFE ID or "anonymous"; a wildcard works only in pathMatch',
  ],
  [
    'no rule of a pattern that the matcher reads as one, nor of one that is a role',
    { ...deny, m: mixed },
    `p, spiffe://td/ns/x/sa/*, /a/**, GET, deny\np, spiffe://td/q/*, /a/*/b, GET, deny\ng, ${web}, spiffe://td/q/*`,
    [],
  ],
  [
    'a method with a star or in lower case where it is only compared',
    { ...deny, m: exact },
    `p, reader, /admin/**, *, deny\np, reader, /a/**, get, deny\np, reader, /b/**, GET, allow\n${readers}`,
    ['1:23 VALUE_IMPOSSIBLE', '2:19 VALUE_IMPOSSIBLE'],
    'did you mean "GET"?',
  ],
  [
    'no method that the matcher itself names, but any other',
    { m: `g(r.sub, p.sub) && r.obj == p.obj && (r.act == p.act || p.act == "*" || p.act == "any")` },
    `p, reader, /a, *\np, reader, /b, any\np, reader, /c, post\n${readers}`,
    ['3:16 VALUE_IMPOSSIBLE'],
  ],
  [
    'no method that an alternative does not ask about',
    { m: 'g(r.sub, p.sub) && (r.obj == p.obj && r.act == p.act || pathMatch(r.obj, "/b/c") && r.obj == p.obj)' },
    `p, reader, /a, call\n${readers}`,
    [],
  ],
  [
    'no method that is a pattern, a role, or asked for in another way',
    { g: 'g = _, _\ng2 = _, _', m: 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && g2(r.act, p.act)' },
    `p, reader, /a, read\n${readers}\ng2, GET, read`,
    [],
  ],
  [
    'a path with a star where it is only compared',
    { m: 'r.sub == p.sub && r.obj == p.obj' },
    `p, ${web}, /a/*, GET\np, ${web}, *, GET`,
    [`1:${String(web.length + 6)} VALUE_IMPOSSIBLE`],
  ],
  [
    'an alternative of the matcher that looks at no rule, also beneath a negation',
    {
      m: `${exact} || r.act == "GET" && r.sub == "${web}" || !(r.act != "PUT" || r.act == "x")`,
    },
    `p, reader, /b, GET\n${readers}`,
    Array<string>(2).fill('14:5 MATCHER_BRANCH_WITHOUT_RULE'),
    `r.act == "GET" && r.sub == "${web}" reads no column of p`,
  ],
  [
    'an alternative of the matcher that looks at no token',
    { m: `${exact} || p.act == "*"` },
    `p, reader, /b, GET\n${readers}`,
    ['14:5 MATCHER_BRANCH_WITHOUT_REQUEST'],
    'p.act == "*" reads no token of r',
  ],
  ['a policy without rules', { m: exact }, '# none yet', ['null:null NO_RULES'], 'everything is denied'],
  [
    'a role link of a name that no request has',
    { m: exact },
    `p, reader, /a, GET\n${readers}\ng, spiffe://td/sa/*, reader\ng, spiffe://Td/x, reader\ng, spiffe:///ns/x, reader\ng, anonymous, reader`,
    ['3:4 VALUE_IMPOSSIBLE', '4:4 VALUE_IMPOSSIBLE', '5:4 VALUE_IMPOSSIBLE'],
    'nobody is: r.sub is a valid SPIFFE ID or "anonymous"',
  ],
]

describe('a policy is warned of', () => {
  test.each(cases)('%s', async (_title, parts, csv, at, message = '') => {
    const found = await warned(modelText(parts), csv)
    expect(found.at).toEqual(at)
    expect(found.messages).toContain(message)
  })

  test('what the index cannot help with, and what it costs', async () => {
    const outcome = await checkPolicy(snapshot({ 'model.conf': modelText(), 'policy.csv': '' }), new Pace())
    const model = outcome.ok ? outcome.policy.model : undefined
    expect(model && scanWarnings(model, [{ condition: 'r.act != p.act', rules: 500 }])).toMatchObject([
      {
        file: 'model.conf',
        line: 14,
        column: 5,
        code: 'NOT_INDEXED',
        message: expect.stringMatching(/r\.act != p\.act.* 500 /),
      },
    ])
  })

  test('at most a thousand times of the same', async () => {
    const { at, messages } = await warned(modelText(), `p, ${web}, /a, GET\n`.repeat(2_000))
    expect(at).toHaveLength(1_001)
    expect(at.at(-1)).toBe('null:null RULE_REPEATED')
    expect(messages).toMatch(/… and 999 more of RULE_REPEATED$/)
  })
})

describe('a rule that is said to do nothing', () => {
  const any = <Value>(...values: Value[]) => fc.constantFrom(...values)
  const subject = any(web, cron, 'reader', 'writer', 'spiffe://a/**', 'spiffe://*/ns/x/sa/web', 'nobody')
  const path = any('/a', '/a/b', '/a/{x}', '/a/*', '/a/**', '/**', '/{y}/b', '/a/b/c', '/a/')
  const rule = fc.tuple(subject, path, any('GET', 'PUT', '*'), any('allow', 'deny'), fc.nat(2))
  const links = fc.subarray([`g, ${web}, reader`, `g, ${cron}, writer`, 'g, writer, reader', 'g, reader, writer'])
  const matcher = any(
    '(g(r.sub, p.sub) || spiffeMatch(r.sub, p.sub)) && pathMatch(r.obj, p.obj) && (r.act == p.act || p.act == "*")',
    '!(r.act != p.act) && (g(r.sub, p.sub) || r.act == "PUT" && spiffeMatch(r.sub, p.sub)) && keyMatch(r.obj, p.obj)',
    'g(r.sub, p.sub) && (pathMatch(r.obj, p.obj) || r.act == p.act)',
    '!pathMatch(r.obj, p.obj) && r.act == p.act && !!g(r.sub, p.sub)',
  )
  const kinds = [
    { p: 'sub, obj, act', e: 'some(where (p.eft == allow))' },
    { p: 'sub, obj, act, eft', e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))' },
    { p: 'sub, obj, act, eft, priority', e: 'priority(p.eft) || deny' },
  ]
  const requests: PolicyRequest[] = [web, cron, 'spiffe://b/ns/x/sa/web', 'anonymous'].flatMap((sub) =>
    ['/a', '/a/b', '/a/b/c', '/b/b', '/', '/a/'].flatMap((obj) => ['GET', 'PUT'].map((act) => ({ sub, obj, act }))),
  )
  const nothing: readonly PolicyWarningCode[] = [
    'RULE_REPEATED',
    'RULE_SHADOWED',
    'RULE_UNREACHABLE',
    'ROLE_WITHOUT_MEMBERS',
  ]

  test('changes no answer when it is left out, for any policy', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(
        any(...kinds),
        matcher,
        fc.array(rule, { maxLength: 7 }),
        links,
        async (kind, m, rules, given) => {
          const model = modelText({ ...kind, m })
          const width = kind.p.split(',').length
          const lines = [...rules.map((values) => ['p', ...values.slice(0, width)].join(', ')), ...given]
          const outcome = await build(model, lines.join('\n'))
          if (!outcome.ok) throw new Error(JSON.stringify(outcome.problems))
          const idle = outcome.warnings.filter(({ code }) => nothing.some((known) => known === code))
          for (const { line, code } of idle) {
            seen.add(code)
            const without = await ruleSet(
              model,
              lines.map((text, index) => (index + 1 === line ? '' : text)).join('\n'),
            )
            const effects = (rulesIn: typeof without) => requests.map((request) => rulesIn.evaluate(request).effect)
            expect({ line, code, effects: effects(without) }).toEqual({ line, code, effects: effects(outcome.ruleSet) })
          }
        },
      ),
      { numRuns: 400 },
    )
    expect([...seen].sort()).toEqual([...nothing].sort())
  })
})

test('every warning has a meaning', () => {
  expect(Object.values(policyWarnings).every((meaning) => meaning.endsWith('.'))).toBe(true)
})
