import { createPrivateKey } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import type { PolicyData } from '../../../src/audit/event-data.ts'
import { PolicyInForce } from '../../../src/policy/in-force/in-force.ts'
import { buildPolicy } from '../../../src/policy/load.ts'
import { startReload, type PolicyReload } from '../../../src/policy/in-force/reload.ts'
import { signManifest } from '../../../src/policy/source/manifest.ts'
import { newSigningKey, signerOf, type SigningKey } from '../../../src/policy/source/manifest-keys.ts'
import { modelText, snapshot, swapConfigMap, temporaryFolder, writeFiles } from '../policies.ts'

const ana = makeKey()
const mallory = makeKey()
const files = { 'model.conf': modelText(), 'policy.csv': 'p, alice, /a, GET\n' }
const changed = { ...files, 'policy.csv': 'p, bob, /a, GET\n' }

const code = 'SIGNATURE_INVALID'

let folder = ''
let kept = ''
let reload: PolicyReload | undefined
let events: PolicyData[] = []

beforeEach(() => {
  folder = temporaryFolder()
  kept = temporaryFolder()
  events = []
})
afterEach(async () => {
  await reload?.stop()
  for (const path of [folder, kept]) rmSync(path, { recursive: true, force: true })
})

function makeKey(): SigningKey {
  const { privatePem, keyId } = newSigningKey()
  return { keyId, key: createPrivateKey(privatePem) }
}

function manifest(of: Record<string, string>, author: string, key = ana): string {
  return signManifest(snapshot(of), { author, ticket: 'CHG-1', signedAt: new Date(0) }, [key])
}

/** A server that lists the key of Ana alone. A long poll: what is not asked for is not seen. */
async function start(requireSignature: boolean): Promise<PolicyReload> {
  let id = 0
  reload = await startReload({
    dir: folder,
    pollMs: 3_600_000,
    build: (read) => buildPolicy(read, { signers: [signerOf(ana)], requireSignature, compareWithCasbin: false }),
    lastGood: { dir: kept, retryMs: 3_600_000 },
    startMs: 3_600_000,
    inForce: new PolicyInForce(),
    record: ({ data }) => {
      events.push(data as PolicyData)
      return Promise.resolve(true)
    },
    ids: () => `id-${String((id += 1))}`,
    now: () => new Date(0),
  })
  return reload
}

function said(): unknown {
  return events.map(({ change, author, problems }) => [change, author, ...problems.map(({ code }) => code)])
}

test('a policy that was refused for want of a signature is in force as soon as its manifest is there', async () => {
  writeFiles(folder, files)
  const server = await start(true)
  expect(server.status().inForce).toBeNull()
  writeFiles(folder, { 'manifest.json': manifest(files, 'Ana') })
  await server.check()
  expect(server.status()).toMatchObject({ inForce: { policyVersion: snapshot(files).policyVersion }, refused: null })
  expect(said()).toEqual([
    ['rejected', null, 'SIGNATURE_MISSING'],
    ['loaded', 'Ana'],
  ])
})

test('the same files with another manifest are the same version by another author', async () => {
  writeFiles(folder, { ...files, 'manifest.json': manifest(files, 'Ana') })
  const server = await start(true)
  writeFiles(folder, { 'manifest.json': manifest(files, 'Ben') })
  await server.check()
  await server.check()
  expect(said()).toEqual([
    ['loaded', 'Ana'],
    ['loaded', 'Ben'],
  ])
  expect(events[1]).toMatchObject({ previousVersion: events[0]?.policyVersion, rules: { added: 0, removed: 0 } })
})

test('what is in force stays when its manifest goes, or is replaced by one of an unlisted key', async () => {
  writeFiles(folder, { ...files, 'manifest.json': manifest(files, 'Ana') })
  const server = await start(true)
  rmSync(join(folder, 'manifest.json'))
  await server.check()
  writeFiles(folder, { 'manifest.json': manifest(files, 'Ana', mallory) })
  await server.check()
  expect(server.status().inForce?.policyVersion).toBe(snapshot(files).policyVersion)
  writeFiles(folder, { 'manifest.json': manifest(files, 'Ana') })
  await server.check()
  expect(server.status().refused).toBeNull()
  expect(said()).toEqual([
    ['loaded', 'Ana'],
    ['rejected', null, 'SIGNATURE_MISSING'],
    ['rejected', null, 'SIGNER_UNKNOWN'],
  ])
})

test.each([true, false])(
  'changed files with the old manifest are refused, signature required: %p',
  async (required) => {
    writeFiles(folder, { ...files, 'manifest.json': manifest(files, 'Ana') })
    const server = await start(required)
    writeFiles(folder, changed)
    await server.check()
    expect(server.status().refused?.problems).toMatchObject([{ file: 'policy.csv', code }])
    expect(server.status().inForce?.policyVersion).toBe(snapshot(files).policyVersion)
  },
)

test('files and manifest of a ConfigMap are replaced together: no state between is seen', async () => {
  swapConfigMap(folder, 0, { ...files, 'manifest.json': manifest(files, 'Ana') })
  const server = await start(true)
  for (let version = 1; version <= 10; version += 1) {
    const next = { ...files, 'policy.csv': `p, user-${String(version)}, /a, GET\n` }
    swapConfigMap(folder, version, { ...next, 'manifest.json': manifest(next, `Author ${String(version)}`) })
    await server.check()
  }
  expect(said()).toEqual([
    ['loaded', 'Ana'],
    ...Array.from({ length: 10 }, (_, index) => ['loaded', `Author ${String(index + 1)}`]),
  ])
})

test('a manifest of an unlisted key names nobody where no signature is required, and is warned of', async () => {
  writeFiles(folder, { ...files, 'manifest.json': manifest(files, 'Ana', mallory) })
  const server = await start(false)
  expect(server.loaded()?.author).toBeNull()
  expect(server.loaded()?.warnings.map(({ code }) => code)).toContain('MANIFEST_UNVERIFIED')
  expect(said()).toEqual([['loaded', null]])
})

test('the kept copy of the last good policy is believed only with its signature', async () => {
  writeFiles(folder, { ...files, 'manifest.json': manifest(files, 'Ana') })
  await (await start(true)).stop()
  writeFiles(folder, changed)
  const server = await start(true)
  expect(server.status()).toMatchObject({ inForce: { origin: 'last-good' }, refused: { problems: [{ code }] } })
  expect(server.loaded()?.author?.author).toBe('Ana')
})

test('the kept copy of a policy that nobody signed is not used where a signature is required', async () => {
  writeFiles(folder, files)
  await (await start(false)).stop()
  writeFiles(folder, { 'manifest.json': '{}' })
  const server = await start(true)
  expect(server.status()).toMatchObject({ inForce: null, refused: { problems: [{ code }] } })
})
