import { rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { policyTestCommand } from '../../src/cli/commands/policy-test.ts'
import { modelText, temporaryFolder, writeFiles } from '../policy/policies.ts'
import { runCommand, type Ran } from './run-command.ts'

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
  writeFiles(folder, {
    'model.conf': modelText(),
    'policy.csv': 'p, reader, /a, GET\np, reader, /b, GET\np, writer, /a, PUT\ng, web, reader',
  })
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const reads = '- name: web reads\n  request: { sub: web, obj: /a, act: GET }\n  expect: allow\n'
const writes = '- name: web writes\n  request: { sub: web, obj: /a, act: PUT }\n  expect: allow\n'
const writesNot = writes.replace('allow', 'deny')

function runTests(tests: string, args: readonly string[] = [], columns = 80): Promise<Ran> {
  writeFiles(folder, { 'tests.yaml': tests })
  return runCommand(policyTestCommand, [folder, ...args], columns)
}

describe('policy test', () => {
  test('says that all passed, and which rules no test touches', async () => {
    expect(await runTests(reads + writesNot)).toEqual({
      out:
        'Coverage 33 %: 1 of 3 rules match a test, 1 of them settles one\nNo test touches\n' +
        '  policy.csv:2: p, reader, /b, GET\n  policy.csv:3: p, writer, /a, PUT\n\nAll 2 tests passed.\n',
      err: '',
      exitCode: 0,
    })
  })

  test('lists with --verbose the tests that passed', async () => {
    const { out } = await runTests(reads + writesNot, ['--verbose'])
    expect(out).toMatch(/^ok {4}web reads {2}policy\.csv:1\nok {4}web writes\n\nCoverage/)
  })

  test('says of a test that fails what it asked, expected and got, and how to find out why', async () => {
    const { out, exitCode } = await runTests(reads + writes, [], 200)
    expect(exitCode).toBe(1)
    expect(out.split('\n\n')[0]).toBe(
      [
        'FAIL  web writes',
        '      tests.yaml:4',
        '      request   sub       web',
        '                obj       /a',
        '                act       PUT',
        '      expected  allow',
        '      got       deny: no rule matches',
        `      why?      countersign policy explain --policy ${folder} --sub web --obj /a --act PUT`,
      ].join('\n'),
    )
    expect(out).toMatch(/\n\n1 of 2 tests failed, 1 passed\.\n$/)
  })

  test('names the rules and roles of a test that fails', async () => {
    const { out } = await runTests(`${reads}  rule: p, writer, /a, PUT\n`)
    expect(out).toContain('      expected  allow\n      by        policy.csv:3: p, writer, /a, PUT\n')
    expect(out).toContain(
      '      got       allow\n      by        policy.csv:1: p, reader, /a, GET\n      through   reader\n',
    )
  })

  test('quotes for the shell what it has to type next', async () => {
    const { out } = await runTests(writes.replace('/a', `"/it's $(x)"`))
    expect(out).toContain(String.raw`--obj '/it'\''s $(x)' --act PUT`)
  })

  test('shows no characters that a terminal would obey', async () => {
    const { out } = await runTests(writes.replace('web writes', '"\u202Eweb"'))
    expect(out).toContain(String.raw`FAIL  \u{202e}web`)
  })

  test('fails where less than the asked share of the rules is covered', async () => {
    expect((await runTests(reads, ['--coverage', '33'])).exitCode).toBe(0)
    const { out, exitCode } = await runTests(reads, ['--coverage', '34'])
    expect(exitCode).toBe(1)
    expect(out).toContain('Coverage 33 %, 34 % asked for: 1 of 3 rules')
  })

  test('rounds the share down, so that 100 means all', async () => {
    const { out } = await runTests(reads + reads.replace('web reads', 'b').replace('/a', '/b'))
    expect(out).toContain('Coverage 66 %: 2 of 3 rules match a test')
  })

  test('lists the rules that no test touches by line, whatever their priority', async () => {
    writeFiles(folder, {
      'model.conf': modelText({ p: 'priority, sub, obj, act, eft', e: 'priority(p.eft) || deny' }),
      'policy.csv': 'p, 9, a, /x, GET, allow\np, 1, a, /y, GET, deny\ng, a, b',
    })
    const { out } = await runTests(writesNot)
    expect(out).toContain('  policy.csv:1: p, 9, a, /x, GET, allow\n  policy.csv:2: p, 1, a, /y, GET, deny\n')
  })

  test('prints of many failures and untouched rules the first fifty each', async () => {
    const rules = Array.from({ length: 60 }, (_, index) => `p, r, /${String(index)}, GET`)
    writeFiles(folder, { 'policy.csv': [...rules, 'g, a, r'].join('\n') })
    const { out } = await runTests(
      Array.from({ length: 52 }, (_, index) => writes.replace('web writes', String(index))).join(''),
    )
    expect(out.match(/^FAIL/gm)).toHaveLength(50)
    expect(out).toContain('\n\n… and 2 more (--json prints all)\n')
    expect(out.match(/^ {2}policy\.csv:/gm)).toHaveLength(50)
    expect(out).toContain('\n  … and 10 more (--json prints all)\n')
  })

  test.each([
    ['no tests.yaml', undefined, 'has no tests.yaml: nothing was tested'],
    ['no test in it', '# later\n', 'has a tests.yaml without a test: nothing was tested'],
  ])('fails where there is %s, and says what to write', async (_title, tests, message) => {
    const { out, err, exitCode } =
      tests === undefined ? await runCommand(policyTestCommand, [folder]) : await runTests(tests)
    expect(exitCode).toBe(1)
    expect(out).toBe('')
    expect(err).toContain(message)
    expect(err).toContain(
      '\n- name: what this test is about\n  request:\n    sub: …\n    obj: …\n    act: …\n  expect: allow\n',
    )
  })

  test.each([
    ['of the tests', { 'tests.yaml': '- name: a\n  expect: deny\n' }, 'tests.yaml:1', 'TEST_INVALID'],
    ['of the rules', { 'policy.csv': 'p, x', 'tests.yaml': reads }, 'policy.csv:1', 'ROW_TOO_SHORT'],
    ['of the model', { 'model.conf': '', 'tests.yaml': reads }, 'model.conf', 'DEFINITION_MISSING'],
  ])('names the problems %s by file and line', async (_title, files, place, code) => {
    writeFiles(folder, files)
    const { out, err, exitCode } = await runCommand(policyTestCommand, [folder])
    expect(exitCode).toBe(1)
    expect(out).toBe('')
    expect(err).toMatch(new RegExp(`^${place}.*\\[${code}\\]$`, 'm'))
  })

  test('prints everything as one JSON object', async () => {
    const { out, exitCode } = await runTests(reads + writes, ['--json'])
    expect(exitCode).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      ...{ ok: false, policyVersion: expect.stringMatching(/^sha256:/), passed: 1, failed: 1 },
      problems: [{ file: 'tests.yaml', line: 4, column: 3, code: 'TEST_FAILED' }],
      tests: [
        { name: 'web reads', passed: true, got: { effect: 'allow', rule: { line: 1 }, roles: ['reader'] } },
        { name: 'web writes', line: 4, passed: false, expected: { effect: 'allow', rule: null }, got: { rule: null } },
      ],
      coverage: { percent: 33, rules: 3, touched: 1, settling: 1, untouched: [{ line: 2 }, { line: 3 }] },
    })
  })

  test('prints as JSON what is wrong with the policy, and that there are no tests', async () => {
    expect(JSON.parse((await runTests('- 1\n', ['--json'])).out)).toMatchObject({ ok: false, problems: [{ line: 1 }] })
    rmSync(`${folder}/tests.yaml`)
    const { out } = await runCommand(policyTestCommand, [folder, '--json'])
    expect(JSON.parse(out)).toMatchObject({ ok: false, problems: [], tests: [], coverage: null })
  })

  test.each([
    [null, reads, []],
    ['NO_TESTS', '# later\n', []],
    ['NO_TESTS', undefined, []],
    ['TEST_FAILED', writes, []],
    ['PROBLEMS', '- 1\n', []],
    ['COVERAGE_TOO_LOW', reads, ['--coverage', '99']],
  ] as const)('gives as JSON the reason %s', async (reason, tests, args) => {
    const { out } =
      tests === undefined
        ? await runCommand(policyTestCommand, [folder, '--json'])
        : await runTests(tests, [...args, '--json'])
    expect(JSON.parse(out)).toMatchObject({ ok: reason === null, reason })
  })

  test.each([[[]], [['a', 'b']], [['a', '--coverage', '101']], [['a', '--coverage', '']], [['a', '--nonsense']]])(
    'ends with 2 on wrong usage: %j',
    async (args) => {
      expect(await runCommand(policyTestCommand, args)).toMatchObject({ exitCode: 2, out: '' })
    },
  )
})
