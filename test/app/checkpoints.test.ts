import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { type Countersign, runCountersign, startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { openCheckpoint, parseVerifierKey } from '../../src/audit/checkpoint.ts'
import type { ParsedRecord } from '../../src/audit/chain.ts'
import { query } from '../../src/readers/query.ts'
import { openDataFolder } from '../../src/readers/source.ts'
import { connectPep } from '../grpc/client.ts'
import { signingKeyPem } from '../cases/signing-key.ts'
import { collect } from '../readers/data-folder.ts'
import { allowedCheck } from './served.ts'

// Processes under way on a busy machine.
jest.setTimeout(180_000)

let folder = ''
let data = ''
let server: Countersign | undefined
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-checkpoints-'))
  data = join(folder, 'data')
})
afterEach(async () => {
  await server?.process.stop()
  server = undefined
  rmSync(folder, { recursive: true, force: true })
})

interface Signing {
  /** Seed of the key that the settings name; one of the server's own where it is left out. */
  readonly seed?: number
  readonly everyMs?: number
}

async function start({ seed, everyMs = 100 }: Signing = {}): Promise<Countersign> {
  const checkpoint = { everyMs, ...(seed === undefined ? {} : { keyFile: keyFile(seed) }) }
  server = await startCountersign({
    main: 'src/cli/main.ts',
    data,
    settings: { audit: { deadlineMs: 20_000 }, checkpoint },
  })
  return server
}

async function stop(): Promise<number | null> {
  const status = await server?.process.stop()
  server = undefined
  return status ?? null
}

function keyFile(seed: number, mode = 0o600): string {
  const file = join(folder, `${String(seed)}.pem`)
  writeFileSync(file, signingKeyPem(seed))
  chmodSync(file, mode)
  return file
}

/** Asks once; returns the id of the decision, as the trail has it. */
async function decide({ port }: Countersign): Promise<string> {
  const before = new Set(await decisionIds())
  const pep = connectPep(`127.0.0.1:${String(port)}`)
  await pep.check(allowedCheck)
  pep.close()
  const added = async (): Promise<string | undefined> => (await decisionIds()).find((id) => !before.has(id))
  await until('the decision in the archive', async () => (await added()) !== undefined)
  return (await added()) ?? ''
}

async function decisionIds(): Promise<readonly string[]> {
  const decisions = (await records()).filter(({ type }) => type === 'io.countersign.decision.v1')
  return decisions.map(({ data }) => String(data['decisionId']))
}

async function checkpoints(): Promise<readonly ParsedRecord[]> {
  return (await records()).filter(({ type }) => type === 'io.countersign.checkpoint.v1')
}

/** What stands in the data folder, in order of time. */
async function records(): Promise<readonly ParsedRecord[]> {
  const opened = await openDataFolder(data)
  try {
    const found = await collect(query(opened, { days: {}, matches: () => true }))
    return found.map(({ record }) => record)
  } finally {
    opened.close()
  }
}

function run(...args: readonly string[]): ReturnType<typeof runCountersign> {
  return runCountersign(args, { main: 'src/cli/main.ts' })
}

/** The public keys that the data folder has kept, oldest first. */
function keptKeys(): readonly string[] {
  return readFileSync(join(data, 'keys/checkpoint.pub'), 'utf8').trimEnd().split('\n')
}

function trusted(...keys: readonly string[]): string {
  const file = join(folder, 'trusted')
  writeFileSync(file, `# trusted\n${keys.join('\n')}\n`)
  return file
}

describe('the server', () => {
  test('signs what it has recorded, also while nothing happens, and at its end', async () => {
    await start()
    await until('three checkpoints', async () => (await checkpoints()).length >= 3)
    expect(await stop()).toBe(0)
    expect((await records()).slice(-2).map(({ type, data }) => [type, data['change']])).toEqual([
      ['io.countersign.trail.v1', 'closed'],
      ['io.countersign.checkpoint.v1', undefined],
    ])
    const key = parseVerifierKey(keptKeys()[0] ?? '')
    for (const { sequence, trail, data } of await checkpoints()) {
      const opened = openCheckpoint(String(data['note']), key.ok ? [key.value] : [])
      expect(opened).toMatchObject({ ok: true, checkpoint: { origin: trail, size: Number(sequence) - 1 } })
    }
  })

  test('names its public key in the first record of the trail, and in the log', async () => {
    const { process } = await start({ seed: 1 })
    await until('the first record', async () => (await checkpoints()).length > 0)
    const [first] = await records()
    expect(first?.data).toMatchObject({ change: 'opened', verifierKey: keptKeys()[0] })
    expect(process.output()).toContain(keptKeys()[0])
  })

  test('does not start with a key that others may have written, and leaves no trail', async () => {
    const settings = join(folder, 'settings.yaml')
    writeFileSync(settings, JSON.stringify({ data, checkpoint: { keyFile: keyFile(1, 0o666) } }))
    const { status, output } = await run('serve', '--config', settings)
    expect(status).toBe(2)
    expect(output).toMatch(/KEY_INVALID: checkpoint\.keyFile: .*1\.pem .*others than its owner may write it/)
    expect(existsSync(join(data, 'archive'))).toBe(false)
  })
})

describe('a record', () => {
  test('is proved while the server runs, and the proof holds with the public key alone', async () => {
    const id = await decide(await start())
    const proof = join(folder, 'decision.tlog-proof')
    await until('a proof', async () => (await run('prove', id, '--data', data, '--out', proof)).status === 0)
    const keys = trusted(...keptKeys())
    await stop()
    rmSync(data, { recursive: true })
    const { status, output } = await run('verify', '--proof', proof, '--keys', keys)
    expect({ status, output }).toMatchObject({ status: 0, output: expect.stringMatching(`Proven: decision ${id}`) })
  })

  test('that no checkpoint covers yet is not proved, and says so', async () => {
    const id = await decide(await start({ everyMs: 60_000 }))
    const { status, output } = await run('prove', id, '--data', data)
    expect(status).toBe(1)
    expect(output).toMatch(/Not proved yet: .* Try again after the next one/)
  })
})

test('after the key was changed, old trails and proofs hold with the old public key, and without it fail by name', async () => {
  const id = await decide(await start({ seed: 1 }))
  await stop()
  await start({ seed: 2 })
  await stop()
  const [old = '', fresh = ''] = keptKeys()
  const [first, second] = [...new Set((await records()).map(({ trail }) => trail))].sort()
  const proof = join(folder, 'proof')
  expect(await run('prove', id, '--data', data, '--out', proof)).toMatchObject({ status: 0 })

  const both = trusted(old, fresh)
  expect(await run('verify', '--data', data, '--keys', both)).toMatchObject({ status: 0 })
  expect(await run('verify', '--data', data)).toMatchObject({ status: 0 })
  expect(await run('verify', '--proof', proof, '--keys', both)).toMatchObject({ status: 0 })

  const freshAlone = trusted(fresh)
  const verified = await run('verify', '--data', data, '--keys', freshAlone, '--json')
  expect(verified.status).toBe(1)
  const { bad } = JSON.parse(verified.output) as { bad: readonly { trail: string; problem: string }[] }
  expect(bad.map(({ trail }) => trail)).toEqual([first])
  expect(bad[0]?.problem).toContain(`countersign (key ${old.split('+')[1] ?? ''})`)
  expect(second).not.toBe(first)
  expect(await run('verify', '--proof', proof, '--keys', freshAlone)).toMatchObject({
    status: 1,
    output: expect.stringContaining('no key that is trusted'),
  })
})
