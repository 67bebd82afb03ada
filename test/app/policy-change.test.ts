import { generateKeyPairSync } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, jest, test } from '@jest/globals'
import { startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { until } from '../../deploy/envoy/demo/processes.ts'
import type { DecisionData, PolicyData } from '../../src/audit/event-data.ts'
import { keyIdOf, readSigningKey } from '../../src/policy/source/manifest-keys.ts'
import { signManifest } from '../../src/policy/source/manifest.ts'
import { httpAttributes } from '../check/calls.ts'
import { recordsIn, type TrailRecord } from '../e2e/mesh.ts'
import { connectPep } from '../grpc/client.ts'
import { snapshot, swapConfigMap, writeFiles } from '../policy/policies.ts'
import { allowedCheck, deniedCheck, serve, type Served } from './served.ts'

// Processes under way on a busy machine.
jest.setTimeout(240_000)

let served: Served | undefined
afterEach(async () => {
  await served?.stop()
  served = undefined
})

const example = (folder: string) => (name: string) => readFileSync(join(folder, 'policy', name), 'utf8')

async function recordsOf<Data>(data: string, type: string): Promise<readonly Data[]> {
  const records = (await recordsIn(data)) as TrailRecord<Data>[]
  return records.filter((record) => record.type === `io.countersign.${type}.v1`).map((record) => record.data)
}

describe('200 swaps of a ConfigMap under load', () => {
  const reads = { attributes: httpAttributes({ method: 'GET', path: '/orders/1' }) }
  const writes = { attributes: httpAttributes({ method: 'POST', path: '/orders' }) }

  test('give only decisions by the one version or by the other, each as its record says', async () => {
    let files: Record<string, string>[] = []
    served = await serve({
      before: (folder) => {
        const text = example(folder)
        const model = { 'model.conf': text('model.conf'), 'roles.csv': text('roles.csv') }
        // Each allows what the other does not, and says so in each of two files: a mixture would allow both, or nothing.
        files = [
          {
            ...model,
            'policy.csv': 'p, reads, http, GET, /orders/{id}, allow\n',
            'more.csv': 'g, orders-writer, reads\n',
          },
          {
            ...model,
            'policy.csv': 'p, writes, http, POST, /orders, allow\n',
            'more.csv': 'g, orders-writer, writes\n',
          },
        ]
        rmSync(join(folder, 'policy'), { recursive: true })
        swapConfigMap(join(folder, 'policy'), 0, files[0] ?? {})
      },
    })
    const { pep, policy, data } = served
    const versions = files.map((version) => snapshot(version).policyVersion)
    const answered = new Map<string, boolean>()
    let swapping = true
    const ask = async (check: typeof reads) => {
      while (swapping) {
        const { status, dynamic_metadata: metadata } = await pep.check(check)
        answered.set(metadata?.fields?.['decisionId']?.stringValue ?? '', status?.code === 0)
      }
    }
    const load = [reads, writes, reads, writes].map(ask)
    for (let version = 1; version <= 200; version += 1) {
      swapConfigMap(policy, version, files[version % 2] ?? {})
      // As the kubelet does, also while somebody is still reading there.
      rmSync(join(policy, `..v${String(version - 1)}`), { recursive: true })
      // Every ninth is waited for, so that the one and the other is in force by turns, however long a load takes.
      if (version % 9 > 0) await new Promise((resolve) => setTimeout(resolve, 10))
      else {
        const check = version % 2 === 0 ? reads : writes
        await until('the new version', async () => (await pep.check(check)).status?.code === 0)
      }
    }
    swapping = false
    await Promise.all(load)

    const decisions = await recordsOf<DecisionData>(data, 'decision')
    const byId = new Map(decisions.map((decision) => [decision.decisionId, decision]))
    expect([...answered].filter(([id, allowed]) => (byId.get(id)?.effect === 'allow') !== allowed)).toEqual([])
    const wrong = decisions.filter(({ effect, reason, policyVersion, action }) => {
      const allows = policyVersion === versions[action.method === 'GET' ? 0 : 1]
      const expected = allows ? 'ALLOWED_BY_RULE' : 'NO_MATCHING_RULE'
      return !versions.includes(policyVersion ?? '') || (effect === 'allow') !== allows || reason !== expected
    })
    expect(wrong).toEqual([])
    for (const version of versions) {
      expect(decisions.filter(({ policyVersion }) => policyVersion === version).length).toBeGreaterThan(20)
    }
    const changes = await recordsOf<PolicyData>(data, 'policy')
    expect(changes.filter(({ change }) => change !== 'loaded')).toEqual([])
    expect(changes.length).toBeGreaterThanOrEqual(23)
  })
})

describe('after a restart with a policy that is broken', () => {
  test('the last good one is in force again, and log, page, metric and trail say so', async () => {
    served = await serve()
    const { data, policy, server } = served
    expect((await served.pep.check(allowedCheck)).status?.code).toBe(0)
    await server.process.stop()
    writeFileSync(join(policy, 'more.csv'), '# broken\np, one, two\n')

    const again = await startCountersign({
      main: 'src/cli/main.ts',
      data,
      settings: { audit: { deadlineMs: 20_000 }, policy: { dir: policy } },
    })
    const pep = connectPep(`127.0.0.1:${again.port}`)
    const page = async (name: string) => (await fetch(`http://127.0.0.1:${again.adminPort}/${name}`)).text()
    try {
      expect((await pep.check(allowedCheck)).status?.code).toBe(0)
      expect((await pep.check(deniedCheck)).status?.code).not.toBe(0)
      expect(await page('readyz')).toMatch(
        /"status":"ready".*last good version sha256:[0-9a-f]{64} in force since .*, from the copy that was kept; the folder’s is refused, 1 problem: more\.csv:2/,
      )
      expect(await page('metrics')).toMatch(/^countersign_policy_last_good 1$/m)
      expect(again.process.output()).toContain('the last good policy is in force')
      rmSync(join(policy, 'more.csv'))
      await until('the folder to be right', async () => /^countersign_policy_last_good 0$/m.test(await page('metrics')))
      expect(await page('readyz')).toMatch(/"warnings":\[\]/)
    } finally {
      pep.close()
      await again.process.stop()
    }
    const changes = await recordsOf<PolicyData>(data, 'policy')
    expect(changes.map(({ change, origin }) => [change, origin])).toEqual([
      ['loaded', 'folder'],
      ['rejected', 'folder'],
      ['loaded', 'last-good'],
    ])
    expect(changes[2]?.policyVersion).toBe(changes[0]?.policyVersion)
  })
})

describe('where a signature is required', () => {
  test('a signed policy is in force, with author, ticket and key in the trail; an unsigned one is refused', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519')
    served = await serve({
      before: (folder) => {
        const pem = join(folder, 'key.pem')
        writeFileSync(pem, privateKey.export({ type: 'pkcs8', format: 'pem' }))
        writeFileSync(join(folder, 'key.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
        const names = readdirSync(join(folder, 'policy'))
        const files = Object.fromEntries(names.map((name) => [name, example(folder)(name)]))
        const claim = { author: 'Ana Li', ticket: 'CHG-1207', signedAt: new Date() }
        const manifest = signManifest(snapshot(files), claim, [readSigningKey(pem)])
        writeFileSync(join(folder, 'policy/manifest.json'), manifest)
      },
      settings: (folder) => ({
        policy: { dir: join(folder, 'policy'), requireSignature: true, signers: [join(folder, 'key.pub')] },
      }),
    })
    const { admin, data, policy } = served
    rmSync(join(policy, 'manifest.json'))
    await until('the refusal', async () => (await admin('readyz')).body.includes('manifest.json'))
    expect((await served.pep.check(allowedCheck)).status?.code).toBe(0)
    const changes = await recordsOf<PolicyData>(data, 'policy')
    expect(changes).toMatchObject([
      { change: 'loaded', author: 'Ana Li', ticket: 'CHG-1207', signedBy: [keyIdOf(publicKey)] },
      { change: 'rejected', author: null, signedBy: [], problems: [{ code: 'SIGNATURE_MISSING' }] },
    ])
  })
})

describe('a candidate policy on live traffic', () => {
  test('stands in each record beside what was decided, is counted, and is gone when its folder is', async () => {
    served = await serve({
      settings: (folder) => ({ policy: { dir: join(folder, 'policy'), candidate: join(folder, 'candidate') } }),
      before: (folder) => {
        cpSync(join(folder, 'policy'), join(folder, 'candidate'), { recursive: true })
        // Those of the example are not meant for other rules.
        rmSync(join(folder, 'candidate/tests.yaml'), { force: true })
        writeFiles(join(folder, 'candidate'), {
          'policy.csv': `${example(folder)('policy.csv')}\np, *, http, GET, /orders/2, deny\np, *, http, GET, /new, allow\n`,
        })
      },
    })
    const { pep, admin, data, folder } = served
    const metric = async (text: string) => (await admin('metrics')).body.includes(text)
    const get = (path: string) => pep.check({ attributes: httpAttributes({ method: 'GET', path }) })
    await until('the candidate', () => metric('countersign_candidate_loaded{'))
    expect((await get('/orders/1')).status?.code).toBe(0)
    expect((await get('/orders/2')).status?.code).toBe(0)
    expect((await get('/new')).status?.code).not.toBe(0)
    expect((await get('/a;b')).status?.code).not.toBe(0)
    for (const [agreement, count] of Object.entries({ same: 2, would_deny: 1, would_allow: 1 })) {
      expect(await metric(`countersign_candidate_decisions_total{agreement="${agreement}"} ${String(count)}\n`)).toBe(
        true,
      )
    }
    writeFileSync(join(folder, 'candidate/more.csv'), 'broken\n')
    await until('the refusal', () => metric('countersign_candidate_rejected_total 1\n'))
    const { status, body } = await admin('readyz')
    expect([status, body]).toEqual([200, expect.stringContaining('the candidate’s version is refused: more.csv:1')])
    rmSync(join(folder, 'candidate'), { recursive: true })
    await until('the removal', async () => !(await metric('countersign_candidate_loaded{')))
    await get('/orders/1')

    const decisions = await recordsOf<DecisionData>(data, 'decision')
    expect(decisions.map(({ effect, candidate }) => [effect, candidate?.effect, candidate?.reason])).toEqual([
      ['allow', 'allow', 'ALLOWED_BY_RULE'],
      ['allow', 'deny', 'DENIED_BY_RULE'],
      ['deny', 'allow', 'ALLOWED_BY_RULE'],
      ['deny', 'deny', 'PATH_SUSPICIOUS'],
      ['allow', undefined, undefined],
    ])
    const changes = await recordsOf<PolicyData>(data, 'policy')
    const loaded = changes.find(({ change }) => change === 'candidate-loaded')
    expect(loaded).toMatchObject({ candidate: true, rules: { added: 2, removed: 0 } })
    expect(decisions[0]?.candidate?.policyVersion).toBe(loaded?.policyVersion)
    expect(changes.map(({ change, candidate }) => [change, candidate])).toEqual([
      ['loaded', false],
      ['candidate-loaded', true],
      ['rejected', true],
      ['candidate-removed', true],
    ])
  })
})
