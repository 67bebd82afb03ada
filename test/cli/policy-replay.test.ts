import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { AuditEvent } from '../../src/audit/event.ts'
import { policyReplayCommand } from '../../src/cli/commands/policy-replay.ts'
import { accessOf, decisionOf, idOf, makeTrail, timeAt, type Asked } from '../archive/trails.ts'
import { modelText, writeFiles } from '../policy/policies.ts'
import { TestData } from '../readers/data-folder.ts'
import { runCommand, type Ran } from './run-command.ts'

const trail = `web-0-${idOf(1)}`
const web = 'spiffe://cluster.local/ns/shop/sa/web'
const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ3ZWIifQ.c2lnbmF0dXJl'
const model = modelText({
  p: 'sub, obj, act, eft',
  e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  m: '(p.sub == "*" || g(r.sub, p.sub)) && pathMatch(r.obj, p.obj) && r.act == p.act',
})
/** The rule by which the made decisions were allowed. */
const theirRule = 'p, web, /orders/**, GET, allow'
let data: TestData
let number = 100

beforeEach(() => {
  data = new TestData()
  number = 100
})

afterEach(() => {
  data[Symbol.dispose]()
})

function policy(...rules: readonly string[]): string {
  const folder = join(data.dir, 'policy')
  mkdirSync(folder, { recursive: true })
  writeFiles(folder, { 'model.conf': model, 'policy.csv': `${rules.join('\n')}\ng, ${web}, web\n` })
  return folder
}

/** Decisions, each followed by its outcome. */
async function recorded(...asked: readonly Omit<Asked, 'number'>[]): Promise<void> {
  const events = asked.flatMap((one): AuditEvent[] => {
    number += 1
    return [decisionOf({ ...one, number }), accessOf({ ...one, number })]
  })
  await data.archive(makeTrail({ trail }, events))
}

function run(folder: string, args: readonly string[] = [], columns?: number): Promise<Ran> {
  const make = (io: Parameters<typeof policyReplayCommand>[0]) => policyReplayCommand(io, () => timeAt(3600_000))
  return runCommand(make, ['--policy', folder, '--data', data.dir, ...args], columns)
}

describe('policy replay', () => {
  test('says that nothing would change', async () => {
    await recorded({ path: '/orders/1' }, { path: '/admin', deny: 'NO_MATCHING_RULE' })
    const { out, err, exitCode } = await run(policy(theirRule))
    expect(out).toMatch(/^2 of 2 decisions put to policy sha256:[0-9a-f]{64}\n/)
    expect(out.split('\n').slice(2)).toEqual([
      '  0  would become allowed',
      '  0  would become denied',
      '  0  same, by another rule',
      '  2  unchanged',
      '  0  cannot be replayed',
      '  0  decided before policy',
      '  0  without an answer',
      '',
    ])
    expect([err, exitCode]).toEqual(['', 0])
  })

  test('tells first what would become allowed, by caller, request and rule', async () => {
    await recorded(
      { path: '/orders/1' },
      { path: '/admin/users', method: 'DELETE', deny: 'NO_MATCHING_RULE', atMs: 60_000 },
      { path: '/admin/keys', method: 'DELETE', deny: 'NO_MATCHING_RULE', atMs: 120_000 },
      { path: '/invoices' },
      { path: `/orders/${jwt}` },
      { path: '/%2e%2e', deny: 'PATH_SUSPICIOUS' },
      { path: '/orders', deny: 'AUDIT_UNAVAILABLE' },
    )
    const folder = policy('p, *, /admin/**, DELETE, allow', 'p, web, /orders/{id}, GET, allow')
    const { out, err, exitCode } = await run(folder)
    const [, text] = out.split(/\n\n([^]*)/)
    expect(`\n${text ?? ''}`).toBe(
      `
  2  would become allowed
  1  would become denied
  1  same, by another rule
  0  unchanged
  1  cannot be replayed     masked or cut in the record: obj 1
  1  decided before policy  the same under any policy: PATH_SUSPICIOUS 1
  1  without an answer      no policy decided: AUDIT_UNAVAILABLE 1

WOULD BECOME ALLOWED: 2 decisions

DECISIONS  CALLER    FIRST (UTC)       LAST (UTC)        SUCH AS
        2  shop/web  2026-11-22 10:01  2026-11-22 10:02  ${idOf(102)}

DECISIONS  REQUEST           FIRST (UTC)       LAST (UTC)        SUCH AS
        2  DELETE /admin/**  2026-11-22 10:01  2026-11-22 10:02  ${idOf(102)}

DECISIONS  RULE THEN → RULE NOW
        2  deny: no rule
         → allow: policy.csv:1  p, *, /admin/**, DELETE, allow
           2026-11-22 10:01 to 2026-11-22 10:02
           such as ${idOf(102)}, ${idOf(103)}

WOULD BECOME DENIED: 1 decision

DECISIONS  CALLER    FIRST (UTC)       LAST (UTC)        SUCH AS
        1  shop/web  2026-11-22 10:00  2026-11-22 10:00  ${idOf(104)}

DECISIONS  REQUEST         FIRST (UTC)       LAST (UTC)        SUCH AS
        1  GET /orders/**  2026-11-22 10:00  2026-11-22 10:00  ${idOf(104)}

DECISIONS  RULE THEN → RULE NOW
        1  allow: policy.csv:3  p, web, /orders/**, GET, allow
         → deny: no rule
           2026-11-22 10:00 to 2026-11-22 10:00
           such as ${idOf(104)}

THE SAME EFFECT BY ANOTHER RULE: 1 decision

DECISIONS  CALLER    FIRST (UTC)       LAST (UTC)        SUCH AS
        1  shop/web  2026-11-22 10:00  2026-11-22 10:00  ${idOf(101)}

DECISIONS  REQUEST         FIRST (UTC)       LAST (UTC)        SUCH AS
        1  GET /orders/**  2026-11-22 10:00  2026-11-22 10:00  ${idOf(101)}

DECISIONS  RULE THEN → RULE NOW
        1  allow: policy.csv:3  p, web, /orders/**, GET, allow
         → allow: policy.csv:2  p, web, /orders/{id}, GET, allow
           2026-11-22 10:00 to 2026-11-22 10:00
           such as ${idOf(101)}
`,
    )
    expect([err, exitCode]).toEqual(['', 1])
  })

  test.each([80, 90, 100, 120])('fits a terminal of %d columns', async (columns) => {
    const long = 'spiffe://cluster.local/ns/a-namespace-of-some-length/sa/an-account-of-some-length'
    await recorded(
      { principal: long, path: '/a/rather/long/path/of/a/request/that/goes/on/and/on/for/ever' },
      { path: '/%2e', deny: 'PATH_SUSPICIOUS' },
      { deny: 'PRINCIPAL_MISSING' },
      { deny: 'TRUST_DOMAIN_UNKNOWN' },
      { deny: 'REQUEST_MALFORMED' },
    )
    const path = '/a/rather/long/path/of/a/request/that/goes/on/and/{verb}/**'
    const { out } = await run(policy(`p, "${long}", ${path}, GET, deny`), [], columns)
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(columns)
    expect(out).toContain('WOULD BECOME DENIED: 1 decision')
  })

  test('shows what callers chose without obeying it', async () => {
    await recorded({ path: '/\u001b[2J\u202e', deny: 'NO_MATCHING_RULE' })
    const { out } = await run(policy('p, *, /**, GET, allow'))
    expect(out).not.toMatch(/[\u001b\u202e]/)
  })

  test('prints a few of many groups, and how many more there are', async () => {
    const callers = Array.from({ length: 20 }, (_, index) => ({
      principal: `spiffe://cluster.local/ns/n/sa/s${index}`,
    }))
    await recorded(...callers)
    const { out } = await run(policy('p, web, /x, GET, allow'))
    expect(out.match(/^ +1 {2}n\/s/gm)).toHaveLength(15)
    expect(out).toContain('\n… and 5 more (--json prints all)\n')
  })

  test('prints everything as one JSON object', async () => {
    await recorded({ path: '/orders/1' }, { path: '/admin', deny: 'NO_MATCHING_RULE' })
    const { out, exitCode } = await run(policy(theirRule, 'p, web, /admin, GET, allow'), ['--json'])
    expect(JSON.parse(out)).toMatchObject({
      ...{ decisions: 2, replayed: 2, unchanged: 1 },
      changes: {
        allow: { count: 1, principals: { groups: [{ principal: web, count: 1, examples: [idOf(102)] }] } },
        deny: { count: 0 },
      },
    })
    expect(exitCode).toBe(1)
  })

  test('notes what the counts do not tell', async () => {
    const first = decisionOf({ number: 1 })
    const late = decisionOf({ number: 1, deny: 'AUDIT_UNAVAILABLE' })
    const superseding = { ...late, id: idOf(99), data: { ...late.data, supersedes: true } }
    const other = decisionOf({ number: 2 })
    const older = { ...other, data: { ...other.data, policyVersion: 'sha256:older' } }
    await data.archive(makeTrail({ trail }, [first, superseding, older]))
    const { out } = await run(policy(theirRule), [], 200)
    expect(out).toContain('Note: the decisions were made by 2 versions of the policy')
    expect(out).toContain('Note: 1 request got a denial after all, because the record came too late')
  })
})

describe('the exit status of policy replay', () => {
  test.each([
    ['allow', [1, 0, 0]],
    ['deny', [0, 1, 0]],
    ['effect', [1, 1, 0]],
    ['any', [1, 1, 1]],
  ])('is 1 with --fail-on %s as it says', async (change, expected) => {
    await recorded({ path: '/orders/1' }, { path: '/admin', deny: 'NO_MATCHING_RULE' })
    const rules = [
      [theirRule, 'p, web, /admin, GET, allow'],
      ['p, web, /x, GET, allow'],
      ['p, web, /orders/{id}, GET, allow'],
    ]
    const codes: number[] = []
    for (const lines of rules) codes.push((await run(policy(...lines), ['--fail-on', change])).exitCode)
    expect(codes).toEqual(expected)
  })

  test('is 2 where the policy would be refused, with the places', async () => {
    await recorded({})
    const folder = policy('p, web, /orders')
    const { out, err, exitCode } = await run(folder)
    expect(err).toMatch(/^policy\.csv:1:9: .*\[ROW_TOO_SHORT\]\n.*1 problem and cannot be used\.\n$/)
    expect([out, exitCode]).toEqual(['', 2])
    const json = await run(folder, ['--json'])
    expect(JSON.parse(json.out)).toMatchObject({ problems: [{ code: 'ROW_TOO_SHORT', line: 1 }] })
    expect(json.exitCode).toBe(2)
  })

  test('is 2 where lines cannot be read, which are named', async () => {
    await recorded({ path: '/orders/1' })
    const name = data.segment(`web-1-${idOf(2)}`, 1, '{"specversion":\n')
    const { out, err, exitCode } = await run(policy(theirRule))
    expect(out).toContain('  1  unchanged')
    expect(err).toBe(
      `${name}:1: the line is not JSON\n1 line could not be read: run "countersign verify --data ${data.dir}".\n`,
    )
    expect(exitCode).toBe(2)
  })

  test('is 2 where there was nothing to replay', async () => {
    await recorded({ path: '/orders/1' })
    const { err, exitCode } = await run(policy(theirRule), ['--since', '1s'])
    expect(err).toBe('There was nothing to replay: no decision of this time can be compared.\n')
    expect(exitCode).toBe(2)
  })

  test('is 2 where there is no data folder', async () => {
    const { err, exitCode } = await run(policy(theirRule), ['--data', join(data.dir, 'nowhere')])
    expect(err).toMatch(/^ARCHIVE_UNREADABLE: .*nowhere does not exist/)
    expect(exitCode).toBe(2)
  })

  test.each([
    [['--since', 'soon'], '--since: "soon" is not a time'],
    [['--fail-on', 'fire'], 'Allowed choices are allow, deny, effect, any'],
    [['--principal', 'x'], "unknown option '--principal'"],
    [['extra'], 'too many arguments'],
  ])('is 2 for %j', async (args, problem) => {
    const { err, exitCode } = await run(policy(theirRule), args)
    expect(err).toContain(problem)
    expect(exitCode).toBe(2)
  })

  test('is 2 where no policy is named, and 0 for --help', async () => {
    expect((await runCommand(policyReplayCommand, [])).err).toContain("required option '--policy <dir>' not specified")
    const help = await runCommand(policyReplayCommand, ['--help'])
    expect(help.out).toContain('Examples:')
    expect(help.exitCode).toBe(0)
  })
})
