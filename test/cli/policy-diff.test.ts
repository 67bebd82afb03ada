import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { policyDiffCommand } from '../../src/cli/commands/policy-diff.ts'
import { readSource } from '../../src/policy/source/source.ts'
import { modelText, temporaryFolder, writeFiles } from '../policy/policies.ts'
import { runCommand } from './run-command.ts'

const model = modelText({
  p: 'sub, obj, act, eft',
  e: 'some(where (p.eft == allow)) && !some(where (p.eft == deny))',
})
const csv = [
  'p, orders-reader, /orders/1, GET, allow',
  'p, orders-writer, /orders, POST, allow',
  'g, web, orders-writer',
  'g, report, orders-reader',
  'g, orders-writer, orders-reader',
].join('\n')

async function folderOf(rules: string, modelOf = model): Promise<{ folder: string; version: string }> {
  const folder = temporaryFolder()
  writeFiles(folder, { 'model.conf': modelOf, 'policy.csv': rules })
  return { folder, version: (await readSource(folder)).snapshot?.policyVersion ?? '' }
}

const a = await folderOf(csv)

describe('policy diff', () => {
  test('says that a policy is the same as itself, and what means the same although its files differ', async () => {
    const { out, exitCode } = await runCommand(policyDiffCommand, [a.folder, a.folder])
    expect({ out, exitCode }).toEqual({
      exitCode: 0,
      out: `The policies are the same version.\n- ${a.version}  ${a.folder}\n+ ${a.version}  ${a.folder}\n`,
    })
    const other = await folderOf(`# a comment\n${csv}`)
    const commented = await runCommand(policyDiffCommand, [a.folder, other.folder])
    expect(commented.exitCode).toBe(0)
    expect(commented.out).toMatch(/^The policies mean the same\. Their files differ/)
  })

  test('says what differs, and who gains and loses what', async () => {
    const changed = csv
      .replace('orders-reader, /orders/1', 'orders-reader, /orders')
      .replace('POST, allow', 'POST, deny')
    const b = await folderOf(`${changed}\ng, cron, orders-writer`)
    const { out, err, exitCode } = await runCommand(policyDiffCommand, [a.folder, b.folder], 80)
    expect({ out, err, exitCode }).toEqual({
      exitCode: 1,
      err: '',
      out: `The policies differ.
- ${a.version}  ${a.folder}
+ ${b.version}  ${b.folder}

Rules: 1 added, 1 removed, 1 changed
  ~ policy.csv:2  p, orders-writer, /orders, POST, allow
  → policy.csv:2  p, orders-writer, /orders, POST, deny
  - policy.csv:1  p, orders-reader, /orders/1, GET, allow
  + policy.csv:1  p, orders-reader, /orders, GET, allow

Role links: 1 added
  + policy.csv:6  g, cron, orders-writer

Permissions, by the subject where the change comes from
  orders-writer
    changes  POST /orders: allow → deny (1 member)
  cron
    is denied now  POST /orders through role orders-writer
    gains          GET /orders allow through role orders-writer → orders-reader
  orders-reader
    gains    GET /orders allow (2 members)
    loses    GET /orders/1 allow (2 members)
`,
    })
  })

  test('says what is no longer denied before all that is gained', async () => {
    const [before, after] = [`${csv}\np, orders-reader, /orders/secret, GET, deny`, `${csv}\np, all, /a, GET, allow`]
    const [one, other] = [await folderOf(before), await folderOf(after)]
    const { out } = await runCommand(policyDiffCommand, [one.folder, other.folder], 80)
    expect(out).toContain(`Permissions, by the subject where the change comes from
  orders-reader
    is no longer denied  GET /orders/secret (2 members)
  all
    gains    GET /a allow
`)
  })

  test('shows the model’s definitions, and notes what cannot be compared', async () => {
    const b = await folderOf(csv, model.replace('r.act == p.act', 'r.act != p.act'))
    const { out, exitCode } = await runCommand(policyDiffCommand, [a.folder, b.folder], 80)
    expect(exitCode).toBe(1)
    expect(
      out
        .split('\n\n')
        .filter((_, at) => at !== 1)
        .join('\n\n'),
    ).toBe(`WARNING: THE MATCHER CHANGED: every permission may differ, also of rules that
         stand in both. What is said below compares what is written. Put tests
         (\`policy test\`) or recorded requests (\`policy replay\`) to both.

Model
  - model.conf:14  m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
  + model.conf:14  m = g(r.sub, p.sub) && r.obj == p.obj && r.act != p.act
`)
  })

  test('prints 50 entries of a section and 10 of a subject; --json prints all', async () => {
    const many = Array.from({ length: 70 }, (_, at) => `p, orders-writer, /x/${String(at)}, GET, allow`).join('\n')
    const b = await folderOf(`${csv}\n${many}`)
    const { out } = await runCommand(policyDiffCommand, [a.folder, b.folder])
    expect(out).toContain('  … and 20 more (--json prints all)\n\nPermissions')
    expect(out).toContain('    … and 60 more (--json prints all)\n')
    const json = await runCommand(policyDiffCommand, ['--json', a.folder, b.folder])
    expect(json.exitCode).toBe(1)
    const diff = JSON.parse(json.out) as {
      rules: { added: unknown[] }
      permissions: { changes: { changes: unknown[] }[] }
    }
    expect(diff).toMatchObject({ same: false, a: { policyVersion: a.version }, b: { folder: b.folder } })
    expect(diff.rules.added).toHaveLength(70)
    expect(diff.permissions.changes[0]?.changes).toHaveLength(70)
  })

  test('ends with 2 where a policy cannot be loaded, or one is missing', async () => {
    const bad = await folderOf('p, a')
    const { exitCode, out, err } = await runCommand(policyDiffCommand, [a.folder, bad.folder])
    expect({ exitCode, out }).toEqual({ exitCode: 2, out: '' })
    expect(err).toMatch(/^policy\.csv:1:\S* .*\[ROW_TOO_SHORT\]\n/)
    expect(await runCommand(policyDiffCommand, [a.folder, join(a.folder, 'none')])).toMatchObject({ exitCode: 2 })
    expect(await runCommand(policyDiffCommand, [a.folder])).toMatchObject({ exitCode: 2 })
  })
})
