import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { createCheckpointSigner } from '../../src/audit/checkpoint.ts'
import { proveCommand } from '../../src/cli/commands/prove.ts'
import { verifyCommand } from '../../src/cli/commands/verify.ts'
import { checkpointHere, signedTrail } from '../archive/signed-trails.ts'
import { asPrevious, decisionOf, decisions, idOf, makeTrail } from '../archive/trails.ts'
import { signer, signingKeyPem } from '../cases/signing-key.ts'
import { TestData } from '../readers/data-folder.ts'
import { runCommand, type Ran } from './run-command.ts'

const trail = `web-0-${idOf(1)}`
const records = signedTrail({ trail }, [...decisions(4), checkpointHere, ...decisions(1, 300)])
const other = createCheckpointSigner('countersign', signingKeyPem(8))
let data: TestData
let keys = ''

beforeEach(async () => {
  data = new TestData()
  await data.archive(records)
  mkdirSync(join(data.dir, 'keys'))
  keys = written('keys/checkpoint.pub', `${signer.verifierKey}\n`)
})

afterEach(() => {
  data[Symbol.dispose]()
})

function written(name: string, text: string): string {
  writeFileSync(join(data.dir, name), text)
  return join(data.dir, name)
}

function run(...args: readonly string[]): Promise<Ran> {
  return runCommand(proveCommand, ['--data', data.dir, ...args])
}

function check({ proof, keys, json }: { proof: string; keys?: string; json?: true }): Promise<Ran> {
  const trusted = keys === undefined ? [] : ['--keys', keys]
  return runCommand(verifyCommand, ['--proof', proof, ...trusted, ...(json === true ? ['--json'] : [])])
}

describe('prove', () => {
  test('writes a proof that an auditor checks with the public key and nothing else', async () => {
    const proof = join(data.dir, 'decision.tlog-proof')
    const { out, err, exitCode } = await run(idOf(102), '--out', proof)
    expect({ err, exitCode }).toEqual({ err: '', exitCode: 0 })
    expect(out).toBe(
      [
        `Proved: decision ${idOf(102)} (allow, ALLOWED_BY_RULE), record 0000000000000004 of trail ${trail}, by the checkpoint of the first 5 records.`,
        `Signed by ${signer.verifierKey}`,
        `Written to ${proof}. Check it with: countersign verify --proof ${proof} --keys FILE`,
        '',
      ].join('\n'),
    )
    expect(await check({ proof, keys: written('trusted', signer.verifierKey) })).toEqual({
      out: `Proven: decision ${idOf(102)} (allow, ALLOWED_BY_RULE), record 0000000000000004 of trail ${trail},\n  recorded 2026-11-22T10:00:03.000Z, is among the first 5 records that ${signer.verifierKey} signed.\n`,
      err: '',
      exitCode: 0,
    })
  })

  test('writes it for its owner alone: it holds the record', async () => {
    const proof = join(data.dir, 'decision.tlog-proof')
    await run(idOf(102), '--out', proof)
    expect(statSync(proof).mode & 0o777).toBe(0o600)
  })

  test('prints nothing but the proof where no file is named, and what it proves beside it', async () => {
    const { out, err, exitCode } = await run(idOf(102))
    expect(exitCode).toBe(0)
    expect(err).toMatch(/^Proved: decision .*\nSigned by countersign\+[0-9a-f]{8}\+/)
    expect((await check({ proof: written('printed', out), keys })).exitCode).toBe(0)
  })

  test('proves a superseded decision by both its records, in one file', async () => {
    const late = { ...decisionOf({ number: 700, deny: 'AUDIT_UNAVAILABLE' }), id: idOf(701) }
    const next = signedTrail({ trail: `web-0-${idOf(2)}`, previous: asPrevious(records) }, [
      decisionOf({ number: 700 }),
      { ...late, data: { ...late.data, supersedes: true } },
      checkpointHere,
    ])
    await data.archive(next)
    const { out, exitCode } = await run(idOf(700))
    expect(exitCode).toBe(0)
    expect(out.match(/^c2sp\.org\/tlog-proof@v1$/gm)).toHaveLength(2)
    const checked = await check({ proof: written('both', out), keys })
    expect(checked.exitCode).toBe(0)
    expect(checked.out.match(/^Proven: .*$/gm)).toEqual([
      expect.stringContaining('(allow, ALLOWED_BY_RULE), record 0000000000000002'),
      expect.stringContaining('(deny, AUDIT_UNAVAILABLE, supersedes the record before), record 0000000000000003'),
    ])
  })

  test('says when to try again where no checkpoint covers the record yet, status 1', async () => {
    const { out, err, exitCode } = await run(idOf(300))
    expect({ out, exitCode }).toEqual({ out: '', exitCode: 1 })
    expect(err).toMatch(/^Not proved yet: decision .* no checkpoint .* Try again after the next one/)
  })

  test('says that none will come where the trail has ended without one', async () => {
    await data.archive(makeTrail({ trail: `web-0-${idOf(2)}`, previous: asPrevious(records) }, []))
    expect((await run(idOf(300))).err).toMatch(/ended by force, so none will: the hash that the next trail names/)
  })

  test('names an id that is not there, status 1', async () => {
    const { out, err, exitCode } = await run('0197a000-dead-7000-8000-000000000000')
    expect({ out, exitCode }).toEqual({ out: '', exitCode: 1 })
    expect(err).toMatch(/^No record of 0197a000-dead-7000-8000-000000000000 in .*countersign query/)
  })

  test('does not let an id write to the terminal', async () => {
    expect((await run('\u001b[2J')).err).toContain('No record of \\u{1b}[2J in')
  })

  test('names the place where the trail is broken, status 1', async () => {
    const path = `archive/2026-11-22/${trail}.0000000000000001.ndjson`
    written(path, readFileSync(join(data.dir, path), 'utf8').replace('"/orders/1"', '"/orders/2"'))
    const { err, exitCode } = await run(idOf(102))
    expect(exitCode).toBe(1)
    expect(err).toMatch(
      new RegExp(`^Not proved: .* the trail is not whole, at ${path}:3: the bytes .*countersign verify`),
    )
  })

  test('warns where the data folder has no key that signed', async () => {
    written('keys/checkpoint.pub', `${other.verifierKey}\n`)
    const { err, exitCode } = await run(idOf(102))
    expect(exitCode).toBe(0)
    expect(err).toMatch(/Warning: .*checkpoint\.pub has no key that signed it: the signature was not checked/)
  })

  test('is status 2 with a data folder that is none, a file that cannot be written, or no id', async () => {
    expect(await runCommand(proveCommand, [idOf(102), '--data', join(data.dir, 'absent')])).toMatchObject({
      out: '',
      err: expect.stringContaining('ARCHIVE_UNREADABLE'),
      exitCode: 2,
    })
    await expect(run(idOf(102), '--out', join(data.dir, 'absent', 'proof'))).rejects.toMatchObject({ code: 'USAGE' })
    expect(await run()).toMatchObject({ exitCode: 2 })
  })
})

describe('verify --proof', () => {
  async function proof(): Promise<string> {
    return written('proof', (await run(idOf(102))).out)
  }

  test('claims nothing without keys, status 2', async () => {
    expect(await check({ proof: await proof() })).toEqual({
      out: '',
      err: 'USAGE: --proof needs --keys FILE: without a trusted key, a proof proves nothing\n',
      exitCode: 2,
    })
  })

  test('does not need a data folder', async () => {
    const [file, trusted] = [await proof(), written('trusted', signer.verifierKey)]
    const kept = [readFileSync(file), readFileSync(trusted)] as const
    data[Symbol.dispose]()
    data = new TestData()
    writeFileSync(join(data.dir, 'proof'), kept[0])
    const checked = await check({ proof: join(data.dir, 'proof'), keys: written('trusted', kept[1].toString()) })
    expect(checked.exitCode).toBe(0)
  })

  test('does not believe a key that is not listed, status 1', async () => {
    expect(await check({ proof: await proof(), keys: written('trusted', other.verifierKey) })).toMatchObject({
      out: expect.stringMatching(/^NOT PROVEN: .*signed by countersign \(key [0-9a-f]{8}\), no key that is trusted/),
      exitCode: 1,
    })
  })

  test('finds an altered record, also among proofs that hold, status 1', async () => {
    const text = readFileSync(await proof(), 'utf8')
    const line = (records[3]?.line ?? '').replace('/orders/2', '/orders/7')
    const forged = text.replace(/^extra .*$/m, `extra ${Buffer.from(line).toString('base64')}`)
    const checked = await check({ proof: written('both', text + forged), keys })
    expect(checked.exitCode).toBe(1)
    expect(checked.out.match(/^(Proven|NOT PROVEN)/gm)).toEqual(['Proven', 'NOT PROVEN'])
  })

  test('is status 1 for what is no proof', async () => {
    for (const text of ['', 'hello', Buffer.of(0xff, 0xfe)]) {
      writeFileSync(join(data.dir, 'proof'), text)
      expect(await check({ proof: join(data.dir, 'proof'), keys })).toMatchObject({
        out: expect.stringMatching(/^NOT PROVEN: .*proof is no proof: it does not begin with/),
        exitCode: 1,
      })
    }
  })

  test('is status 2 where proof or keys cannot be read, with the line of a key that is none', async () => {
    expect(await check({ proof: join(data.dir, 'absent'), keys })).toMatchObject({
      err: expect.stringMatching(/^USAGE: --proof: .*absent cannot be read/),
      exitCode: 2,
    })
    const bad = written('trusted', `${signer.verifierKey}\nx\ny\n`)
    const checked = await check({ proof: await proof(), keys: bad })
    expect(checked).toMatchObject({ out: '', exitCode: 2 })
    expect(checked.err.match(/^KEY_INVALID: .*trusted:(\d):/gm)).toHaveLength(2)
  })

  test.each([
    [['--state', 'x']],
    [['--checkpoints', 'x']],
    [['--data', 'x']],
    [['--kafka', 'x:1']],
    [['export.ndjson']],
  ])('is alone: with %j beside it, status 2', async (more) => {
    expect(await runCommand(verifyCommand, ['--proof', await proof(), '--keys', keys, ...more])).toMatchObject({
      out: '',
      err: expect.stringMatching(/^USAGE: /),
      exitCode: 2,
    })
  })

  test('prints one JSON object with --json', async () => {
    const file = await proof()
    expect(JSON.parse((await check({ proof: file, keys, json: true })).out)).toEqual({
      verdict: 'proven',
      proofs: [
        {
          proven: true,
          trail,
          sequence: 4,
          hash: records[3]?.hash,
          size: 5,
          signedBy: signer.verifierKey,
          record: JSON.parse(records[3]?.line ?? '') as unknown,
        },
      ],
    })
    expect(JSON.parse((await check({ proof: file, keys: written('t', other.verifierKey), json: true })).out)).toEqual({
      verdict: 'not-proven',
      proofs: [{ proven: false, problem: expect.stringContaining('no key that is trusted') }],
    })
  })
})
