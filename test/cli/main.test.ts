import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { run } from '../../src/cli/run.ts'

const root = resolve(import.meta.dirname, '../..')
const main = join(root, 'src/cli/main.ts')
const { version, engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
  engines: { node: string }
}

// Processes under way on a busy machine.
jest.setTimeout(180_000)

interface Ran {
  readonly status: number | string | null | undefined
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line in a process of its own. */
function spawned(args: readonly string[], nodeOptions: readonly string[] = []): Ran {
  const { NODE_OPTIONS: _, ...env } = process.env
  return spawnSync(process.execPath, [...nodeOptions, main, ...args], { encoding: 'utf8', env, cwd: root })
}

/** Runs a command line that does not serve, in this process, which is faster. */
async function countersign(args: readonly string[]): Promise<Ran> {
  const written = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    jest.spyOn(process[name], 'write').mockImplementation((text) => (written[name] += String(text)) !== ''),
  )
  const before = process.exitCode
  process.exitCode = 0
  try {
    await run(['node', 'countersign', ...args], version)
    return { ...written, status: process.exitCode }
  } finally {
    process.exitCode = before
    for (const spy of spies) spy.mockRestore()
  }
}

/** Runs it on a Node.js that says it is of this version. */
function onNode(node: string): Ran {
  const versions = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${node}' } })`
  return spawned(['--version'], ['--import', `data:text/javascript,${encodeURIComponent(versions)}`])
}

describe.each(['', 'serve', 'query', 'verify', 'policy', 'policy check'])('countersign %s', (command) => {
  const words = command.split(' ').filter((word) => word !== '')

  test('says its version and nothing else, and exits with 0', async () => {
    expect(await countersign([...words, '--version'])).toMatchObject({ status: 0, stdout: `${version}\n`, stderr: '' })
  })

  test('says on standard output how it is used, and exits with 0', async () => {
    const ran = await countersign([...words, '--help'])
    expect(ran).toMatchObject({ status: 0, stderr: '' })
    expect(ran.stdout).toMatch(new RegExp(`^Usage: ${['countersign', ...words].join(' ')} `))
  })

  test('says of an unknown flag that it does not know it, where help is, and exits with 2', async () => {
    const ran = await countersign([...words, '--polcy', 'x'])
    expect(ran).toMatchObject({ status: 2, stdout: '' })
    expect(ran.stderr).toMatch(/unknown option '--polcy'/)
    expect(ran.stderr).toContain('--help')
    expect(ran.stderr).not.toMatch(/^\s+at /m)
  })
})

describe('wrong usage exits with 2 and says what is wrong:', () => {
  test.each([
    ['no command', [], /Usage: countersign /],
    ['an unknown command', ['srve'], /unknown command 'srve'.*\n?.*serve/],
    ['a command that lacks its own', ['policy'], /Usage: countersign policy/],
    ['an unknown command of a command', ['policy', 'chek', 'x'], /unknown command 'chek'/],
    ['a missing argument', ['policy', 'check'], /missing required argument 'dir'/],
    ['a flag without its value', ['serve', '--data'], /argument missing/],
    ['an argument too many', ['serve', 'now'], /too many arguments/],
  ])('%s', async (_, args, said) => {
    const ran = await countersign(args)
    expect(ran).toMatchObject({ status: 2, stdout: '' })
    expect(ran.stderr).toMatch(said)
    expect(ran.stderr).not.toMatch(/^\s+at /m)
  })
})

describe('settings that are not usable', () => {
  test('exit with 2, each problem in a line with its code, and no stack', async () => {
    const { env } = process
    process.env = { ...env, COUNTERSIGN_AUDIT_MODE: 'lax', COUNTERSIGN_NONE: '1' }
    const ran = await countersign(['serve', '--listen', 'here'])
    process.env = env
    expect(ran).toEqual({
      status: 2,
      stdout: '',
      stderr: [
        'countersign: CONFIG_INVALID: COUNTERSIGN_NONE: no setting has this name; docs/settings.md lists them',
        'countersign: CONFIG_INVALID: listen: found "here"; allowed: the form is HOST:PORT, [IPv6]:PORT or unix:PATH',
        'countersign: CONFIG_INVALID: audit.mode: found "lax"; allowed: strict, best-effort',
        '',
      ].join('\n'),
    })
  })

  test('exit with 2 where the file is missing', async () => {
    const ran = await countersign(['serve', '--config', '/nowhere/settings.yaml'])
    expect(ran.status).toBe(2)
    expect(ran.stderr).toMatch(/^countersign: CONFIG_INVALID: \/nowhere\/settings\.yaml: .*ENOENT.*\n$/)
  })
})

describe('a Node.js', () => {
  test.each(['18.20.0', '22.14.0', '24.0.0', '24.18.0', '9.11.2'])(
    '%s is too old, and the message says what is needed',
    (node) => {
      const ran = onNode(node)
      expect(ran).toMatchObject({ status: 1, stdout: '' })
      expect(ran.stderr).toMatch(/^countersign: NODE_TOO_OLD: needs Node\.js 24\.18\.1 or newer; this is \S+ \(.+\)\n$/)
      expect(ran.stderr).toContain(engines.node.replace('>=', ''))
    },
  )

  test('of this kind runs the command line to its exit status', () => {
    expect(spawned(['--version'])).toMatchObject({ status: 0, stdout: `${version}\n` })
    expect(spawned(['srve']).status).toBe(2)
  })

  test.each(['24.18.1', '24.19.0', '25.0.0', '100.1.0'])('%s is new enough', (node) => {
    expect(onNode(node)).toMatchObject({ status: 0, stdout: `${version}\n` })
  })
})
