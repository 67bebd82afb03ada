import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { policyKeygenCommand } from '../../src/cli/commands/policy-keygen.ts'
import { policySignCommand } from '../../src/cli/commands/policy-sign.ts'
import { readSigners, verifyManifest, type ManifestVerdict } from '../../src/policy/source/manifest.ts'
import { readSource } from '../../src/policy/source/source.ts'
import { modelText, swapConfigMap, temporaryFolder, writeFiles } from '../policy/policies.ts'
import { describeWith } from '../real/parts.ts'
import { runCommand, type Ran } from './run-command.ts'

const now = new Date('2026-11-22T10:00:00Z')
const files = { 'model.conf': modelText(), 'policy.csv': 'p, reader, /a, GET\ng, alice, reader\n' }

let folder = ''
let policy = ''
let key = ''

beforeEach(async () => {
  folder = temporaryFolder()
  policy = join(folder, 'policy')
  key = join(folder, 'key.pem')
  writeFiles(policy, files)
  await keygen(key)
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function keygen(...args: string[]): Promise<Ran> {
  return runCommand(policyKeygenCommand, args)
}

function sign(...args: string[]): Promise<Ran> {
  return runCommand((io) => policySignCommand(io, () => now), [policy, ...args])
}

function signByAna(...args: string[]): Promise<Ran> {
  return sign('--key', key, '--author', 'Ana Li', ...args)
}

/** What a server that lists these keys and requires a signature says of the folder. */
async function verdict(dir = policy, signers = [`${key}.pub`]): Promise<ManifestVerdict> {
  const { snapshot } = await readSource(dir)
  if (snapshot === undefined) throw new Error('the folder cannot be read')
  return verifyManifest(snapshot.manifest, snapshot, readSigners(signers), true)
}

function idOf(path: string): string | undefined {
  return readSigners([`${path}.pub`])[0]?.keyId
}

function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8)
}

describe('policy sign', () => {
  test('writes a manifest that a server believes, and says what was signed', async () => {
    const { out, err, exitCode } = await signByAna('--ticket', 'CHG-1')
    expect({ err, exitCode }).toEqual({ err: '', exitCode: 0 })
    const { snapshot } = await readSource(policy)
    expect(out).toBe(
      `
Signed.
version   ${String(snapshot?.policyVersion)}
files     model.conf, policy.csv
author    Ana Li
ticket    CHG-1
key       ${String(idOf(key))}
manifest  ${join(policy, 'manifest.json')}
`.trimStart(),
    )
    expect(await verdict()).toEqual({
      author: { author: 'Ana Li', ticket: 'CHG-1', signedAt: '2026-11-22T10:00:00.000Z', signedBy: [idOf(key)] },
      problems: [],
      warnings: [],
    })
  })

  test('prints one JSON object with --json', async () => {
    const { out } = await signByAna('--json')
    const { snapshot } = await readSource(policy)
    expect(JSON.parse(out)).toEqual({
      policyVersion: snapshot?.policyVersion,
      files: snapshot?.files.map(({ name, sha256 }) => ({ name, sha256 })),
      author: 'Ana Li',
      ticket: null,
      signedAt: '2026-11-22T10:00:00.000Z',
      signedBy: [idOf(key)],
      manifest: join(policy, 'manifest.json'),
    })
  })

  test('replaces the manifest in one step, whatever it was, for everybody to read', async () => {
    writeFiles(policy, { 'manifest.json': 'x'.repeat(300_000) })
    chmodSync(join(policy, 'manifest.json'), 0o600)
    const before = process.umask(0o077)
    try {
      expect((await signByAna()).exitCode).toBe(0)
    } finally {
      process.umask(before)
    }
    expect((await verdict()).author?.author).toBe('Ana Li')
    expect(modeOf(join(policy, 'manifest.json'))).toBe('644')
    expect(readdirSync(policy).sort()).toEqual(['manifest.json', 'model.conf', 'policy.csv'])
  })

  test('leaves the old manifest whole for whoever is just reading it', async () => {
    await signByAna()
    const before = readFileSync(join(policy, 'manifest.json'), 'utf8')
    const open = openSync(join(policy, 'manifest.json'), 'r')
    try {
      await signByAna('--ticket', 'CHG-2')
      expect(readFileSync(open, 'utf8')).toBe(before)
    } finally {
      closeSync(open)
    }
    expect((await verdict()).author?.ticket).toBe('CHG-2')
  })

  test('signs again after a change, whatever the manifest of before says', async () => {
    await signByAna()
    writeFiles(policy, { 'more.csv': '' })
    expect((await verdict()).problems).toHaveLength(1)
    expect(await signByAna()).toMatchObject({ err: '', exitCode: 0 })
    expect((await verdict()).problems).toEqual([])
  })

  test('signs with each of several keys, and once with one that is given twice', async () => {
    const other = join(folder, 'other.pem')
    await keygen(other)
    await signByAna('--key', other, '--key', key)
    expect((await verdict()).author?.signedBy).toEqual([idOf(key)])
    expect((await verdict(policy, [`${other}.pub`])).author?.signedBy).toEqual([idOf(other)])
    const { signatures } = JSON.parse(readFileSync(join(policy, 'manifest.json'), 'utf8')) as { signatures: unknown[] }
    expect(signatures).toHaveLength(2)
  })

  test('does not sign a policy with problems: it names them, and leaves the old manifest alone', async () => {
    await signByAna()
    const before = readFileSync(join(policy, 'manifest.json'))
    writeFiles(policy, { 'policy.csv': '\np, a, /a' })
    const { out, err, exitCode } = await signByAna()
    expect({ out, exitCode }).toEqual({ out: '', exitCode: 1 })
    expect(err).toMatch(
      /^policy\.csv:2:\d+: .*\[ROW_TOO_SHORT\]\nThe policy in .* has 1 problem .*\nNothing was signed\.\n$/,
    )
    expect(readFileSync(join(policy, 'manifest.json'))).toEqual(before)
  })

  test('does not sign a folder that is not there', async () => {
    rmSync(policy, { recursive: true })
    const { err, exitCode } = await signByAna()
    expect(exitCode).toBe(1)
    expect(err).toContain('[FOLDER_UNREADABLE]')
  })

  test('writes elsewhere with --out', async () => {
    const path = join(folder, 'signed.json')
    expect((await signByAna('--out', path)).out).toContain(`manifest  ${path}\n`)
    expect(existsSync(join(policy, 'manifest.json'))).toBe(false)
    writeFiles(policy, { 'manifest.json': readFileSync(path) })
    expect((await verdict()).problems).toEqual([])
  })

  test('refuses to write into a mounted ConfigMap, where nobody would read it', async () => {
    const mounted = join(folder, 'mounted')
    mkdirSync(mounted)
    swapConfigMap(mounted, 1, files)
    symlinkSync('..data/model.conf', join(mounted, 'model.conf'))
    policy = mounted
    await expect(signByAna()).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('--out') })
    const path = join(folder, 'signed.json')
    expect((await signByAna('--out', path)).exitCode).toBe(0)
    swapConfigMap(mounted, 2, { ...files, 'manifest.json': readFileSync(path, 'utf8') })
    expect((await verdict()).problems).toEqual([])
  })

  test('says where it cannot write, and leaves nothing behind', async () => {
    mkdirSync(join(folder, 'taken'))
    await expect(signByAna('--out', join(folder, 'taken'))).rejects.toMatchObject({ code: 'USAGE' })
    await expect(signByAna('--out', join(folder, 'none', 'x'))).rejects.toThrow(/--out: .* cannot be written: .*ENOENT/)
    expect(readdirSync(folder).sort()).toEqual(['key.pem', 'key.pem.pub', 'policy', 'taken'])
  })

  test('warns of a private key that everybody may read, and signs all the same', async () => {
    chmodSync(key, 0o644)
    const { err, exitCode } = await signByAna()
    expect(exitCode).toBe(0)
    expect(err).toBe(`Warning: ${key}: everybody on this machine may open the private key (mode 0644); chmod 600 it\n`)
  })

  test.each([
    ['no key file', 'none.pem', 'ENOENT'],
    ['a public key', 'key.pem.pub', 'it holds PUBLIC KEY; allowed: a PRIVATE KEY (PKCS #8)'],
    ['a file without a key', 'policy/policy.csv', 'it does not hold exactly one key in PEM'],
  ])('refuses %s', async (_, name, why) => {
    const path = join(folder, name)
    await expect(sign('--key', path, '--author', 'Ana')).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(`--key: ${path} cannot be used: `),
    })
    await expect(sign('--key', path, '--author', 'Ana')).rejects.toThrow(why)
  })

  test.each([
    ['no author', ['--key', 'x'], "required option '--author <name>'"],
    ['no key', ['--author', 'Ana'], "required option '--key <file>'"],
    ['an empty author', ['--key', 'x', '--author', ' '], 'it is empty'],
    ['a ticket of two lines', ['--key', 'x', '--author', 'Ana', '--ticket', 'a\nb'], 'it holds a control character'],
    ['a second folder', ['x', '--key', 'x', '--author', 'Ana'], 'too many arguments'],
    ['an unknown flag', ['--key', 'x', '--author', 'Ana', '--nonsense'], "unknown option '--nonsense'"],
  ])('ends with 2 on %s', async (_, args, why) => {
    const { err, exitCode } = await sign(...args)
    expect(exitCode).toBe(2)
    expect(err).toContain(why)
  })
})

describe('policy keygen', () => {
  test('makes a key pair, and says which is which', async () => {
    const path = join(folder, 'new.pem')
    const { out, err, exitCode } = await keygen(path)
    expect({ err, exitCode }).toEqual({ err: '', exitCode: 0 })
    expect(out).toBe(
      `private   ${path}  (keep it secret: sign with --key ${path})\n` +
        `public    ${path}.pub  (list it in policy.signers)\nkey       ${String(idOf(path))}\n`,
    )
    expect([modeOf(path), modeOf(`${path}.pub`)]).toEqual(['600', '644'])
  })

  test('overwrites nothing', async () => {
    const before = readFileSync(key)
    await expect(keygen(key)).rejects.toMatchObject({ code: 'USAGE' })
    expect(readFileSync(key)).toEqual(before)
    writeFiles(folder, { 'b.pem.pub': 'mine' })
    await expect(keygen(join(folder, 'b.pem'))).rejects.toThrow(/b\.pem\.pub cannot be made: .*EEXIST/)
    expect(existsSync(join(folder, 'b.pem'))).toBe(false)
  })
})

describeWith('openssl', 'policy sign with keys that openssl made', () => {
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' })
  const made = (): string => join(folder, 'made.pem')

  test('takes an Ed25519 key', async () => {
    openssl('genpkey', '-algorithm', 'ed25519', '-out', 'made.pem')
    openssl('pkey', '-in', 'made.pem', '-pubout', '-out', 'made.pem.pub')
    expect(await sign('--key', made(), '--author', 'Ana')).toMatchObject({ err: '', exitCode: 0 })
    expect((await verdict(policy, [`${made()}.pub`])).author?.signedBy).toEqual([idOf(made())])
  })

  test.each([
    ['an elliptic-curve key', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'is ec; allowed: ed25519'],
    ['an X25519 key', ['-algorithm', 'x25519'], 'is x25519; allowed: ed25519'],
    ['an encrypted key', ['-algorithm', 'ed25519', '-aes256', '-pass', 'pass:x'], 'the key is encrypted'],
  ])('refuses %s', async (_, args, why) => {
    openssl('genpkey', ...args, '-out', 'made.pem')
    await expect(sign('--key', made(), '--author', 'Ana')).rejects.toThrow(why)
  })
})
