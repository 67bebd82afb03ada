import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { createCheckpointSigner, openCheckpoint } from '../../src/audit/checkpoint.ts'
import { openSigningKey, verifierKeysFile } from '../../src/keys/signing-key.ts'
import { readVerifierKeys } from '../../src/keys/verifier-keys.ts'
import { signer, signingKeyPem } from '../cases/signing-key.ts'

let folder = ''
let dir = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-keys-'))
  dir = join(folder, 'data', 'keys')
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const keyName = 'countersign'

/** A key file as an operator brings it. */
function brought(text: string, mode = 0o600, path = join(folder, 'brought.pem')): string {
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

function modeOf(path: string): number {
  return statSync(path).mode & 0o777
}

function refused(code: string, message: RegExp): unknown {
  return expect.objectContaining({ code, message: expect.stringMatching(message) })
}

describe('a key of its own', () => {
  test('is made at the first start, for its owner alone, and found at the next one', () => {
    const first = openSigningKey({ keyName, dir })
    expect(first).toMatchObject({ made: true, warnings: [] })
    expect([modeOf(dir), modeOf(join(dir, 'checkpoint.key'))]).toEqual([0o700, 0o600])
    expect(createPrivateKey(first.privateKey).asymmetricKeyType).toBe('ed25519')
    expect(openSigningKey({ keyName, dir })).toEqual({ ...first, made: false })
  })

  test('is another one in another data folder', () => {
    const elsewhere = openSigningKey({ keyName, dir: join(folder, 'elsewhere') })
    expect(openSigningKey({ keyName, dir }).verifierKey).not.toBe(elsewhere.verifierKey)
  })

  test('leaves nothing else in its folder', () => {
    openSigningKey({ keyName, dir })
    expect(readdirSync(dir).sort()).toEqual(['checkpoint.key', 'checkpoint.pub'])
  })

  test('signs what its public half, which is kept beside it, opens', () => {
    const key = openSigningKey({ keyName, dir })
    const checkpoint = { origin: 'a-trail', size: 1, root: Buffer.alloc(32) }
    const note = createCheckpointSigner(key.keyName, key.privateKey).sign(checkpoint)
    const keys = readVerifierKeys(verifierKeysFile(dir))
    expect(keys.map(({ text }) => text)).toEqual([key.verifierKey])
    expect(openCheckpoint(note, keys)).toMatchObject({ ok: true, checkpoint })
  })

  test.each([
    ['that is none', 'no key\n', /exactly one key in PEM/],
    ['that is empty, as a full disk leaves one', '', /exactly one key in PEM/],
  ])('%s is never replaced', (_, text, message) => {
    mkdirSync(dir, { recursive: true })
    const path = brought(text, 0o600, join(dir, 'checkpoint.key'))
    expect(() => openSigningKey({ keyName, dir })).toThrow(refused('KEY_INVALID', message))
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  test('is taken back from the group, which a volume of a pod may give it to', () => {
    const { verifierKey } = openSigningKey({ keyName, dir })
    chmodSync(join(dir, 'checkpoint.key'), 0o660)
    expect(openSigningKey({ keyName, dir })).toMatchObject({ verifierKey, warnings: [] })
    expect(modeOf(join(dir, 'checkpoint.key'))).toBe(0o600)
  })

  test('is refused where everybody may have written it', () => {
    openSigningKey({ keyName, dir })
    chmodSync(join(dir, 'checkpoint.key'), 0o666)
    expect(() => openSigningKey({ keyName, dir })).toThrow(
      refused('KEY_INVALID', /everybody may write it \(mode 0666\)/),
    )
  })

  test('is not made where its folder cannot be', () => {
    writeFileSync(join(folder, 'data'), '')
    expect(() => openSigningKey({ keyName, dir })).toThrow(refused('KEY_INVALID', /checkpoint\.key cannot be used/))
  })
})

describe('a key that the settings name', () => {
  test('is read, and never written to', () => {
    const file = brought(signingKeyPem(), 0o400)
    const key = openSigningKey({ file, keyName, dir })
    expect(key).toEqual({
      keyName,
      privateKey: signingKeyPem(),
      verifierKey: signer.verifierKey,
      made: false,
      warnings: [],
    })
    expect([modeOf(file), readFileSync(file, 'utf8')]).toEqual([0o400, signingKeyPem()])
    expect(readdirSync(dir)).toEqual(['checkpoint.pub'])
  })

  test('and is absent is refused, not made', () => {
    const file = join(folder, 'absent.pem')
    expect(() => openSigningKey({ file, keyName, dir })).toThrow(
      refused('KEY_INVALID', /absent\.pem cannot be used: .*ENOENT/),
    )
    expect(readdirSync(folder)).not.toContain('absent.pem')
  })

  test.each([0o620, 0o602, 0o666])('is refused with mode %o: others may write it', (mode) => {
    const file = brought(signingKeyPem(), mode)
    expect(() => openSigningKey({ file, keyName, dir })).toThrow(
      refused('KEY_INVALID', /others than its owner may write it \(mode 0\d{3}\); chmod go-w it/),
    )
  })

  test('is used with a warning where everybody may read it', () => {
    const file = brought(signingKeyPem(), 0o644)
    expect(openSigningKey({ file, keyName, dir }).warnings).toEqual([
      `everybody on this machine may read the signing key ${file} (mode 0644); chmod 600 it`,
    ])
  })

  test('may be read by a group, such as that of a pod', () => {
    expect(openSigningKey({ file: brought(signingKeyPem(), 0o640), keyName, dir }).warnings).toEqual([])
  })

  test('may be a mounted Secret as it comes: behind links, and readable', () => {
    const mount = join(folder, 'secret')
    mkdirSync(join(mount, '..2026_11_22'), { recursive: true })
    brought(signingKeyPem(), 0o644, join(mount, '..2026_11_22', 'tls.key'))
    symlinkSync('..2026_11_22', join(mount, '..data'))
    symlinkSync('..data/tls.key', join(mount, 'tls.key'))
    expect(openSigningKey({ file: join(mount, 'tls.key'), keyName, dir })).toMatchObject({
      verifierKey: signer.verifierKey,
      warnings: [],
    })
  })

  test.each([
    [
      'another kind of key',
      () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
      /is rsa; allowed: ed25519/,
    ],
    ['a public key', () => generateKeyPairSync('ed25519').publicKey, /it holds PUBLIC KEY; allowed: a PRIVATE KEY/],
  ])('is refused where it is %s', (_, make, message) => {
    const key = make()
    const text = key.export({ type: key.type === 'public' ? 'spki' : 'pkcs8', format: 'pem' } as never).toString()
    expect(() => openSigningKey({ file: brought(text), keyName, dir })).toThrow(refused('KEY_INVALID', message))
  })

  test.each([
    ['two keys', signingKeyPem(1) + signingKeyPem(2), /exactly one key/],
    ['a damaged one', signingKeyPem().replace('MC4', 'MD4'), /cannot be read/],
    ['half a one', signingKeyPem().slice(0, 60), /not whole/],
    ['far too much', signingKeyPem() + ' '.repeat(64 * 1024), /too long for a key/],
  ])('is refused where the file holds %s', (_, text, message) => {
    expect(() => openSigningKey({ file: brought(text), keyName, dir })).toThrow(refused('KEY_INVALID', message))
  })

  test('is refused where it is a folder', () => {
    expect(() => openSigningKey({ file: folder, keyName, dir })).toThrow(refused('KEY_INVALID', /it is no file/))
  })

  test('never shows in a message', () => {
    const secret = 'MC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH'
    const text = `-----BEGIN PRIVATE KEY-----\n${secret}x\n-----END PRIVATE KEY-----\n`
    expect(() => openSigningKey({ file: brought(text), keyName, dir })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('MC4C') }),
    )
  })
})

describe('the list of public keys', () => {
  test('keeps each key that was ever used, once, in order', () => {
    const files = [1, 2].map((seed) => brought(signingKeyPem(seed), 0o600, join(folder, `${seed}.pem`)))
    const [first, second] = [files[0], files[1], files[0], files[1]].map(
      (file) => openSigningKey({ file: file as string, keyName, dir }).verifierKey,
    )
    expect(readFileSync(verifierKeysFile(dir), 'utf8')).toBe(`${first ?? ''}\n${second ?? ''}\n`)
  })

  test('tells a key under another name apart', () => {
    const file = brought(signingKeyPem())
    openSigningKey({ file, keyName, dir })
    openSigningKey({ file, keyName: 'countersign/eu', dir })
    expect(readVerifierKeys(verifierKeysFile(dir)).map(({ name }) => name)).toEqual(['countersign', 'countersign/eu'])
  })

  test('loses a line that a start before left cut short, and nothing else', () => {
    const file = brought(signingKeyPem(1))
    const { verifierKey } = openSigningKey({ file, keyName, dir })
    writeFileSync(verifierKeysFile(dir), signer.verifierKey.slice(0, 30), { flag: 'a' })
    openSigningKey({ file: brought(signingKeyPem()), keyName, dir })
    expect(readFileSync(verifierKeysFile(dir), 'utf8')).toBe(`${verifierKey}\n${signer.verifierKey}\n`)
  })

  test('keeps what somebody wrote beside the keys', () => {
    mkdirSync(dir, { recursive: true })
    writeFileSync(verifierKeysFile(dir), `# of the old cluster\n${signer.verifierKey}\r\n`)
    openSigningKey({ file: brought(signingKeyPem()), keyName, dir })
    expect(readFileSync(verifierKeysFile(dir), 'utf8')).toBe(`# of the old cluster\n${signer.verifierKey}\r\n`)
  })

  test('is needed: a key whose public half cannot be kept is not used', () => {
    mkdirSync(verifierKeysFile(dir), { recursive: true })
    expect(() => openSigningKey({ keyName, dir })).toThrow(refused('KEY_INVALID', /EISDIR/))
  })
})
