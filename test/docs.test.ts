import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, jest, test } from '@jest/globals'
import { parse as parseYaml } from 'yaml'
import { writeCheckResponse } from '../src/check/write-response.ts'
import type { AccessRequest } from '../src/decision/access-request.ts'
import { run } from '../src/cli/run.ts'
import { describeSettings, readSettings } from '../src/config.ts'
import { reasons, type Decision, type DenyReason } from '../src/decision/decision.ts'
import { errorCodes } from '../src/errors.ts'
import { policyProblems } from '../src/policy/problem.ts'
import type { RawSettings } from '../src/settings/sources.ts'
import { metricTable } from '../src/telemetry/metrics.ts'
import { codeIn, section, tableRows, type Row } from './markdown.ts'

const root = resolve(import.meta.dirname, '..')
const [, ...helps] = await readHelps([])

/** A list in the code, and the page whose tables name each of its members, in backticks, in the first column. */
interface Pair {
  readonly what: string
  readonly code: readonly string[]
  readonly page: string
  readonly heading: string
}

const pairs: readonly Pair[] = [
  { what: 'reasons', code: Object.keys(reasons), page: 'docs/reasons.md', heading: 'The list' },
  { what: 'error codes', code: Object.keys(errorCodes), page: 'docs/errors.md', heading: 'The list' },
  {
    what: 'settings',
    code: describeSettings().map(({ name }) => name),
    page: 'docs/settings.md',
    heading: 'The list',
  },
  { what: 'metrics', code: Object.keys(metricTable), page: 'docs/metrics.md', heading: 'The list' },
  { what: 'policy problems', code: Object.keys(policyProblems), page: 'docs/policy.md', heading: 'Problems' },
]

describe.each(pairs)('$page', ({ what, code, page, heading }) => {
  const documented = (): readonly string[] =>
    tableRows(section(join(root, page), heading)).flatMap(([first = '']) => codeIn(first))

  test(`names all ${what} of the code`, () => {
    expect(code.filter((name) => !documented().includes(name))).toEqual([])
  })

  test(`names no ${what} that the code does not have`, () => {
    expect(documented().filter((name) => !code.includes(name))).toEqual([])
  })

  test(`names none of the ${what} twice`, () => {
    expect(documented().filter((name, index, all) => all.indexOf(name) !== index)).toEqual([])
  })
})

describe('docs/cli.md', () => {
  test('has a heading for each command, and a command for each heading', () => {
    const headings = [...readFileSync(join(root, 'docs/cli.md'), 'utf8').matchAll(/^## (.+)$/gm)].map(
      ([, text]) => text,
    )
    expect(headings).toEqual(helps.map(([command]) => command))
  })

  test.each(helps)('lists the flags of %s', (command, help) => {
    const documented = tableRows(section(join(root, 'docs/cli.md'), command)).map(([flag = '']) => codeIn(flag)[0])
    expect(documented.map((flag) => flag?.split(' ')[0])).toEqual(flagsOf(help))
  })
})

describe('docs/settings.md says', () => {
  const rows = tableRows(section(join(root, 'docs/settings.md'), 'The list'))
  const rowOf = (name: string): Row => rows.find(([first = '']) => codeIn(first)[0] === name) ?? []

  test.each(describeSettings())('the environment variable of $name', ({ name, environment }) => {
    expect(codeIn(rowOf(name)[1] ?? '')[0] ?? null).toBe(environment)
  })

  // Given as a flag, a documented default changes nothing.
  test.each(describeSettings().filter(({ environment }) => environment !== null))(
    'the default of $name',
    ({ name }) => {
      const settings = readSettings({ environment: {}, flags: {} })
      const documented = codeIn(rowOf(name)[2] ?? '')[0]
      if (documented === undefined) {
        const own = name === 'replica' ? hostname() : undefined
        expect(memberOf(settings, name)).toEqual(own)
      } else {
        expect(readSettings({ environment: {}, flags: nested(name, parseYaml(documented)) })).toEqual(settings)
      }
    },
  )
})

test('docs/metrics.md says the type and the labels of each metric', () => {
  const rows = tableRows(section(join(root, 'docs/metrics.md'), 'The list'))
  const documented = rows.map(([name = '', type, labels = '']) => [codeIn(name)[0], { type, labels: codeIn(labels) }])
  const measured = Object.entries(metricTable).map(([name, { type, labels }]) => [name, { type, labels }])
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(measured))
})

test('docs/reasons.md says the status that each reason answers', () => {
  const rows = tableRows(section(join(root, 'docs/reasons.md'), 'The list'))
  const documented = rows.map(([reason = '', , status]) => [codeIn(reason)[0], status])
  const answered = Object.keys(reasons).map((reason) => [reason, reason === 'ALLOWED_BY_RULE' ? '' : statusOf(reason)])
  expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(answered))
})

/** The help of every command below `path` that the help itself lists, by the command's whole name. */
async function readHelps(path: readonly string[]): Promise<readonly (readonly [command: string, help: string])[]> {
  const help = await helpOf(path)
  const listed = [...(help.split('\nCommands:\n')[1] ?? '').matchAll(/^ {2}([a-z-]+)/gm)].map(([, name = '']) => name)
  const found: (readonly [string, string])[] = [[['countersign', ...path].join(' '), help]]
  for (const name of listed.filter((command) => command !== 'help')) found.push(...(await readHelps([...path, name])))
  return found
}

function flagsOf(help: string): readonly string[] {
  const flags = [...help.matchAll(/^ {2}(?:-[A-Za-z], )?(--[a-z-]+)/gm)].map(([, flag = '']) => flag)
  return flags.filter((flag) => flag !== '--help' && flag !== '--version')
}

async function helpOf(path: readonly string[]): Promise<string> {
  const written: string[] = []
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => written.push(String(text)) > 0)
  await run(['node', 'countersign', ...path, '--help'], '0.0.0')
  spy.mockRestore()
  return written.join('')
}

function memberOf(settings: object, name: string): unknown {
  return name.split('.').reduce<unknown>((value, key) => (value as RawSettings | undefined)?.[key], settings)
}

function nested(name: string, value: unknown): RawSettings {
  return name.split('.').reduceRight<unknown>((below, key) => ({ [key]: below }), value) as RawSettings
}

function statusOf(reason: string): string {
  const denial = { effect: 'deny', reason: reason as DenyReason, rule: null, roles: [], policyVersion: null } as const
  const decision: Decision = { ...denial, decisionId: '01', durationUs: 1 }
  const status = writeCheckResponse(decision, someRequest).denied_response?.status?.code
  return { Unauthorized: '401', Forbidden: '403', ServiceUnavailable: '503' }[String(status)] ?? String(status)
}

const someRequest: AccessRequest = {
  time: new Date(0),
  subject: { peer: { kind: 'missing' } },
  action: { protocol: 'http' },
  resource: { query: [] },
  context: {},
  pep: { address: '127.0.0.1' },
}
