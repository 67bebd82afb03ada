import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { start, until } from '../../deploy/envoy/demo/processes.ts'
import { keepLastGood, readLastGood } from '../../src/policy/source/last-good.ts'
import { modelText, snapshot } from '../policy/policies.ts'
import { describeWith } from '../real/parts.ts'
import { openAsker } from './checks.ts'

// Processes under way on a busy machine.
jest.setTimeout(120_000)

/** More by `make fault`. */
const kills = 4 * Number(process.env['FAULT_RUNS'] ?? 3)

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-last-good-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

/** Some files, so that a copy is not written in one go. */
function versionOf(name: string) {
  const csv = `p, ${name}, /a, GET\n`.repeat(200)
  const files = Array.from({ length: 20 }, (_, index) => [`${String(index)}.csv`, csv])
  return snapshot({ 'model.conf': modelText(), ...(Object.fromEntries(files) as Record<string, string>) })
}

describe('kill -9 while the last good policy is kept', () => {
  test('leaves the old copy or the new one, whole, and nothing once the next is kept', async () => {
    const versions = [versionOf('alice'), versionOf('bob')]
    const given = join(folder, 'versions.json')
    writeFileSync(given, JSON.stringify(versions))
    const module = join(import.meta.dirname, '../../src/policy/source/last-good.ts')
    const program = `
      import { readFileSync } from 'node:fs'
      import { keepLastGood } from ${JSON.stringify(module)}
      const versions = JSON.parse(readFileSync(${JSON.stringify(given)}, 'utf8'))
      for (let turn = 0; ; turn += 1) {
        await keepLastGood(${JSON.stringify(join(folder, 'policy'))}, versions[turn % 2])
        console.log('kept')
      }`
    const seen = new Set<string | undefined>()
    for (let kill = 0; kill < kills; kill += 1) {
      const keeper = start('node', ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program])
      await until('a copy', () => keeper.output().includes('kept'))
      await new Promise((resolve) => setTimeout(resolve, (kill * 37) % 200))
      keeper.signal('SIGKILL')
      await keeper.exited
      const kept = await readLastGood(join(folder, 'policy'))
      expect(kept?.problems).toEqual([])
      seen.add(kept?.snapshot?.policyVersion)
    }
    expect([...seen].every((version) => versions.some(({ policyVersion }) => policyVersion === version))).toBe(true)
    await keepLastGood(join(folder, 'policy'), versionOf('carol'))
    expect(readdirSync(join(folder, 'policy'))).toHaveLength(2)
  })
})

describeWith('namespaces', 'a disk without room for the copy of the policy', () => {
  test.each([
    ['is full', 'size=64k'],
    ['is read-only', 'ro'],
  ])('that %s does not hold back the policy; it is said, and kept when there is room', async (_, options) => {
    const policy = join(folder, 'policy')
    const kept = join(folder, 'data/policy')
    for (const path of [policy, kept]) mkdirSync(path, { recursive: true })
    writeFileSync(
      join(policy, 'model.conf'),
      modelText({ m: 'r.sub == p.sub && r.obj == p.obj && r.act == p.act', g: '' }),
    )
    const padding = '# no room for this\n'.repeat(10_000)
    const web = 'spiffe://cluster.local/ns/shop/sa/web'
    writeFileSync(join(policy, 'policy.csv'), `${padding}p, ${web}, /orders/1, GET\n`)
    const mount = ['unshare', '--mount', 'sh', '-c', `mount -t tmpfs -o ${options} tmpfs ${kept} && exec "$@"`, 'sh']
    const server = await startCountersign({
      main: 'src/cli/main.ts',
      data: join(folder, 'data'),
      within: mount,
      settings: { audit: { deadlineMs: 20_000 }, policy: { dir: policy } },
    })
    const asker = openAsker(server.port)
    const page = async (name: string) => (await fetch(`http://127.0.0.1:${server.adminPort}/${name}`)).text()
    try {
      await until('the warning', async () => (await page('readyz')).includes('"part":"policy copy"'))
      expect(await page('readyz')).toMatch(/"status":"ready".*could not be kept as the last good one: (ENOSPC|EROFS)/)
      expect(await page('metrics')).toMatch(/^countersign_policy_copy_failing 1$/m)
      expect((await asker.check('/orders/1')).allowed).toBe(true)
      const inside = ['--target', String(server.process.pid), '--mount', '--']
      const remount = start('nsenter', [...inside, 'mount', '-o', 'remount,rw,size=8m', kept])
      expect(await remount.exited).toBe(0)
      await until('the copy', async () => /^countersign_policy_copy_failing 0$/m.test(await page('metrics')))
      expect(await page('readyz')).toContain('"warnings":[]')
    } finally {
      asker.close()
      await server.process.stop()
    }
  })
})
