import { rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { casbinText, policyCheckCommand } from '../../../src/cli/commands/policy-check.ts'
import type { Io } from '../../../src/cli/print.ts'
import { modelText, temporaryFolder, writeFiles } from '../../policy/policies.ts'

let folder = ''
let out = ''
let err = ''

beforeEach(() => {
  folder = temporaryFolder()
  out = ''
  err = ''
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
  process.exitCode = 0
})

const web = 'spiffe://cluster.local/ns/shop/sa/web'

const io = { out: (text: string) => void (out += `${text}\n`), err: (text: string) => void (err += `${text}\n`) }

async function run(terminal: Io, args: readonly string[]): Promise<typeof process.exitCode> {
  await policyCheckCommand(terminal).parseAsync(args, { from: 'user' })
  const code = process.exitCode
  process.exitCode = 0
  return code
}

const check = (...args: string[]) => run(io, args)
const checkNarrow = (...args: string[]) => run({ ...io, columns: 72 }, args)

describe('policy check', () => {
  test('says version, files and number of rules of a good policy, and exits with 0', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': `p, a, /a, GET\ng, ${web}, a\ng, ${web}2, a` })
    expect(await check(folder)).toBe(0)
    expect(out).toMatch(/^The policy is good\.\nversion {3}sha256:[0-9a-f]{64}\nfiles {5}model\.conf, policy\.csv\n/)
    expect(out).toMatch(
      /\nrules {5}p 1, g 2\ntests {5}none: write some in tests\.yaml\ncasbin {4}answers \d+ requests alike\nwarnings {2}none\n$/,
    )
    expect(err).toBe('')
  })

  test.each([
    [null, ''],
    [{ asked: 0, skipped: 0, excused: 0 }, ''],
    [{ asked: 500, skipped: 0, excused: 0 }, 'answers 500 requests alike'],
    [{ asked: 1, skipped: 499, excused: 0 }, 'answers 1 request alike, 499 not asked for want of time'],
    [{ asked: 0, skipped: 1200, excused: 0 }, '1,200 not asked for want of time'],
    [
      { asked: 9, skipped: 3, excused: 1 },
      'answers 8 requests alike, 1 request otherwise as docs/casbin.md lists, 3 not asked for want of time',
    ],
  ])('says of %j what was compared with casbin, and what was not', (compared, text) => {
    expect(casbinText(compared)).toBe(text)
  })

  test('prints warnings of a good policy, counts them, and exits with 0', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': `p, a, /a, GET\ng, ${web}, a\n  g, ${web}, a` })
    expect(await check(folder)).toBe(0)
    expect(err).toBe('policy.csv:3:3: warning: the line says what policy.csv:2 says already  [RULE_REPEATED]\n')
    expect(out).toMatch(/^The policy is good\.\n[^]*\nwarnings {2}1\n$/)
  })

  test('names each problem with file, line and column, and exits with 1', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': '\np, a, /a\n q, x' })
    expect(await check(folder)).toBe(1)
    expect(err).toBe(
      'policy.csv:2:7: the line has 2 values; the definition "p = sub, obj, act" has 3  [ROW_TOO_SHORT]\n' +
        'policy.csv:3:2: unknown policy type "q"; allowed: p, g  [TYPE_UNKNOWN]\n' +
        `The policy in ${folder} has 2 problems and would be refused.\n`,
    )
    expect(out).toBe('')
  })

  test('breaks long lines where the terminal is narrow', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': 'p, a, /a' })
    await checkNarrow(folder)
    expect(err).toContain(
      'policy.csv:1:7: the line has 2 values; the definition "p = sub, obj,\n    act" has 3  [ROW_TOO_SHORT]\n',
    )
  })

  test('prints warnings beside the problems that are found after them', async () => {
    const tests = '- name: x\n  request: {sub: a}\n  expect: allow\n'
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': 'p, a, /a, GET\np, a, /a, GET', 'tests.yaml': tests })
    expect(await check(folder)).toBe(1)
    expect(err).toContain('[RULE_REPEATED]')
    expect(err).toContain('[TEST_FAILED]')
    expect(err).toMatch(/has 1 problem \(and \d warnings?\) and would be refused\.\n$/)
  })

  test('refuses patterns that fix fewer segments than it is told', async () => {
    const m = 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act'
    writeFiles(folder, { 'model.conf': modelText({ m }), 'policy.csv': `p, ${web}, /a/**, GET\np, ${web}, /**, GET` })
    expect(await check(folder, '--min-pattern-segments', '1')).toBe(1)
    expect(err).toMatch(/^policy\.csv:2:\d+: "\/\*\*" fixes 0 segments .*\[PATTERN_TOO_WIDE\]\nThe policy/)
    expect(await check(folder, '--min-pattern-segments', '0')).toBe(0)
    expect(await check(folder, '--min-pattern-segments', '2')).toBe(1)
  })

  test('prints one JSON object, good or bad', async () => {
    const m = 'g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && r.act == p.act'
    writeFiles(folder, { 'model.conf': modelText({ m }), 'policy.csv': `p, ${web}, /a*b, GET` })
    expect(await check(folder, '--json')).toBe(0)
    expect(JSON.parse(out)).toMatchObject({
      ...{ ok: true, rules: { p: 1 }, problems: [], scans: [], tests: null, author: null },
      warnings: [{ file: 'policy.csv', line: 1, column: 43, code: 'PATTERN_STAR_INSIDE' }],
    })
    out = ''
    writeFiles(folder, { 'policy.csv': 'p' })
    expect(await check('--json', folder)).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      problems: [{ file: 'policy.csv', line: 1, column: 1, code: 'ROW_TOO_SHORT' }],
    })
  })

  test('does not print more problems to a terminal than people read', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': 'q\n'.repeat(250) })
    expect(await check(folder)).toBe(1)
    expect(err.split('\n')).toHaveLength(53)
    expect(err).toContain('… and 200 more')
  })

  test('ends with 2 on wrong usage', async () => {
    await expect(check()).rejects.toMatchObject({ exitCode: 2 })
    await expect(check(folder, '--nonsense')).rejects.toMatchObject({ exitCode: 2 })
    await expect(check(folder, '--min-pattern-segments', 'x')).rejects.toMatchObject({ exitCode: 2 })
    expect(err).toContain("unknown option '--nonsense'")
  })
})
