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
import { count } from './form.ts'

// Processes under way on a busy machine.
jest.setTimeout(180_000)

const kills = count({ short: 12, long: 100 })

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
  test('leaves the copy of the version in force, whole, or none, and nothing else once the next is kept', async () => {
    const versions = [versionOf('alice'), versionOf('bob')]
    const given = join(folder, 'versions.json')
    writeFileSync(given, JSON.stringify(versions))
    const module = join(import.meta.dirname, '../../src/policy/source/last-good.ts')
    const program = `
      import { readFileSync } from 'node:fs'
      import { dropOtherLastGood, keepLastGood } from ${JSON.stringify(module)}
      const versions = JSON.parse(readFileSync(${JSON.stringify(given)}, 'utf8'))
      for (let turn = 0; ; turn += 1) {
        await dropOtherLastGood(${JSON.stringify(join(folder, 'policy'))}, versions[turn % 2])
        console.log('in force ' + (turn % 2))
        await keepLastGood(${JSON.stringify(join(folder, 'policy'))}, versions[turn % 2])
        console.log('kept')
      }`
    for (let kill = 0; kill < kills; kill += 1) {
      const keeper = start('node', ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program])
      await until('a copy', () => keeper.output().includes('kept'))
      await new Promise((resolve) => setTimeout(resolve, (kill * 37) % 200))
      keeper.signal('SIGKILL')
      await keeper.exited
      const kept = await readLastGood(join(folder, 'policy'))
      if (kept === undefined) continue
      expect(kept.problems).toEqual([])
      const inForce = /in force ([01])\n(?:kept\n)?$/.exec(keeper.output())?.[1]
      expect(kept.snapshot?.policyVersion).toBe(versions[Number(inForce)]?.policyVersion)
    }
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

  test('that fills up while a version revokes keeps no copy: a restart with a broken folder denies', async () => {
    const policy = join(folder, 'policy')
    const kept = join(folder, 'data/policy')
    for (const path of [policy, kept]) mkdirSync(path, { recursive: true })
    const web = 'spiffe://cluster.local/ns/shop/sa/web'
    const matcher = 'r.sub == p.sub && r.obj == p.obj && r.act == p.act'
    const rules = [1, 2].map((order) => `p, ${web}, /orders/${String(order)}, GET\n`)
    writeFileSync(join(policy, 'model.conf'), modelText({ m: matcher, g: '' }))
    writeFileSync(join(policy, 'policy.csv'), rules.join(''))
    // The disk is to be there still at the restart.
    const mount = `mount -t tmpfs -o size=64k tmpfs ${kept} && echo mounted && exec sleep 600`
    const disk = start('unshare', ['--mount', 'sh', '-c', mount])
    await until('the disk', () => disk.output().includes('mounted'))
    const inside = ['nsenter', '--target', String(disk.pid), '--mount', '--']
    const settings = { audit: { deadlineMs: 20_000 }, policy: { dir: policy } }
    const serve = (ready: boolean) =>
      startCountersign({ main: 'src/cli/main.ts', data: join(folder, 'data'), within: inside, settings, ready })
    const page = async (port: number, name: string) => (await fetch(`http://127.0.0.1:${String(port)}/${name}`)).text()
    const copy = () => readLastGood(join('/proc', String(disk.pid), 'root', kept))
    try {
      const first = await serve(true)
      await until('the first copy', async () => (await copy())?.problems.length === 0)
      const padding = '# no room for this\n'.repeat(10_000)
      writeFileSync(join(policy, 'policy.csv'), `${padding}${rules[0] ?? ''}`)
      await until('the warning', async () => (await page(first.adminPort, 'readyz')).includes('"part":"policy copy"'))
      expect(await page(first.adminPort, 'readyz')).toMatch(/ENOSPC[^"]*; no copy is kept/)
      await first.process.stop()
      expect(await copy()).toBeUndefined()
      writeFileSync(join(policy, 'policy.csv'), 'nonsense')
      const second = await serve(false)
      await until('the refusal', async () => (await page(second.adminPort, 'readyz')).includes('policy.csv:1'))
      const asker = openAsker(second.port)
      expect(await asker.check('/orders/2')).toMatchObject({ allowed: false, reason: 'POLICY_UNAVAILABLE' })
      asker.close()
      await second.process.stop()
    } finally {
      await disk.stop()
    }
  })
})
