import { describe, expect, test } from '@jest/globals'
import { policyProblems, type PolicyProblemCode } from '../../../src/policy/problem.ts'
import { build, modelText } from '../policies.ts'

/** Code, model, rules, then file, line and a part of the message of the one problem that is expected. */
type Case = readonly [PolicyProblemCode, string, string, string, number | null, string]

const good = 'p, alice, /a, GET'
const model = (parts: Parameters<typeof modelText>[0] = {}) => modelText(parts)
const matcher = (m: string) => modelText({ m })
const rules = (code: PolicyProblemCode, csv: string, line: number, message: string, parts = {}): Case => [
  code,
  model(parts),
  csv,
  'policy.csv',
  line,
  message,
]
const inMatcher = (code: PolicyProblemCode, m: string, message: string): Case => [
  code,
  matcher(m),
  good,
  'model.conf',
  14,
  message,
]

const deny = { p: 'sub, obj, act, eft', e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))' }
const priority = { p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' }
const subjects = { p: 'sub, obj, act, eft', e: 'subjectPriority(p.eft) || deny' }

const cases: Case[] = [
  ['MODEL_SYNTAX', `${model()}\nwhat is this`, good, 'model.conf', 16, 'what is this'],
  ['MODEL_SYNTAX', `r = sub\n${model()}`, good, 'model.conf', 1, 'expected a section'],
  ['MODEL_SYNTAX', model({ p: '' }), good, 'model.conf', 5, '"p" is empty'],
  [
    'SECTION_UNKNOWN',
    `${model()}\n[constraint_definition]\nc = x`,
    good,
    'model.conf',
    16,
    'request_definition, policy_definition',
  ],
  ['SECTION_REPEATED', `${model()}\n[matchers]\n`, good, 'model.conf', 16, '"matchers" stands twice'],
  ['DEFINITION_MISSING', model().replace(/\[matchers\][^]*/, ''), good, 'model.conf', null, 'matchers'],
  [
    'DEFINITION_UNKNOWN',
    `${model()}\nm2 = r.sub == p.sub`.replace('m = ', 'M = ').replace(/\nm2.*/, ''),
    good,
    'model.conf',
    14,
    'expected "m"',
  ],
  ['DEFINITION_UNKNOWN', model({ g: 'g = _, _\ng3 = _, _' }), good, 'model.conf', 9, 'expected "g2"'],
  ['DEFINITION_REPEATED', `${model()}m2 = r.sub == p.sub`, good, 'model.conf', 15, '"m2"'],
  ['DEFINITION_REPEATED', model({ p: 'sub, obj, act\np2 = sub' }), good, 'model.conf', 6, '"p2"'],
  ['DEFINITION_REPEATED', model({ g: 'g = _, _\ng = _, _' }), good, 'model.conf', 9, '"g"'],
  [
    'TOKEN_UNKNOWN',
    model({ r: 'sub, object, act' }),
    good,
    'model.conf',
    2,
    'unknown token "object"; allowed: sub, user, dst',
  ],
  ['TOKEN_UNKNOWN', model({ r: 'sub, constructor' }), good, 'model.conf', 2, '"constructor"'],
  ['COLUMN_INVALID', model({ p: 'sub, , act' }), good, 'model.conf', 5, '"" is no name'],
  ['COLUMN_INVALID', model({ p: 'sub, obj, sub' }), good, 'model.conf', 5, '"sub" stands twice'],
  ['ROLE_DEFINITION_INVALID', model({ g: 'g = _' }), good, 'model.conf', 8, 'found "_"'],
  ['ROLE_DEFINITION_INVALID', model({ g: 'g = _, _, _, _' }), good, 'model.conf', 8, '"_, _, _"'],
  ['ROLE_DEFINITION_INVALID', model({ g: 'g = _, _, (_, _)' }), good, 'model.conf', 8, '"_, _"'],
  [
    'EFFECT_UNKNOWN',
    model({ e: 'some(where (p.eft==allow))' }),
    good,
    'model.conf',
    11,
    'some(where (p.eft == allow))',
  ],
  [
    'EFFECT_ALLOWS_BY_DEFAULT',
    model({ e: '!some(where (p.eft == deny))' }),
    good,
    'model.conf',
    11,
    'whatever no rule denies',
  ],
  [
    'EFFECT_ALLOWS_BY_DEFAULT',
    model({ e: '!some( where(p.eft==deny))' }),
    good,
    'model.conf',
    11,
    'whatever no rule denies',
  ],
  ['SUBJECT_PRIORITY_INVALID', model({ ...subjects, p: 'obj, sub, act, eft' }), '', 'model.conf', 5, 'p = sub, obj'],
  [
    'SUBJECT_PRIORITY_INVALID',
    model(subjects),
    'p, alice, /a, GET, allow\np, bob, /a, GET, deny\ng, alice, x',
    'policy.csv',
    2,
    '"bob"',
  ],
  inMatcher('MATCHER_SYNTAX', 'g(r.sub, p.sub', 'Expected )'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub &&', 'Expected expression'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub r.act == p.act', 'operator is missing'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub & r.act == p.act', 'Invalid operator'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub && ()', 'Expected expression'),
  inMatcher('MATCHER_SYNTAX', `${'('.repeat(8000)}r.sub == p.sub${')'.repeat(8000)}`, 'cannot be parsed'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub && r.act in ("GET", (r.obj, "x"))', 'no space before'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == p.sub && r.act', 'r.act as a condition'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == p.sub || true', 'the constant true as a condition'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == p.sub ? true : r.obj == p.obj', 'ConditionalExpression'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub + r.act == p.sub', 'BinaryExpression in place of a value'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.act in ["GET"] && r.sub == p.sub', '"in" without a list'),
  inMatcher('MATCHER_UNSUPPORTED', '(r.sub in [ r.obj]) && r.sub == p.sub', 'literals and columns'),
  inMatcher('MATCHER_UNSUPPORTED', '-r.sub', 'the operator "-"'),
  inMatcher('MATCHER_UNSUPPORTED', 'keyGet(r.obj, p.obj)', 'keyGet() as a condition'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == null && r.obj == p.obj', 'null'),
  inMatcher('MATCHER_UNSUPPORTED', 'this == p.sub', 'ThisExpression'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r.user == p.sub', 'unknown name "r.user"; defined are r.sub, r.obj, r.act, p.sub'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r.sub == p.name', '"p.name"'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r.sub == p.sub && alice == r.sub', '"alice"'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r2.sub == p.sub', '"r2_sub"'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r.sub == p.eft', '"p.eft"'),
  inMatcher('MATCHER_ATTRIBUTE', 'r.sub.name == p.sub', 'r.sub.name'),
  inMatcher('MATCHER_ATTRIBUTE', 'r.sub.startsWith(p.sub)', 'r.sub.startsWith'),
  inMatcher('MATCHER_ATTRIBUTE', 'r.sub["constructor"] == p.sub', 'r.sub[…]'),
  inMatcher('MATCHER_EVAL', 'eval(p.sub)', 'eval()'),
  inMatcher('MATCHER_EVAL', 'r.sub == p.sub && r.act == "eval(p.act)"', 'eval()'),
  inMatcher('MATCHER_WITHOUT_REQUEST', 'p.sub == "alice"', 'no token'),
  inMatcher('MATCHER_WITHOUT_RULE', 'r.sub == "alice"', 'no column'),
  [
    'MATCHER_WITHOUT_RULE',
    model({ ...deny, m: 'r.sub == "alice" && p.eft == "allow"' }),
    `${good}, allow`,
    'model.conf',
    14,
    'no column',
  ],
  inMatcher('FUNCTION_UNKNOWN', 'keymatch(r.obj, p.obj)', 'unknown function "keymatch"; there are g, pathMatch'),
  inMatcher('FUNCTION_UNKNOWN', 'g2(r.sub, p.sub)', '"g2"'),
  inMatcher('FUNCTION_UNKNOWN', 'constructor(r.sub, p.sub)', '"constructor"'),
  inMatcher('FUNCTION_ARGUMENTS', 'keyMatch(r.obj)', 'takes 2 arguments, not 1'),
  inMatcher('FUNCTION_ARGUMENTS', 'g(r.sub, p.sub, r.obj)', 'takes 2 arguments, not 3'),
  inMatcher('FUNCTION_ARGUMENTS', 'keyMatch(p.obj, r.obj)', 'second argument of keyMatch is its pattern'),
  inMatcher('PATTERN_INVALID', 'r.sub == p.sub && pathMatch(r.obj, "/a/**/b")', '"**" may only be the last'),
  ['POLICY_TOO_LARGE', matcher(`r.sub == p.sub || ${'x'.repeat(17_000)}`), good, 'model.conf', 14, '16384'],
  rules('POLICY_TOO_LARGE', `${good}\np, ${'x'.repeat(70_000)}, /a, GET`, 2, '65536'),
  rules('CSV_SYNTAX', `${good}\n\n# a comment\np, "alice, /a, GET`, 4, 'Quote'),
  rules('CSV_SYNTAX', 'p, al"ice, /a, GET', 1, 'Quote'),
  rules('CSV_SYNTAX', 'p, f(a, /a, GET', 1, 'parentheses'),
  rules('CSV_SYNTAX', 'p, al\rice, /a, GET', 1, 'control character'),
  rules('TYPE_UNKNOWN', `${good}\nP, bob, /a, GET`, 2, 'unknown policy type "P"; allowed: p, g'),
  rules('TYPE_UNKNOWN', `${good}\np2, bob, /a, GET`, 2, '"p2"'),
  rules('TYPE_UNKNOWN', `${good}\n, bob`, 2, '""'),
  rules('TYPE_UNKNOWN', `${good}\n__proto__, bob`, 2, '"__proto__"'),
  rules('ROW_TOO_SHORT', 'p, alice, /a', 1, 'has 2 values; the definition "p = sub, obj, act" has 3'),
  rules('ROW_TOO_SHORT', 'p, alice, /a, GET', 1, 'has 4', deny),
  rules('ROW_TOO_SHORT', `${good}\ng, alice`, 2, '"g = _, _" has 2'),
  rules('ROW_TOO_LONG', 'p, alice, /a, GET, allow', 1, 'has 4 values'),
  rules('ROW_TOO_LONG', `${good}\ng, alice, admin, one`, 2, '"g = _, _" has 2'),
  rules('COLUMN_EMPTY', 'p, , /a, GET', 1, '"sub" is empty'),
  rules('COLUMN_EMPTY', 'p, alice, "", GET', 1, '"obj" is empty'),
  rules('EFFECT_INVALID', 'p, alice, /a, GET, Deny', 1, '"Deny"; allowed: allow, deny', deny),
  rules('EFFECT_INVALID', 'p, alice, /a, GET, ', 1, '""', deny),
  rules('DENY_WITHOUT_EFFECT', 'p, alice, /a, GET, deny', 1, 'counts only rules that allow', {
    p: 'sub, obj, act, eft',
  }),
  rules('PRIORITY_INVALID', 'p, high, alice, /a, GET, allow', 1, '"high"', priority),
  rules('PRIORITY_INVALID', 'p, , alice, /a, GET, allow', 1, '""', priority),
  rules('ROLE_NAME_EMPTY', `${good}\ng, alice, `, 2, 'empty'),
  rules('PATTERN_INVALID', 'p, alice, orders, GET', 1, 'no pattern for pathMatch', {
    m: 'r.sub == p.sub && pathMatch(r.obj, p.obj)',
  }),
  rules('PATTERN_INVALID', 'p, alice, /a*, GET', 1, '"/a*"', {
    m: 'r.sub == p.sub && (r.obj == p.obj || pathMatch(r.obj, p.obj))',
  }),
  rules('PATTERN_INVALID', 'p, spiffe://a/*x, /a, GET', 1, 'spiffeMatch', { m: 'spiffeMatch(r.sub, p.sub)' }),
  rules('PATTERN_INVALID', 'p, alice, /:, GET', 1, 'followed by a name', { m: 'keyMatch2(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /:/a, GET', 1, 'followed by a name', {
    m: 'keyGet2(r.obj, p.obj, "id") == p.sub',
  }),
  rules('PATTERN_INVALID', 'p, alice, "/[a", GET', 1, 'keyMatch2', { m: 'keyMatch2(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /{id, GET', 1, 'followed by a name', { m: 'keyMatch3(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /{}, GET', 1, 'followed by a name', { m: 'keyMatch5(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /a{b}, GET', 1, 'whole segment', { m: 'keyMatch4(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, "a[", /a, GET', 1, 'regexMatch', { m: 'regexMatch(r.sub, p.sub)' }),
  rules('PATTERN_INVALID', 'p, 10.0.0.0/33, /a, GET', 1, 'CIDR', { m: 'ipMatch(r.sub, p.sub)' }),
]

describe('a policy is refused', () => {
  test.each(cases)('with %s', async (code, conf, csv, file, line, message) => {
    const outcome = await build(conf, csv)
    expect(outcome.ok ? [] : outcome.problems).toEqual([
      { file, line, column: null, code, message: expect.stringContaining(message) },
    ])
  })

  test('with every code that the checks of content can give', () => {
    const elsewhere = [
      'FOLDER_UNREADABLE',
      'MODEL_MISSING',
      'RULES_MISSING',
      'FILE_UNREADABLE',
      'FILE_NOT_TEXT',
      'CASBIN_REFUSED',
    ]
    const tried = new Set<string>([...cases.map(([code]) => code), ...elsewhere])
    expect(Object.keys(policyProblems).filter((code) => !tried.has(code))).toEqual([])
  })

  test('with all its problems at once, the model first', async () => {
    const outcome = await build(model({ m: 'g(r.sub, p.subject)' }), 'p, "x\nnothing')
    expect(outcome.ok ? [] : outcome.problems.map(({ file, line }) => [file, line])).toEqual([
      ['model.conf', 14],
      ['policy.csv', 1],
    ])
  })

  test('where its patterns stand among names, only for what is meant as a pattern', async () => {
    const parts = { m: '(g(r.sub, p.sub) || spiffeMatch(r.sub, p.sub)) && r.obj == p.obj' }
    expect(await build(model(parts), 'p, reader, /a, -\np, spiffe://a/**, /a, -')).toMatchObject({ ok: true })
  })
})

describe('a policy may have', () => {
  test.each([
    ['lines that end with CR LF', model().replaceAll('\n', '\r\n'), `${good}\r\n# comment\r\n\r\np, bob, /a, GET\r\n`],
    ['a byte order mark in the model', `\uFEFF${model()}`, good],
    [
      'comments and continued lines',
      model({ m: 'g(r.sub, p.sub) && \\ # who\n  r.obj == p.obj \\\n  && r.act == p.act ; all' }),
      good,
    ],
    ['a last line that is continued', model({ m: 'g(r.sub, p.sub) \\' }).trimEnd(), good],
    [
      'quotes, commas and parentheses in values',
      model({ m: 'regexMatch(r.obj, p.obj) && r.sub == p.sub' }),
      'p, alice, "/(a,b)", GET\np, "b,""c""", "/(a|b){1,2}", GET\np, d, /(e{1,2}), GET',
    ],
  ])('%s', async (_title, conf, csv) => {
    const outcome = await build(conf, csv)
    expect(outcome).toMatchObject({ ok: true })
  })
})
