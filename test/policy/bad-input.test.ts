import { chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { loadPolicy } from '../../src/policy/load.ts'
import { Pace } from '../../src/policy/pace.ts'
import { policyFunctions } from '../../src/policy/patterns/functions.ts'
import { checkPolicy } from '../../src/policy/validate/validate.ts'
import { build, modelText, ruleSet, snapshot, temporaryFolder, writeFiles } from './policies.ts'

const good = 'p, anonymous, /a, GET\n'
type Files = Record<string, string | Uint8Array>

let folder = ''

beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

async function problemsOf(files: Files): Promise<string[]> {
  writeFiles(folder, files)
  const outcome = await loadPolicy(folder, { compareWithCasbin: false })
  expect('ruleSet' in outcome).toBe(outcome.ok)
  const problems = outcome.ok ? [] : outcome.problems
  return problems.map(({ file, line, column, code, message }) => {
    const place = [file.replace(folder, 'folder'), line, column].filter((part) => part !== null).join(':')
    return `${place}: ${code} ${message}`
  })
}

describe('a policy folder is refused, and says why,', () => {
  const half = modelText().slice(0, modelText().indexOf('[policy_effect]'))
  test.each<[string, Files, RegExp[]]>([
    ['that is empty', {}, [/^model\.conf: MODEL_MISSING/, /^\*\.csv: RULES_MISSING/]],
    ['where the model is not there yet', { 'a.csv': good }, [/^model\.conf: MODEL_MISSING .*no model\.conf/]],
    ['where the rules are not there yet', { 'model.conf': modelText() }, [/^\*\.csv: RULES_MISSING .*at least one/]],
    [
      'with a model that is cut off between sections',
      { 'model.conf': half, 'a.csv': good },
      [/^model\.conf: DEFINITION_MISSING .*policy_effect/, /^model\.conf: DEFINITION_MISSING .*matchers/],
    ],
    [
      'with a model that is cut off in its matcher',
      { 'model.conf': modelText().trimEnd().slice(0, -3), 'a.csv': good },
      [/^model\.conf:14:\d+: MATCHER_NAME_UNKNOWN .*"p\./],
    ],
    [
      'with an empty model',
      { 'model.conf': '', 'a.csv': good },
      Array<RegExp>(4).fill(/^model\.conf: DEFINITION_MISSING/),
    ],
    [
      'with a model of comments',
      { 'model.conf': '# nothing\n; yet\n', 'a.csv': good },
      Array<RegExp>(4).fill(/^model\.conf: DEFINITION_MISSING/),
    ],
    [
      'with rules that are cut off in a line',
      { 'model.conf': modelText(), 'a.csv': `${good}p, anonymous, /b` },
      [/^a\.csv:2:15: ROW_TOO_SHORT the line has 2 values/],
    ],
    [
      'with rules that are cut off in quotes',
      { 'model.conf': modelText(), 'a.csv': `${good}p, anonymous, "/b` },
      [/^a\.csv:2:15: CSV_SYNTAX the quote is not closed on this line/],
    ],
    [
      'with a line of a mebibyte',
      { 'model.conf': modelText(), 'a.csv': `${good}p, ${'x,'.repeat(524_288)}\n` },
      [/^a\.csv:2:65537: POLICY_TOO_LARGE the line has 10485\d\d characters; at most 65536 are allowed/],
    ],
    [
      'with a NUL byte',
      { 'model.conf': modelText(), 'a.csv': `${good}p, anon\u0000ymous, /b, GET` },
      [/^a\.csv:2(:\d+)?: FILE_NOT_TEXT .*NUL byte/],
    ],
    [
      'with bytes that are no UTF-8',
      { 'model.conf': modelText(), 'a.csv': Buffer.from([0x70, 0x2c, 0xff, 0xfe]) },
      [/^a\.csv.*: FILE_NOT_TEXT .*UTF-8/],
    ],
    [
      'in UTF-16',
      { 'model.conf': Buffer.from(modelText(), 'utf16le'), 'a.csv': good },
      [/^model\.conf.*: FILE_NOT_TEXT/],
    ],
    [
      'with a model that is too long',
      { 'model.conf': `${modelText()}${'# x\n'.repeat(20_000)}`, 'a.csv': good },
      [/^model\.conf: POLICY_TOO_LARGE the file has \d+ characters; at most 65536/],
    ],
    [
      'with a second definition of the same name',
      { 'model.conf': modelText({ g: 'g = _, _\ng = _, _' }), 'a.csv': good },
      [/^model\.conf:9:1: DEFINITION_REPEATED/],
    ],
  ])('%s', async (_title, files, expected) => {
    const problems = await problemsOf(files)
    expect(problems).toEqual(expected.map((pattern) => expect.stringMatching(pattern)))
  })

  test('where a file is a folder, a link to nothing, or not to be read', async () => {
    mkdirSync(join(folder, 'b.csv'))
    symlinkSync('nowhere', join(folder, 'c.csv'))
    const problems = await problemsOf({ 'model.conf': modelText(), 'a.csv': good })
    expect(problems).toEqual([
      expect.stringMatching(/^b\.csv: FILE_UNREADABLE .*not a regular file/),
      expect.stringMatching(/^c\.csv: FILE_UNREADABLE .*ENOENT/),
    ])
    chmodSync(join(folder, 'a.csv'), 0)
    // Root reads everything.
    const unreadable = process.getuid?.() === 0 ? [] : [expect.stringMatching(/^a\.csv: FILE_UNREADABLE .*EACCES/)]
    expect((await problemsOf({})).filter((text) => text.startsWith('a.csv'))).toEqual(unreadable)
  })

  test('where there is no folder, or a file in its place', async () => {
    rmSync(folder, { recursive: true })
    expect(await loadPolicy(folder)).toMatchObject({ ok: false, problems: [{ code: 'FOLDER_UNREADABLE' }] })
    writeFiles(join(folder, '..'), { 'countersign-no-folder': '' })
    const file = join(folder, '..', 'countersign-no-folder')
    expect(await loadPolicy(file)).toMatchObject({ ok: false, problems: [{ code: 'FOLDER_UNREADABLE' }] })
    rmSync(file)
  })

  test('with more rules than a policy may have, before all of them are held', async () => {
    const files = { 'model.conf': modelText(), 'a.csv': 'p,a,b,c\n'.repeat(600_000) }
    const outcome = await checkPolicy(snapshot(files), new Pace())
    expect(outcome).toMatchObject({ ok: false, problems: [{ file: 'a.csv', code: 'POLICY_TOO_LARGE' }] })
  })
})

describe('a policy folder is read', () => {
  test.each<[string, Files]>([
    ['with CR LF and byte order marks', { 'a.csv': `\uFEFF# first\r\n\r\n${good.trim()}\r\n` }],
    ['with quotes, commas and doubled quotes in values', { 'a.csv': `${good}p, "a, ""b""", "/x,y", GET\n` }],
    ['with files that are empty, or have comments only', { 'a.csv': good, 'b.csv': '', 'c.csv': '# nothing\n\n' }],
    ['with roles that have each other', { 'a.csv': `${good}g, a, b\ng, b, a\ng, a, a\np, a, /x, GET\n` }],
    ['with lines that stand in several files', { 'a.csv': good, 'b.csv': good }],
    ['without a line end at the end', { 'a.csv': good.trimEnd() }],
  ])('%s', async (_title, files) => {
    expect(await problemsOf({ 'model.conf': modelText(), ...files })).toEqual([])
    const outcome = await loadPolicy(folder, { compareWithCasbin: false })
    const request = { sub: 'anonymous', obj: '/a', act: 'GET' }
    expect(outcome.ok && outcome.ruleSet.evaluate(request)).toMatchObject({ effect: 'allow', rule: { file: 'a.csv' } })
  })

  test('through links to files', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'rules.txt': good })
    symlinkSync('rules.txt', join(folder, 'a.csv'))
    expect(await problemsOf({})).toEqual([])
  })

  test('with ten megabytes of rules, while everything else goes on', async () => {
    const lines = Array.from(
      { length: 150_000 },
      (_, index) => `p, role-${String(index % 999)}, /orders/${String(index)}/items/{id}/x, GET`,
    )
    const text = `${lines.join('\n')}\n${'# comment that fills the file\n'.repeat(110_000)}`
    expect(text.length).toBeGreaterThan(10_000_000)
    let turns = 0
    const timer = setInterval(() => (turns += 1), 1)
    const outcome = await checkPolicy(snapshot({ 'model.conf': modelText(), 'a.csv': text }), new Pace())
    clearInterval(timer)
    expect(outcome.ok && outcome.policy.rows.length).toBe(150_000)
    expect(turns).toBeGreaterThan(5)
  })
})

describe('no policy allows where it has no rules', () => {
  const functions = Object.entries(policyFunctions).map(([name, { arity, gives }]) => {
    const call = `${name}(r.obj, p.obj${arity === 3 ? ', "id"' : ''})`
    return gives === 'truth' ? call : `${call} == p.sub`
  })
  const conditions = [
    'r.sub == p.sub',
    'r.sub != p.sub',
    'g(r.sub, p.sub)',
    '!g(r.sub, p.sub)',
    '(r.sub in ["", p.sub])',
    ...functions,
  ]
  const effects = [
    { e: 'some(where (p.eft == allow))', p: 'sub, obj' },
    { e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))', p: 'sub, obj, eft' },
    { e: 'priority(p.eft) || deny', p: 'sub, obj, eft' },
    { e: 'subjectPriority(p.eft) || deny', p: 'sub, obj, eft' },
  ]

  test.each(conditions)('by %s', async (m) => {
    for (const parts of effects) {
      for (const matcher of [m, `${m} || r.sub != p.sub`, `!(${m}) && !(r.obj == p.obj)`]) {
        const rules = await ruleSet(modelText({ r: 'sub, obj', ...parts, m: matcher }), '')
        for (const request of [{}, { sub: 'root' }, { sub: '', obj: '' }, { sub: 'anonymous', obj: '/' }]) {
          expect(rules.evaluate(request)).toEqual({ effect: 'deny', rule: null, roles: [] })
        }
      }
    }
  })

  test.each([
    ['that would allow all that no rule denies', { e: '!some(where (p.eft == deny))' }],
    ['that would allow always', { e: 'true' }],
    ['of which the matcher is always true', { m: 'true' }],
    ['of which the matcher knows by itself who may', { m: 'r.sub == "root"' }],
    [
      'of which the matcher only compares the effect',
      { m: 'r.sub == "root" && p.eft == "allow"', p: 'sub, obj, act, eft' },
    ],
    ['of which the matcher looks at the rules alone', { m: 'p.sub == p.sub' }],
    ['of which an alternative of the matcher is always true', { m: 'r.sub == p.sub || 1 == 1' }],
  ])('a model is refused %s', async (_title, parts) => {
    expect((await build(modelText(parts), '')).ok).toBe(false)
  })
})
