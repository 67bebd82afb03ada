import { describe, expect, test } from '@jest/globals'
import type { Evaluation } from '../../../src/decision/rule-set.ts'
import { compile } from '../../../src/policy/compile.ts'
import { Pace } from '../../../src/policy/pace.ts'
import type { PolicyRow } from '../../../src/policy/parse/parse-rules.ts'
import { parseTests } from '../../../src/policy/parse/parse-tests.ts'
import { failuresOf, runTests, type TestedRules, type TestReport } from '../../../src/policy/tests/run-tests.ts'
import { checkPolicy } from '../../../src/policy/validate/validate.ts'
import { modelText, snapshot } from '../policies.ts'

const csv = [
  'p, reader, /a, GET, allow',
  'p, writer, /a, PUT, allow',
  'p, writer, /secret, GET, deny',
  'p, reader, /unused, GET, allow',
  'g, web, writer',
  'g, writer, reader',
].join('\n')
const model = modelText({ p: 'sub, obj, act, eft', e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))' })

async function rulesOf(): Promise<{ rules: TestedRules; rows: readonly PolicyRow[] }> {
  const checked = await checkPolicy(snapshot({ 'model.conf': model, 'policy.csv': csv }), new Pace())
  if (!checked.ok) throw new Error(JSON.stringify(checked.problems))
  const compiled = await compile(checked.policy, new Pace())
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.problems))
  const { ruleSet } = compiled
  const { model: checkedModel, rules } = ruleSet
  const matching: TestedRules['matching'] = (request) => ruleSet.matching(request)
  const evaluate: TestedRules['evaluate'] = (request) => ruleSet.evaluate(request)
  return { rules: { model: checkedModel, rules, matching, evaluate }, rows: checked.policy.rows }
}

async function run(text: string, change: Partial<TestedRules> = {}): Promise<TestReport> {
  const { rules, rows } = await rulesOf()
  const file = { name: 'tests.yaml', text, sha256: '' }
  const { cases, problems } = await parseTests(file, { model: { tokens: ['sub', 'obj', 'act'] }, rows }, new Pace())
  expect(problems).toEqual([])
  return runTests({ ...rules, ...change }, cases, new Pace())
}

const one = (request: string, expected: string, rule = '') =>
  `# a test\n- name: t\n  request: ${request}\n  expect: ${expected}\n${rule === '' ? '' : `  rule: "${rule}"\n`}`

const failureOf = async (...args: Parameters<typeof one>) => failuresOf(await run(one(...args)))

describe('a test passes', () => {
  test.each([
    ['where a rule allows as expected', '{ sub: web, obj: /a, act: GET }', 'allow', ''],
    ['where no rule allows as expected', '{ sub: other, obj: /a, act: GET }', 'deny', ''],
    ['where the named rule allows', '{ sub: web, obj: /a, act: GET }', 'allow', 'p,reader,/a,GET,allow'],
    ['where the named rule denies', '{ sub: web, obj: /secret, act: GET }', 'deny', 'p, writer, /secret, GET, deny'],
  ])('%s', async (_title, request, expected, rule) => {
    const report = await run(one(request, expected, rule))
    expect(report).toMatchObject({ passed: 1, failed: 0 })
    expect(failuresOf(report)).toEqual([])
  })
})

describe('a test that fails is a problem at its place', () => {
  const failed = (message: string) => [{ file: 'tests.yaml', line: 2, column: 3, code: 'TEST_FAILED', message }]

  test('where no rule allows', async () => {
    expect(await failureOf('{ sub: web, obj: /b, act: GET }', 'allow')).toEqual(
      failed('the test "t" expects allow, and got deny: no rule matches'),
    )
  })

  test('where the test leaves out what the matcher reads', async () => {
    expect(await failureOf('{ sub: web }', 'allow')).toEqual(
      failed(
        'the test "t" expects allow, and got deny: no rule matches; ' +
          'the test leaves out obj, act, which a rule may need: what is absent equals nothing',
      ),
    )
  })

  test('where a rule denies', async () => {
    expect(await failureOf('{ sub: writer, obj: /secret, act: GET }', 'allow')).toEqual(
      failed('the test "t" expects allow, and got deny by "p, writer, /secret, GET, deny" (policy.csv:3)'),
    )
  })

  test('where a rule allows, with the roles over which it does', async () => {
    expect(await failureOf('{ sub: web, obj: /a, act: GET }', 'deny')).toEqual(
      failed(
        'the test "t" expects deny, and got allow by "p, reader, /a, GET, allow" (policy.csv:1), over the role "writer" → "reader"',
      ),
    )
  })

  test('where another rule than the named one settles it', async () => {
    expect(await failureOf('{ sub: writer, obj: /a, act: PUT }', 'allow', 'p, reader, /a, GET, allow')).toEqual(
      failed(
        'the test "t" expects allow by "p, reader, /a, GET, allow" (policy.csv:1), ' +
          'and got allow by "p, writer, /a, PUT, allow" (policy.csv:2)',
      ),
    )
  })

  test('where the rules fail, also if a denial is expected', async () => {
    const evaluate = (): Evaluation => {
      throw new Error('no such function')
    }
    const report = await run(one('{ sub: web }', 'deny'), { evaluate })
    expect(failuresOf(report)).toEqual(
      failed('the test "t" expects deny, and got a denial because the rules failed: no such function'),
    )
  })
})

describe('coverage', () => {
  test('names the rules that no test touches, and counts those that settle a test', async () => {
    const { coverage } = await run(
      one('{ sub: web, obj: /a, act: GET }', 'allow') +
        one('{ sub: web, obj: /secret, act: GET }', 'deny').replace('name: t', 'name: u'),
    )
    expect(coverage).toEqual({
      rules: 4,
      touched: 2,
      settling: 2,
      untouched: [
        { file: 'policy.csv', line: 2, text: 'p, writer, /a, PUT, allow' },
        { file: 'policy.csv', line: 4, text: 'p, reader, /unused, GET, allow' },
      ],
    })
  })

  test('counts a rule that matches, though another one settles the request', async () => {
    const { rules } = await rulesOf()
    const { coverage } = await run(one('{ sub: web, obj: /a, act: GET }', 'allow'), {
      matching: () => rules.rules.slice(0, 2),
    })
    expect(coverage).toMatchObject({ rules: 4, touched: 2, settling: 1 })
  })
})
