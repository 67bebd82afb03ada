import { describe, expect, test } from '@jest/globals'
import { policyProblems, type PolicyProblemCode } from '../../../src/policy/problem.ts'
import { build, modelText } from '../policies.ts'

/** Line and column, where there are any. */
type Place = `${number}:${number}` | null

/** Code, model, rules, then file, place and a part of the message of the one problem that is expected. */
type Case = readonly [PolicyProblemCode, string, string, string, Place, string]

const good = 'p, alice, /a, GET'
const model = (parts: Parameters<typeof modelText>[0] = {}) => modelText(parts)
const matcher = (m: string) => modelText({ m })
const rules = (code: PolicyProblemCode, csv: string, place: Place, message: string, parts = {}): Case => [
  code,
  model(parts),
  csv,
  'policy.csv',
  place,
  message,
]
const inMatcher = (code: PolicyProblemCode, m: string, place: Place, message: string): Case => [
  code,
  matcher(m),
  good,
  'model.conf',
  place,
  message,
]

const deny = { p: 'sub, obj, act, eft', e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))' }
const priority = { p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' }
const subjects = { p: 'sub, obj, act, eft', e: 'subjectPriority(p.eft) || deny' }

const cases: Case[] = [
  ['MODEL_SYNTAX', `${model()}\nwhat is this`, good, 'model.conf', '16:1', 'what is this'],
  ['MODEL_SYNTAX', `r = sub\n${model()}`, good, 'model.conf', '1:1', 'expected a section'],
  ['MODEL_SYNTAX', model({ p: '' }), good, 'model.conf', '5:1', '"p" is empty'],
  [
    'SECTION_UNKNOWN',
    `${model()}\n[constraint_definition]\nc = x`,
    good,
    'model.conf',
    '16:1',
    'request_definition, policy_definition',
  ],
  ['SECTION_REPEATED', `${model()}\n[matchers]\n`, good, 'model.conf', '16:1', '"matchers" stands twice'],
  ['DEFINITION_MISSING', model().replace(/\[matchers\][^]*/, ''), good, 'model.conf', null, 'matchers'],
  [
    'DEFINITION_UNKNOWN',
    `${model()}\nm2 = r.sub == p.sub`.replace('m = ', 'M = ').replace(/\nm2.*/, ''),
    good,
    'model.conf',
    '14:1',
    'expected "m"',
  ],
  ['DEFINITION_UNKNOWN', model({ g: 'g = _, _\ng3 = _, _' }), good, 'model.conf', '9:1', 'expected "g2"'],
  ['DEFINITION_REPEATED', `${model()}m2 = r.sub == p.sub`, good, 'model.conf', '15:1', '"m2"'],
  ['DEFINITION_REPEATED', model({ p: 'sub, obj, act\np2 = sub' }), good, 'model.conf', '6:1', '"p2"'],
  ['DEFINITION_REPEATED', model({ g: 'g = _, _\ng = _, _' }), good, 'model.conf', '9:1', '"g"'],
  [
    'TOKEN_UNKNOWN',
    model({ r: 'sub, object, act' }),
    good,
    'model.conf',
    '2:10',
    'unknown token "object"; allowed: sub, user, dst',
  ],
  ['TOKEN_UNKNOWN', model({ r: 'sub, constructor' }), good, 'model.conf', '2:10', '"constructor"'],
  ['COLUMN_INVALID', model({ p: 'sub, , act' }), good, 'model.conf', '5:10', '"" is no name'],
  ['COLUMN_INVALID', model({ p: 'sub, obj, sub' }), good, 'model.conf', '5:15', '"sub" stands twice'],
  ['ROLE_DEFINITION_INVALID', model({ g: 'g = _' }), good, 'model.conf', '8:5', 'found "_"'],
  ['ROLE_DEFINITION_INVALID', model({ g: 'g = _, _, _, _' }), good, 'model.conf', '8:5', '"_, _, _"'],
  ['ROLE_DEFINITION_INVALID', model({ g: 'g = _, _, (_, _)' }), good, 'model.conf', '8:5', '"_, _"'],
  [
    'EFFECT_UNKNOWN',
    model({ e: 'some(where (p.eft==allow))' }),
    good,
    'model.conf',
    '11:5',
    'some(where (p.eft == allow))',
  ],
  [
    'EFFECT_ALLOWS_BY_DEFAULT',
    model({ e: '!some(where (p.eft == deny))' }),
    good,
    'model.conf',
    '11:5',
    'whatever no rule denies',
  ],
  [
    'EFFECT_ALLOWS_BY_DEFAULT',
    model({ e: '!some( where(p.eft==deny))' }),
    good,
    'model.conf',
    '11:5',
    'whatever no rule denies',
  ],
  [
    'SUBJECT_PRIORITY_INVALID',
    model({ ...subjects, p: 'obj, sub, act, eft' }),
    '',
    'model.conf',
    '5:5',
    'p = sub, obj',
  ],
  [
    'SUBJECT_PRIORITY_INVALID',
    model(subjects),
    'p, alice, /a, GET, allow\np, bob, /a, GET, deny\ng, alice, x',
    'policy.csv',
    '2:4',
    '"bob"',
  ],
  inMatcher('MATCHER_SYNTAX', 'g(r.sub, p.sub', '14:19', 'Expected )'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub &&', '14:22', 'Expected expression'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub r.act == p.act', '14:20', 'operator is missing'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub & r.act == p.act', '14:20', 'Invalid operator'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub && ()', '14:25', 'Expected expression'),
  inMatcher(
    'POLICY_TOO_LARGE',
    `${'('.repeat(8000)}r.sub == p.sub${')'.repeat(8000)}`,
    '14:55',
    'more than 50 brackets',
  ),
  inMatcher('POLICY_TOO_LARGE', `${'!'.repeat(16_000)}g(r.sub, p.sub)`, '14:55', 'more than 50 brackets'),
  inMatcher('POLICY_TOO_LARGE', 'r.sub==p.sub||'.repeat(1_100), '14:14017', 'more than 1000 brackets'),
  inMatcher('MATCHER_SYNTAX', 'r.sub == p.sub && r.act in ("GET", (r.obj, "x"))', '14:46', 'no space before'),
  inMatcher('MATCHER_CONSTANT', 'r.sub == p.sub || 1 == 1', '14:23', 'the constant 1 is compared with the constant 1'),
  inMatcher('MATCHER_CONSTANT', 'r.sub == p.sub || r.act == r.act', '14:23', 'itself; to ask whether there is one'),
  inMatcher('MATCHER_CONSTANT', 'r.sub == p.sub && p.sub == p.sub', '14:23', 'p.sub is compared with itself'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == p.sub && r.act', '14:23', 'r.act as a condition'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == p.sub || true', '14:23', 'the constant true as a condition'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == p.sub ? true : r.obj == p.obj', '14:5', 'ConditionalExpression'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub + r.act == p.sub', '14:5', 'BinaryExpression in place of a value'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.act in ["GET"] && r.sub == p.sub', '14:11', '"in" without a list'),
  inMatcher('MATCHER_UNSUPPORTED', '(r.sub in [ r.obj]) && r.sub == p.sub', '14:17', 'literals and columns'),
  inMatcher('MATCHER_UNSUPPORTED', '-r.sub', '14:5', 'the operator "-"'),
  inMatcher('MATCHER_UNSUPPORTED', 'keyGet(r.obj, p.obj)', '14:5', 'keyGet() as a condition'),
  inMatcher('MATCHER_UNSUPPORTED', 'r.sub == null && r.obj == p.obj', '14:14', 'null'),
  inMatcher('MATCHER_UNSUPPORTED', 'this == p.sub', '14:5', 'ThisExpression'),
  inMatcher(
    'MATCHER_NAME_UNKNOWN',
    'r.user == p.sub',
    '14:5',
    'unknown name "r.user"; defined are r.sub, r.obj, r.act, p.sub',
  ),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r.sub == p.name', '14:14', '"p.name"'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r.sub == p.sub && alice == r.sub', '14:23', '"alice"'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r2.sub == p.sub', '14:5', '"r2_sub"'),
  inMatcher('MATCHER_NAME_UNKNOWN', 'r.sub == p.eft', '14:14', '"p.eft"'),
  inMatcher('MATCHER_ATTRIBUTE', 'r.sub.name == p.sub', '14:5', 'r.sub.name'),
  inMatcher('MATCHER_ATTRIBUTE', 'r.sub.startsWith(p.sub)', '14:5', 'r.sub.startsWith'),
  inMatcher('MATCHER_ATTRIBUTE', 'r.sub["constructor"] == p.sub', '14:5', 'r.sub[…]'),
  inMatcher('MATCHER_EVAL', 'eval(p.sub)', '14:5', 'eval()'),
  inMatcher('MATCHER_EVAL', 'r.sub == p.sub && r.act == "eval(p.act)"', '14:33', 'eval()'),
  inMatcher('MATCHER_WITHOUT_REQUEST', 'p.sub == "alice"', '14:5', 'no token'),
  inMatcher('MATCHER_WITHOUT_RULE', 'r.sub == "alice"', '14:5', 'no column'),
  [
    'MATCHER_WITHOUT_RULE',
    model({ ...deny, m: 'r.sub == "alice" && p.eft == "allow"' }),
    `${good}, allow`,
    'model.conf',
    '14:5',
    'no column',
  ],
  inMatcher(
    'FUNCTION_UNKNOWN',
    'keymatch(r.obj, p.obj)',
    '14:5',
    'unknown function "keymatch"; there are g, pathMatch',
  ),
  inMatcher('FUNCTION_UNKNOWN', 'g2(r.sub, p.sub)', '14:5', '"g2"'),
  inMatcher('FUNCTION_UNKNOWN', 'constructor(r.sub, p.sub)', '14:5', '"constructor"'),
  inMatcher('FUNCTION_ARGUMENTS', 'keyMatch(r.obj)', '14:5', 'takes 2 arguments, not 1'),
  inMatcher('FUNCTION_ARGUMENTS', 'g(r.sub, p.sub, r.obj)', '14:5', 'takes 2 arguments, not 3'),
  inMatcher(
    'FUNCTION_ARGUMENTS',
    'g(r.sub, 443) && p.obj == r.obj',
    '14:14',
    'g takes texts: put the constant 443 in quotes',
  ),
  inMatcher('FUNCTION_ARGUMENTS', 'keyMatch(80, p.obj) && r.sub == p.sub', '14:14', 'keyMatch takes texts'),
  inMatcher('FUNCTION_ARGUMENTS', 'keyMatch(p.obj, r.obj)', '14:21', 'second argument of keyMatch is its pattern'),
  inMatcher('PATTERN_INVALID', 'r.sub == p.sub && pathMatch(r.obj, "/a/**/b")', '14:40', '"**" may only be the last'),
  ['POLICY_TOO_LARGE', matcher(`r.sub == p.sub || ${'x'.repeat(17_000)}`), good, 'model.conf', '14:16389', '16384'],
  rules('POLICY_TOO_LARGE', `${good}\np, ${'x'.repeat(70_000)}, /a, GET`, '2:65537', '65536'),
  rules('CSV_SYNTAX', `${good}\n\n# a comment\np, "alice, /a, GET`, '4:4', 'not closed'),
  rules('CSV_SYNTAX', 'p, al"ice, /a, GET', '1:6', 'a quote inside'),
  rules('CSV_SYNTAX', 'p, f(a, /a, GET', '1:4', 'parentheses'),
  rules('CSV_SYNTAX', 'p, al\rice, /a, GET', '1:6', 'control character'),
  rules('TYPE_UNKNOWN', `${good}\nP, bob, /a, GET`, '2:1', 'unknown policy type "P"; allowed: p, g'),
  rules('TYPE_UNKNOWN', `${good}\np2, bob, /a, GET`, '2:1', '"p2"'),
  rules('TYPE_UNKNOWN', `${good}\n, bob`, '2:1', '""'),
  rules('TYPE_UNKNOWN', `${good}\n__proto__, bob`, '2:1', '"__proto__"'),
  rules('ROW_TOO_SHORT', 'p, alice, /a', '1:11', 'has 2 values; the definition "p = sub, obj, act" has 3'),
  rules('ROW_TOO_SHORT', 'p, alice, /a, GET', '1:15', 'has 4', deny),
  rules('ROW_TOO_SHORT', `${good}\ng, alice`, '2:4', '"g = _, _" has 2'),
  rules('ROW_TOO_LONG', 'p, alice, /a, GET, allow', '1:20', 'has 4 values'),
  rules('ROW_TOO_LONG', `${good}\ng, alice, admin, one`, '2:18', '"g = _, _" has 2'),
  rules('COLUMN_EMPTY', 'p, , /a, GET', '1:4', '"sub" is empty'),
  rules('COLUMN_EMPTY', 'p, alice, "", GET', '1:11', '"obj" is empty'),
  rules('EFFECT_INVALID', 'p, alice, /a, GET, Deny', '1:20', '"Deny"; allowed: allow, deny', deny),
  rules('EFFECT_INVALID', 'p, alice, /a, GET, ', '1:19', '""', deny),
  rules('DENY_WITHOUT_EFFECT', 'p, alice, /a, GET, deny', '1:20', 'counts only rules that allow', {
    p: 'sub, obj, act, eft',
  }),
  rules('PRIORITY_INVALID', 'p, high, alice, /a, GET, allow', '1:4', '"high"', priority),
  rules('PRIORITY_INVALID', 'p, , alice, /a, GET, allow', '1:4', '""', priority),
  rules('ROLE_NAME_EMPTY', `${good}\ng, alice, `, '2:10', 'empty'),
  rules('PATTERN_INVALID', 'p, alice, orders, GET', '1:11', 'no pattern for pathMatch', {
    m: 'r.sub == p.sub && pathMatch(r.obj, p.obj)',
  }),
  rules('PATTERN_INVALID', 'p, alice, /a*, GET', '1:11', '"/a*"', {
    m: 'r.sub == p.sub && (r.obj == p.obj || pathMatch(r.obj, p.obj))',
  }),
  rules('PATTERN_INVALID', 'p, spiffe://a/*x, /a, GET', '1:4', 'spiffeMatch', { m: 'spiffeMatch(r.sub, p.sub)' }),
  rules('PATTERN_INVALID', 'p, alice, /:, GET', '1:11', 'followed by a name', { m: 'keyMatch2(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /:/a, GET', '1:11', 'followed by a name', {
    m: 'keyGet2(r.obj, p.obj, "id") == p.sub',
  }),
  rules('PATTERN_INVALID', 'p, alice, "/[a", GET', '1:11', 'keyMatch2', { m: 'keyMatch2(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /{id, GET', '1:11', 'followed by a name', { m: 'keyMatch3(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /{}, GET', '1:11', 'followed by a name', { m: 'keyMatch5(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, alice, /a{b}, GET', '1:11', 'whole segment', { m: 'keyMatch4(r.obj, p.obj)' }),
  rules('PATTERN_INVALID', 'p, "a[", /a, GET', '1:4', 'regexMatch', { m: 'regexMatch(r.sub, p.sub)' }),
  rules('PATTERN_INVALID', 'p, 10.0.0.0/33, /a, GET', '1:4', 'CIDR', { m: 'ipMatch(r.sub, p.sub)' }),
]

describe('a policy is refused', () => {
  test.each(cases)('with %s', async (code, conf, csv, file, place, message) => {
    const outcome = await build(conf, csv)
    const [line = null, column = null] = place?.split(':').map(Number) ?? []
    expect(outcome.ok ? [] : outcome.problems).toEqual([
      { file, line, column, code, message: expect.stringContaining(message) },
    ])
  })

  test('with every code that the checks of content can give', () => {
    const all = Object.keys(policyProblems)
    const ofContent = all.slice(all.indexOf('POLICY_TOO_LARGE'), all.indexOf('PATTERN_INVALID') + 1)
    const tried = new Set<string>([...cases.map(([code]) => code), 'ROLES_TOO_MANY', 'EXPRESSIONS_TOO_MANY'])
    expect(ofContent.filter((code) => !tried.has(code))).toEqual([])
  })

  test('with all its problems at once, the model first', async () => {
    const outcome = await build(model({ m: 'g(r.sub, p.subject)' }), 'p, "x\nnothing')
    expect(outcome.ok ? [] : outcome.problems.map(({ file, line }) => [file, line])).toEqual([
      ['model.conf', 14],
      ['policy.csv', 1],
    ])
  })

  test('by line and column, also where a definition goes over several lines, with comments between and characters of any width', async () => {
    const m =
      'g(r.sub, p.sub) && \\ # who 😀\n\n   \\ ; nothing\n  r.act == "é😀" && r.object == p.obj \\\n  && r.act == p.action'
    const outcome = await build(matcher(m), good)
    expect(outcome.ok ? [] : outcome.problems).toMatchObject([
      { file: 'model.conf', line: 17, column: 20, code: 'MATCHER_NAME_UNKNOWN' },
      { file: 'model.conf', line: 18, column: 15, code: 'MATCHER_NAME_UNKNOWN' },
    ])
  })

  test('by the place of the value at fault, quoted and indented or not', async () => {
    const outcome = await build(model(), ' \tp, "é,😀", /a, GET, more\n  p , "a""b" x')
    expect(outcome.ok ? [] : outcome.problems).toMatchObject([
      { line: 1, column: 22, code: 'ROW_TOO_LONG' },
      { line: 2, column: 14, code: 'CSV_SYNTAX' },
    ])
  })

  test('with a thousand problems at most', async () => {
    const outcome = await build(model({ m: 'g(r.sub, p.subject)' }), 'p, "x\n'.repeat(600) + 'nothing\n'.repeat(600))
    expect(outcome.ok ? [] : outcome.problems).toHaveLength(601)
    const more = await build(model(), 'p, "x\n'.repeat(600) + 'nothing\n'.repeat(600))
    expect(more.ok ? [] : more.problems).toHaveLength(1_000)
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
