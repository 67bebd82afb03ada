import { join } from 'node:path'
import { beforeEach, describe, expect, test } from '@jest/globals'
import { policyExplainCommand } from '../../src/cli/commands/policy-explain.ts'
import { readSource } from '../../src/policy/source/source.ts'
import { decisionOf, idOf, makeTrail, policyVersion } from '../archive/trails.ts'
import { modelText, temporaryFolder, writeFiles } from '../policy/policies.ts'
import { TestData } from '../readers/data-folder.ts'
import { runCommand, type Ran } from './run-command.ts'

const web = 'spiffe://cluster.local/ns/shop/sa/web'
const model = modelText({
  p: 'sub, obj, act, eft',
  e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
  m: 'g(r.sub, p.sub) && pathMatch(r.obj, p.obj) && r.act == p.act',
})
const csv = [
  '# who may do what',
  'p, orders-reader, /orders/{id}, GET, allow',
  'p, orders-writer, /orders, POST, allow',
  'p, orders-reader, /orders/secret, GET, deny',
  `g, ${web}, orders-reader`,
  'g, orders-reader, everybody',
].join('\n')

const folder = temporaryFolder()
writeFiles(folder, { 'model.conf': model, 'policy.csv': csv })
const version = (await readSource(folder)).snapshot?.policyVersion ?? ''

let columns: number | undefined
beforeEach(() => {
  columns = undefined
})

const explain = (...args: readonly string[]): Promise<Ran> =>
  runCommand(policyExplainCommand, ['--policy', folder, ...args], columns)

describe('policy explain', () => {
  test('says what is allowed, by which rule and over which roles', async () => {
    expect(await explain('--sub', web, '--act', 'GET', '--obj', '/orders/1')).toEqual({
      exitCode: 0,
      err: '',
      out: `ALLOW  ALLOWED_BY_RULE: a rule allows it
policy ${version}

Request
  sub       ${web}
  obj       /orders/1
  act       GET

Rule
  policy.csv:2  p, orders-reader, /orders/{id}, GET, allow
  by roles: ${web} → orders-reader (policy.csv:5)

No other rule matches.
`,
    })
  })

  test('says which rules match, and why they did not settle it', async () => {
    const { out } = await explain('--sub', web, '--act', 'GET', '--obj', '/orders/secret')
    expect(out.split('\n\n').slice(2).join('\n\n')).toBe(`Rule
  policy.csv:4  p, orders-reader, /orders/secret, GET, deny
  by roles: ${web} → orders-reader (policy.csv:5)

Rules that match, in the order in which they count
  allow  policy.csv:2  p, orders-reader, /orders/{id}, GET, allow
         overridden by the denial of policy.csv:4
▸ deny   policy.csv:4  p, orders-reader, /orders/secret, GET, deny
         settles it
`)
  })

  test('says which rules nearly match, within the width of the terminal', async () => {
    columns = 80
    const { out, exitCode } = await explain('--sub', web, '--act', 'POST', '--obj', '/orders', '--host', 'orders.shop')
    expect(exitCode).toBe(0)
    expect(out).toBe(`DENY  NO_MATCHING_RULE: no rule allows it
policy ${version}

Request
  sub       ${web}
  host      orders.shop
  obj       /orders
  act       POST
  (--host makes no difference: the matcher does not look at it)

Nearest misses (✗ what differs, + what would make it match)
  1. policy.csv:3  p, orders-writer, /orders, POST, allow
     the path matches, the method matches
     ✗ role orders-writer is missing: no role link leads from
       ${web} to orders-writer
     + g, ${web}, orders-writer
  2. policy.csv:2  p, orders-reader, /orders/{id}, GET, allow
     role orders-reader matches
     ✗ the path differs: /orders is asked, /orders/{id} is allowed
     ✗ the method differs: POST is asked, GET is allowed
     + p, orders-reader, /orders, POST, allow
`)
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80)
  })

  test('says that a token was not given, and that nothing comes near', async () => {
    const { out } = await explain('--sub', 'nobody')
    expect(out).toContain('  (no --obj, --act given: what is absent equals nothing)\n')
    expect(out).toContain('No rule comes near')
  })

  test('shows characters that a terminal would obey by their code', async () => {
    const { out } = await explain('--sub', web, '--act', 'GET', '--obj', '/\u001b[2J')
    expect(out).toContain('/\\u{1b}[2J')
    expect(out).not.toContain('\u001b')
  })

  test('prints everything as one object with --json, and as many near misses as --misses says', async () => {
    const { out } = await explain('--sub', web, '--act', 'POST', '--obj', '/orders', '--json', '--misses', '1')
    expect(JSON.parse(out)).toMatchObject({
      decision: null,
      policyVersion: version,
      effect: 'deny',
      reason: 'NO_MATCHING_RULE',
      rule: null,
      eligible: [],
      nearMisses: [{ rule: { file: 'policy.csv', line: 3 }, remedies: [`g, ${web}, orders-writer`], alike: [] }],
      absent: [],
      unread: [],
    })
  })
})

describe('policy explain notes of a path', () => {
  test('that policy sees it without its query', async () => {
    const { out } = await explain('--sub', web, '--act', 'GET', '--obj', '/orders/1?x=//')
    expect(out).toMatch(/^Note: Policy sees the path without its query\. .* ask with --obj \/orders\/1\n\n/)
    expect(out).not.toContain('PATH_SUSPICIOUS')
  })

  test.each([
    ['/orders/..', 'a segment "." or ".."'],
    ['/%2E%2e/orders', 'a segment "." or ".."'],
    ['/orders//1', 'two slashes in a row'],
    ['/orders%2F1', 'an encoded slash (%2f)'],
    ['/./orders//1', 'a segment "." or ".." and two slashes in a row'],
  ])('that the server refuses %s before policy', async (path, what) => {
    const note = `The server refuses a path with ${what} before any policy is asked (PATH_SUSPICIOUS), unless paths.allow lets it through.`
    const { out } = await explain('--sub', web, '--act', 'GET', '--obj', path, '--json')
    expect(JSON.parse(out)).toMatchObject({ notes: [note] })
  })

  test('nothing where there is nothing to say', async () => {
    const { out } = await explain('--sub', web, '--act', 'GET', '--obj', '/orders/a..b/.c', '--json')
    expect(JSON.parse(out)).toMatchObject({ notes: [] })
  })
})

describe('policy explain --decision', () => {
  const made = [
    { number: 1, path: '/orders/1', method: 'GET', principal: web },
    { number: 2, path: '/orders', method: 'PUT', principal: web },
    { number: 3, principal: 'spiffe://partner.example/ns/shop/sa/web', deny: 'TRUST_DOMAIN_UNKNOWN' },
    { number: 4, path: `/orders/${'0123456789abcdef'.repeat(4)}`, method: 'GET', principal: web },
  ] as const
  const records = makeTrail({ trail: `web-0-${idOf(1)}` }, made.map(decisionOf))

  async function explainRecorded(number: number, ...args: readonly string[]): Promise<Ran> {
    using data = new TestData()
    await data.archive(records)
    return await explain('--decision', idOf(number), '--data', data.dir, ...args)
  }

  test('reads the request from the archive, and says that another version decided', async () => {
    const { out, exitCode } = await explainRecorded(2)
    expect(exitCode).toBe(0)
    expect(out).toContain(`Decision ${idOf(2)} of 2026-11-22T10:00:00`)
    expect(out).toContain(`  answered  allow, ALLOWED_BY_RULE\n  policy    ${policyVersion}\n`)
    expect(out).toContain('  The policy that is explained here is another version, and ANSWERS OTHERWISE.\n\nDENY')
    expect(out).toContain('  act       PUT\n')
    const { decision } = JSON.parse((await explainRecorded(1, '--json')).out) as { decision: object }
    expect(decision).toMatchObject({ decisionId: idOf(1), effect: 'allow', samePolicy: false, sameEffect: true })
  })

  test('takes tokens that are given in place of those of the record', async () => {
    const { out } = await explainRecorded(2, '--act', 'GET', '--obj', '/orders/7')
    expect(out).toContain('ALLOW  ALLOWED_BY_RULE')
  })

  test('names the tokens that were changed, and then compares no answers', async () => {
    columns = 80
    using data = new TestData()
    const event = decisionOf(made[0])
    const decided = { ...event, data: { ...event.data, policyVersion: version } }
    await data.archive(makeTrail({ trail: `web-0-${idOf(1)}` }, [decided]))
    const recorded = (...args: readonly string[]) => explain('--decision', idOf(1), '--data', data.dir, ...args)
    const { out } = await recorded('--act', 'PUT', '--obj', '/orders/1', '--user', 'ann')
    expect(out).toContain(`  changed   --user is ann here, and absent, masked or cut in the record
  changed   --act is PUT here, and GET in the record
  This is the policy that decided, and the request is another one than was
  decided: the answers are not compared.

DENY`)
    const { decision } = JSON.parse((await recorded('--act', 'PUT', '--json')).out) as { decision: object }
    expect(decision).toMatchObject({
      samePolicy: true,
      sameEffect: null,
      replaced: [{ token: 'act', given: 'PUT', recorded: 'GET' }],
    })
    expect((await recorded('--act', 'GET')).out).toContain('  This is the policy that decided.\n')
    expect((await explainRecorded(2, '--act', 'GET')).out).not.toMatch(/OTHERWISE|otherwise/)
  })

  test('says that no rule was asked where the answer came before', async () => {
    expect(await explainRecorded(3)).toMatchObject({
      exitCode: 1,
      out: '',
      err: 'TRUST_DOMAIN_UNKNOWN: The caller’s trust domain is not one of identity.trustDomains. The policy was not asked: no rule could have changed the answer.\n',
    })
  })

  test('asks for what the record no longer holds', async () => {
    expect(await explainRecorded(4)).toMatchObject({
      exitCode: 1,
      out: '',
      err: 'The record does not hold all that the policy saw of the path: give --obj too.\n',
    })
    expect((await explainRecorded(4, '--obj', '/orders/4')).out).toContain('ALLOW')
  })

  test('says that a decision is not there, and that a data folder is none', async () => {
    const missing = await explainRecorded(9)
    expect(missing).toMatchObject({ exitCode: 1, out: '' })
    expect(missing.err).toContain(`No decision ${idOf(9)} in `)
    const none = await explain('--decision', idOf(1), '--data', join(folder, 'none'))
    expect(none.exitCode).toBe(2)
    expect(none.err).toMatch(/^ARCHIVE_UNREADABLE: /)
  })

  test('knows the policy that decided by its version', async () => {
    using data = new TestData()
    const event = decisionOf(made[0])
    const decided = { ...event, data: { ...event.data, policyVersion: version } }
    const lines = makeTrail({ trail: `web-0-${idOf(1)}` }, [decided])
    await data.archive(lines)
    const { out } = await explain('--decision', idOf(1), '--data', data.dir)
    expect(out).toContain('  This is the policy that decided.\n\nALLOW')
  })
})

describe('policy explain ends with', () => {
  test('1 where the policy cannot be loaded, and names its problems', async () => {
    const bad = temporaryFolder()
    writeFiles(bad, { 'model.conf': model, 'policy.csv': 'p, a, /x, GET\nq, b' })
    const args = ['--policy', bad, '--sub', 'a']
    const { exitCode, out, err } = await runCommand(policyExplainCommand, args)
    expect({ exitCode, out }).toEqual({ exitCode: 1, out: '' })
    expect(err).toMatch(/^policy\.csv:1:\S* .* \[ROW_TOO_SHORT\]\npolicy\.csv:2:\S* .* \[TYPE_UNKNOWN\]\n/)
    expect(err).toContain(`The policy in ${bad} has 2 problems and cannot be used.\n`)
    const json = await runCommand(policyExplainCommand, [...args, '--json'])
    expect(JSON.parse(json.out)).toMatchObject({ problems: [{ code: 'ROW_TOO_SHORT' }, { code: 'TYPE_UNKNOWN' }] })
  })

  test.each([
    ['no request', [], /say what is asked \(--sub, --user/],
    ['an empty token', ['--sub', '', '--act', 'GET'], /--sub.*It is empty: leave it out/],
    ['a count that is none', ['--sub', 'a', '--misses', 'x'], /whole number/],
    ['an unknown token', ['--subject', 'a'], /unknown option '--subject'/],
  ])('2 for wrong usage: %s', async (_, args, said) => {
    const { exitCode, out, err } = await explain(...args)
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' })
    expect(err).toMatch(said)
  })
})
