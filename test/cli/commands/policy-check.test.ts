import { rmSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { policyCheckCommand } from '../../../src/cli/commands/policy-check.ts'
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
  jest.restoreAllMocks()
})

async function check(...args: string[]): Promise<typeof process.exitCode> {
  const io = { out: (text: string) => void (out += `${text}\n`), err: (text: string) => void (err += `${text}\n`) }
  await policyCheckCommand(io).parseAsync(args, { from: 'user' })
  const code = process.exitCode
  process.exitCode = 0
  return code
}

describe('policy check', () => {
  test('says version, files and number of rules of a good policy, and exits with 0', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': 'p, a, /a, GET\ng, b, a\ng, c, a' })
    expect(await check(folder)).toBe(0)
    expect(out).toMatch(
      /^The policy is good\.\nversion {2}sha256:[0-9a-f]{64}\nfiles {4}model\.conf, policy\.csv\nrules {4}p 1, g 2\n$/,
    )
    expect(err).toBe('')
  })

  test('names each problem with file and line, and exits with 1', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': '\np, a, /a\nq, x' })
    expect(await check(folder)).toBe(1)
    expect(err).toBe(
      'policy.csv:2: the line has 2 values; the definition "p = sub, obj, act" has 3  [ROW_TOO_SHORT]\n' +
        'policy.csv:3: unknown policy type "q"; allowed: p, g  [TYPE_UNKNOWN]\n' +
        `The policy in ${folder} has 2 problems and would be refused.\n`,
    )
    expect(out).toBe('')
  })

  test('prints one JSON object, good or bad', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': 'p, a, /a, GET' })
    expect(await check(folder, '--json')).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ ok: true, rules: { p: 1 }, problems: [] })
    out = ''
    writeFiles(folder, { 'policy.csv': 'p' })
    expect(await check('--json', folder)).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      problems: [{ file: 'policy.csv', line: 1, code: 'ROW_TOO_SHORT' }],
    })
  })

  test('does not print more than a hundred problems to a terminal', async () => {
    writeFiles(folder, { 'model.conf': modelText(), 'policy.csv': 'q\n'.repeat(250) })
    expect(await check(folder)).toBe(1)
    expect(err.split('\n')).toHaveLength(103)
    expect(err).toContain('… and 150 more')
  })

  test('ends with 2 on wrong usage', async () => {
    const exit = jest.spyOn(process, 'exit').mockImplementation((code) => {
      throw new Error(`exit ${String(code)}`)
    })
    await expect(check()).rejects.toThrow('exit 2')
    await expect(check(folder, '--nonsense')).rejects.toThrow('exit 2')
    expect(err).toContain("unknown option '--nonsense'")
    expect(exit).toHaveBeenCalledTimes(2)
  })
})
