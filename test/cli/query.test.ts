import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { queryCommand } from '../../src/cli/commands/query.ts'
import { printTrail } from '../../src/cli/print.ts'
import { checkLine, type ParsedRecord } from '../../src/audit/chain.ts'
import { policyEvent, type AuditEvent } from '../../src/audit/event.ts'
import { accessOf, decisionOf, decisions, idOf, makeTrail, policyVersion, timeAt } from '../archive/trails.ts'
import { TestData, textOf } from '../readers/data-folder.ts'
import { runCommand, type Ran } from './run-command.ts'

const trail = `web-0-${idOf(1)}`
const root = join(import.meta.dirname, '../..')
const asked = [
  { number: 1, path: '/orders/1' },
  { number: 2, path: '/admin', method: 'DELETE', deny: 'NO_MATCHING_RULE' },
  { number: 3, principal: 'spiffe://partner.example/ns/shop/sa/web', deny: 'TRUST_DOMAIN_UNKNOWN' },
] as const
const records = makeTrail({ trail }, [
  ...asked.map(decisionOf),
  ...asked.map((one) => accessOf(one, 'deny' in one ? 403 : 200)),
  accessOf({ number: 4 }, 200, false),
])
let data: TestData

beforeEach(async () => {
  data = new TestData()
  await data.archive(records)
})

afterEach(() => {
  data[Symbol.dispose]()
})

function run(args: readonly string[], columns?: number): Promise<Ran> {
  return runCommand((io) => queryCommand(io, () => timeAt(3600_000)), ['--data', data.dir, ...args], columns)
}

describe('query --json', () => {
  test('prints the records byte for byte as they stand in the archive', async () => {
    expect(await run(['--json'])).toEqual({ out: textOf(records), err: '', exitCode: 0 })
  })

  test('prints what passes the filters, and no more than the limit', async () => {
    const { out } = await run(['--json', '--effect', 'deny', '--type', 'decision', '--limit', '1'])
    expect(out).toBe(textOf(records.slice(2, 3)))
  })

  test('does not mind a reader that goes away', async () => {
    await data.archive(makeTrail({ trail: `web-0-${idOf(2)}` }, decisions(2000)))
    const script = `
      import { queryCommand } from '${root}/src/cli/commands/query.ts'
      import { processIo } from '${root}/src/cli/print.ts'
      await queryCommand(processIo()).parseAsync(['--json', '--data', '${data.dir}'], { from: 'user' })`
    const shell = '"$NODE" --input-type=module-typescript -e "$SCRIPT" | head -n 1; echo "${PIPESTATUS[0]}"'
    const ran = spawnSync('bash', ['-c', shell], {
      env: { ...process.env, NODE: process.execPath, SCRIPT: script, NODE_OPTIONS: '' },
      encoding: 'utf8',
    })
    expect(ran.stderr).toBe('')
    expect(ran.stdout).toBe(`${records[0]?.line ?? ''}\n0\n`)
  }, 180_000)
})

describe('query for people', () => {
  test('prints one row for each access, its decision joined with its outcome, and the count', async () => {
    const { out } = await run([])
    expect(out).toBe(
      `
2026-11-22 (UTC)
TIME          EFFECT  CALLER                    TO           REQUEST        STATUS  REASON                RULE
10:00:00.000  trail   opened ${trail}
10:00:00.000  allow   shop/web                  shop/orders  GET /orders/1  200     ALLOWED_BY_RULE       policy.csv:3
10:00:00.000  deny    shop/web                  shop/orders  DELETE /admin  403     NO_MATCHING_RULE      -
10:00:00.000  deny    shop/web@partner.example  shop/orders  GET /orders    403     TRUST_DOMAIN_UNKNOWN  -
10:00:00.000  -       shop/web                  shop/orders  GET /orders    200     unchecked             -

8 records, 4 accesses (1 allow, 2 deny, 1 unchecked)
`.trimStart(),
    )
  })

  test.each([80, 90, 100, 120])('fits a terminal of %d columns', async (columns) => {
    const { out } = await run(['--type', 'decision,access'], columns)
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(columns)
    expect(out).toContain('NO_MATCHING_RULE')
  })

  test('counts rows for its limit', async () => {
    const { out } = await run(['--type', 'decision,access', '--limit', '2'])
    expect(out.match(/^10:/gm)).toHaveLength(2)
  })

  test('says that there is nothing', async () => {
    expect(await run(['--since', '1s'])).toEqual({ out: '0 records, 0 accesses\n', err: '', exitCode: 0 })
  })
})

function parsed(events: readonly AuditEvent[]): ParsedRecord[] {
  return makeTrail({ trail }, events).flatMap(({ line }) => {
    const checked = checkLine(line)
    return checked.ok ? [checked.record] : []
  })
}

describe('the table of a trail', () => {
  test('shows control characters instead of sending them to the terminal', () => {
    const text = printTrail(parsed([decisionOf({ number: 1, path: '/\u001b[2J\u202e' })]))
    expect(text).toContain('GET /\\u{1b}[2J\\u{202e}')
    expect(text).not.toMatch(/[\u001b\u202e]/)
  })

  test('shows the answer of a superseding decision', () => {
    const first = decisionOf({ number: 1 })
    const late = decisionOf({ number: 1, deny: 'AUDIT_UNAVAILABLE' })
    const superseding = { ...late, id: idOf(99), data: { ...late.data, supersedes: true } }
    const text = printTrail(parsed([first, superseding, accessOf({ number: 1, deny: 'AUDIT_UNAVAILABLE' }, 503)]))
    expect(text).toMatch(/deny .* 503 +AUDIT_UNAVAILABLE/)
    expect(text).toContain('1 access (1 deny)')
  })

  test('tells policy changes and gaps in words, and begins a new table each day', () => {
    const policy = policyEvent(idOf(5), timeAt(0), {
      change: 'loaded',
      origin: 'folder',
      candidate: false,
      policyVersion,
      previousVersion: null,
      files: [],
      author: null,
      ticket: null,
      signedBy: [],
      rules: { added: 1, removed: 0, total: 1 },
      problems: [],
    })
    const text = printTrail(parsed([policy, { ...decisionOf({ number: 1 }), time: timeAt(24 * 3600_000) }]))
    expect(text).toContain('policy  loaded sha256:abababababab')
    expect(text).toContain('2026-11-23 (UTC)')
  })
})

describe('query goes wrong', () => {
  test('with status 2 and the allowed values where a filter is not understood', async () => {
    const { err, exitCode } = await run(['--effect', 'maybe'])
    expect(exitCode).toBe(2)
    expect(err).toContain('--effect: "maybe" is not one of allow, deny')
  })

  test('with status 2 and what to do where there is no data folder', async () => {
    const { err, exitCode } = await runCommand(queryCommand, ['--data', join(data.dir, 'nowhere')])
    expect(exitCode).toBe(2)
    expect(err).toMatch(/^ARCHIVE_UNREADABLE: .*nowhere does not exist\. Give --data the folder/)
  })

  test.each([
    [['--efect', 'deny'], "unknown option '--efect'"],
    [['--limit', '0'], 'Give a whole number from 1 on.'],
    [['extra'], 'too many arguments'],
  ])('with status 2 for %j', async (args, problem) => {
    const { err, exitCode } = await run(args)
    expect(exitCode).toBe(2)
    expect(err).toContain(problem)
  })

  test('not at all for --help', async () => {
    const { out, exitCode } = await run(['--help'])
    expect(exitCode).toBe(0)
    expect(out).toContain('Examples:')
  })

  test('with status 1 and a word to verify where lines are damaged', async () => {
    const path = join(data.dir, `archive/2026-11-22/${trail}.0000000000000001.ndjson`)
    writeFileSync(path, readFileSync(path, 'utf8').replace('DELETE', 'PATCH!'))
    const { out, err, exitCode } = await run(['--json'])
    expect(exitCode).toBe(1)
    expect(out).toBe(textOf(records.toSpliced(2, 1)))
    expect(err).toContain('1 damaged line left out: run "countersign verify')
  })
})
