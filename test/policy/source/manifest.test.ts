import { execFileSync } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  authorText,
  manifestType,
  maxNameLength,
  signManifest,
  verifyManifest,
  type ManifestVerdict,
} from '../../../src/policy/source/manifest.ts'
import { maxSignatures, preAuthEncoding, signEnvelope } from '../../../src/policy/source/manifest-envelope.ts'
import {
  newSigningKey,
  readSigners,
  readSigningKey,
  signerOf,
  type SigningKey,
} from '../../../src/policy/source/manifest-keys.ts'
import { readSource } from '../../../src/policy/source/source.ts'
import { sourceKey } from '../../../src/policy/source/watch.ts'
import { describeWith } from '../../real/parts.ts'
import { modelText, snapshot, swapConfigMap, temporaryFolder, writeFiles } from '../policies.ts'

const ana = makeKey()
const ben = makeKey()
const mallory = makeKey()
const files = { 'model.conf': modelText(), 'policy.csv': 'p, alice, /a, GET\n' }
const policy = snapshot(files)
const claim = { author: 'Ana Li', ticket: 'CHG-1', signedAt: new Date('2026-11-22T10:00:00Z') }
const signed = signManifest(policy, claim, [ana])

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

function makeKey(): SigningKey {
  const { privatePem, keyId } = newSigningKey()
  return { keyId, key: createPrivateKey(privatePem) }
}

interface Given {
  readonly text?: string | undefined
  readonly of?: typeof policy
  readonly listed?: readonly SigningKey[]
  readonly required?: boolean
}

function verdict({ listed = [ana], required = true, of = policy, ...given }: Given = {}): ManifestVerdict {
  return verifyManifest('text' in given ? given.text : signed, of, listed.map(signerOf), required)
}

function codes({ problems }: ManifestVerdict): unknown {
  return problems.map(({ file, code }) => [file, code])
}

/** The envelope with some of its members replaced. */
function altered(members: object, text = signed): string {
  return JSON.stringify({ ...(JSON.parse(text) as object), ...members })
}

/** An envelope that a listed key signed, whatever stands in it. */
function anaSigns(payload: object | string, type = manifestType): string {
  return signEnvelope(type, Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)), [ana])
}

const payload = {
  policyVersion: policy.policyVersion,
  files: policy.files.map(({ name, sha256 }) => ({ name, sha256 })),
  author: 'Ana Li',
  ticket: 'CHG-1',
  signedAt: '2026-11-22T10:00:00Z',
}

describe('a manifest', () => {
  test('names author, ticket, time and key where a listed key signed these files', () => {
    expect(verdict()).toEqual({
      author: { author: 'Ana Li', ticket: 'CHG-1', signedAt: '2026-11-22T10:00:00.000Z', signedBy: [ana.keyId] },
      problems: [],
      warnings: [],
    })
    expect(verdict({ required: false })).toEqual(verdict())
  })

  test('is shown in one line', () => {
    const author = { author: 'Ana Li', ticket: 'CHG-1', signedAt: '', signedBy: ['0123456789abcdef01', 'ff'] }
    expect(authorText(author)).toBe('Ana Li (CHG-1), signed by 0123456789abcdef, ff')
    expect(authorText({ ...author, ticket: null })).toBe('Ana Li, signed by 0123456789abcdef, ff')
  })

  test('may have no ticket', () => {
    const text = signManifest(policy, { ...claim, ticket: null }, [ana])
    expect(verdict({ text }).author?.ticket).toBeNull()
    expect(verdict({ text: anaSigns({ ...payload, ticket: undefined }) }).author?.ticket).toBeNull()
  })

  test('that is not there is a problem only where one is required', () => {
    expect(verdict({ text: undefined, required: false })).toEqual({ author: null, problems: [], warnings: [] })
    expect(codes(verdict({ text: undefined }))).toEqual([['manifest.json', 'SIGNATURE_MISSING']])
  })

  test('by an unlisted key is refused where a signature is required; else nobody is named, and a warning says so', () => {
    const text = signManifest(policy, claim, [mallory])
    expect(codes(verdict({ text }))).toEqual([['manifest.json', 'SIGNER_UNKNOWN']])
    expect(codes(verdict({ text, listed: [] }))).toEqual([['manifest.json', 'SIGNER_UNKNOWN']])
    for (const listed of [[ana], []]) {
      const { author, problems, warnings } = verdict({ text, listed, required: false })
      expect({ author, problems }).toEqual({ author: null, problems: [] })
      expect(warnings).toMatchObject([{ file: 'manifest.json', code: 'MANIFEST_UNVERIFIED' }])
    }
  })

  test('holds while keys are rotated: one listed key of several is enough, and only those that signed are named', () => {
    const byBoth = signManifest(policy, claim, [ana, ben])
    expect(verdict({ text: byBoth, listed: [ana] }).author?.signedBy).toEqual([ana.keyId])
    expect(verdict({ text: byBoth, listed: [ben] }).author?.signedBy).toEqual([ben.keyId])
    expect(verdict({ text: byBoth, listed: [ana, ben] }).author?.signedBy).toEqual([ana.keyId, ben.keyId])
    expect(verdict({ listed: [ana, ben] }).author?.signedBy).toEqual([ana.keyId])
    expect(codes(verdict({ listed: [ben] }))).toEqual([['manifest.json', 'SIGNER_UNKNOWN']])
  })

  test('may be in URL-safe base64 and without key ids', () => {
    const { payload: body, signatures } = JSON.parse(signed) as { payload: string; signatures: { sig: string }[] }
    const urlSafe = (text: string): string => Buffer.from(text, 'base64').toString('base64url')
    const text = altered({
      payload: urlSafe(body),
      signatures: signatures.map(({ sig }) => ({ sig: urlSafe(sig) })),
    })
    expect(verdict({ text }).author).toEqual(verdict().author)
  })
})

describe.each([true, false])('with a signature required: %p, a manifest of other files', (required) => {
  test.each([
    ['was changed', { ...files, 'policy.csv': 'p, mallory, /a, GET\n' }, ['policy.csv']],
    ['was added', { ...files, 'more.csv': '' }, ['more.csv']],
    ['was added (tests)', { ...files, 'tests.yaml': '[]' }, ['tests.yaml']],
    ['was removed', { 'model.conf': files['model.conf'] }, ['manifest.json']],
    [
      'was renamed',
      { 'model.conf': files['model.conf'], 'other.csv': files['policy.csv'] },
      ['other.csv', 'manifest.json'],
    ],
  ])('names the file that %s', (_, changed: Record<string, string>, named) => {
    const found = verdict({ of: snapshot(changed), required })
    expect(found).toMatchObject({ author: null, warnings: [] })
    expect(codes(found)).toEqual(named.map((file) => [file, 'SIGNATURE_INVALID']))
    expect(found.problems[0]?.message).toContain('countersign policy sign')
  })

  test('tells a file that was added from one that was changed', () => {
    const of = snapshot({ 'model.conf': '', 'policy.csv': files['policy.csv'], 'more.csv': '' })
    expect(verdict({ of, required }).problems.map(({ file, message }) => `${file}: ${message}`)).toEqual([
      expect.stringContaining('model.conf: the file is not the one that was signed'),
      expect.stringContaining('more.csv: the manifest does not cover the file'),
    ])
  })

  test('names a file that is missing', () => {
    const { problems } = verdict({ of: snapshot({ 'model.conf': files['model.conf'] }), required })
    expect(problems[0]?.message).toContain('"policy.csv", which is not there')
  })

  test('is refused where the files fit and the version does not', () => {
    const text = anaSigns({ ...payload, policyVersion: 'sha256:00' })
    expect(codes(verdict({ text, required }))).toEqual([['manifest.json', 'SIGNATURE_INVALID']])
  })

  test('is refused where nobody is listed', () => {
    const of = snapshot({ ...files, 'more.csv': '' })
    const code = required ? 'SIGNER_UNKNOWN' : 'SIGNATURE_INVALID'
    expect(verdict({ of, listed: [], required }).problems).toMatchObject([{ code }])
  })
})

describe.each([true, false])(
  'with a signature required: %p, a forged or broken manifest is refused that',
  (required) => {
    const { payload: body, signatures } = JSON.parse(signed) as { payload: string; signatures: [{ sig: string }] }
    const other = JSON.parse(signManifest(policy, { ...claim, author: 'Ben' }, [ben])) as { payload: string }
    const byMallory = JSON.parse(signManifest(policy, claim, [mallory])) as { signatures: { sig: string }[] }

    test.each([
      ['is empty', ''],
      ['is no JSON', signed.slice(0, -4)],
      ['is no object', '[]'],
      ['is null', 'null'],
      ['lacks its type', altered({ payloadType: undefined })],
      ['has another type than was signed', altered({ payloadType: 'application/json' })],
      ['is of another type', anaSigns(payload, 'application/vnd.in-toto+json')],
      ['lacks its payload', altered({ payload: undefined })],
      ['has a payload that is not in base64', altered({ payload: '{}' })],
      ['has a payload with a space', altered({ payload: ` ${body}` })],
      ['has the payload of another manifest', altered({ payload: other.payload })],
      ['lacks its signatures', altered({ signatures: undefined })],
      ['has no signature', altered({ signatures: [] })],
      ['has a signature that is none', altered({ signatures: ['x'] })],
      ['has a signature without bytes', altered({ signatures: [{ keyid: ana.keyId }] })],
      ['has an empty signature', altered({ signatures: [{ keyid: ana.keyId, sig: '' }] })],
      ['has a signature that is too long', altered({ signatures: [{ keyid: ana.keyId, sig: body }] })],
      ['has a signature in two alphabets', altered({ signatures: [{ sig: '+-+-' }] })],
      ['has a signature with odd padding', altered({ signatures: [{ sig: signatures[0].sig.replace('==', '=') }] })],
      [
        'has the signature of another key under a listed id',
        altered({ signatures: [{ keyid: ana.keyId, sig: byMallory.signatures[0]?.sig }] }),
      ],
      ['has too many signatures', altered({ signatures: Array(maxSignatures + 1).fill(signatures[0]) })],
      ['signs no JSON', anaSigns('Ana')],
      ['signs no object', anaSigns('[1]')],
      ['signs no version', anaSigns({ ...payload, policyVersion: 1 })],
      ['signs no files', anaSigns({ ...payload, files: {} })],
      ['signs a file without a digest', anaSigns({ ...payload, files: [{ name: 'policy.csv' }] })],
      ['signs a file twice', anaSigns({ ...payload, files: [...payload.files, payload.files[0]] })],
      ['signs no author', anaSigns({ ...payload, author: undefined })],
      ['signs an empty author', anaSigns({ ...payload, author: ' ' })],
      ['signs an author with a line end', anaSigns({ ...payload, author: 'Ana\nBen' })],
      ['signs an author written backwards', anaSigns({ ...payload, author: 'Ana \u202Eneb' })],
      ['signs a long author', anaSigns({ ...payload, author: 'a'.repeat(maxNameLength + 1) })],
      ['signs a ticket that is no text', anaSigns({ ...payload, ticket: 1 })],
      ['signs an empty ticket', anaSigns({ ...payload, ticket: '' })],
      ['signs no time', anaSigns({ ...payload, signedAt: 'today' })],
      ['signs a time that does not exist', anaSigns({ ...payload, signedAt: '2026-99-22T10:00:00Z' })],
    ])('%s', (_, text) => {
      const found = verdict({ text, required })
      expect({ author: found.author, warnings: found.warnings }).toEqual({ author: null, warnings: [] })
      expect(codes(found)).toEqual([['manifest.json', 'SIGNATURE_INVALID']])
    })
  },
)

describe('for whatever bytes', () => {
  const bytes = Buffer.from(signed, 'utf8')
  /** Where a change cannot keep the signature: within payload, type and signature. */
  const guarded = ['payload', 'payloadType', 'sig'].map((name) => {
    const start = signed.indexOf(`"${name}": "`) + name.length + 5
    return { start, end: signed.indexOf('"', start) }
  })

  function flip(index: number, mask: number): { author: unknown; within: boolean } {
    const changed = Buffer.from(bytes)
    changed[index] = (changed[index] ?? 0) ^ mask
    const { author, problems } = verdict({ text: changed.toString('utf8') })
    expect(author === null).toBe(problems.length > 0)
    // The other alphabet of base64 says the same bytes.
    const same = oneAlphabet(changed.toString('utf8')) === oneAlphabet(signed)
    return { author, within: !same && guarded.some(({ start, end }) => index >= start && index < end) }
  }

  function oneAlphabet(text: string): string {
    return text.replaceAll('-', '+').replaceAll('_', '/')
  }

  test('one changed byte never names another author, and no author where it was signed', () => {
    const position = fc.nat({ max: bytes.length - 1 })
    const change = fc.property(position, fc.integer({ min: 1, max: 255 }), (index, mask) => {
      const { author, within } = flip(index, mask)
      expect(within ? [null] : [null, verdict().author]).toContainEqual(author)
    })
    fc.assert(change, { numRuns: 500 })
  })

  test('every single flipped bit of what is signed takes the author away', () => {
    for (const { start, end } of guarded) {
      for (let index = start; index < end; index += 1) expect(flip(index, 1 << (index % 8)).author).toBeNull()
    }
  })

  test('nothing is thrown, and nobody is named', () => {
    const member = fc.oneof(fc.string(), fc.anything(), fc.base64String())
    const envelope = fc.record(
      {
        payloadType: fc.oneof(fc.constant(manifestType), member),
        payload: member,
        signatures: fc.oneof(member, fc.array(fc.record({ keyid: member, sig: member }, { requiredKeys: [] }))),
      },
      { requiredKeys: [] },
    )
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      envelope.map((value) => JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? 0 : part))),
    )
    fc.assert(
      fc.property(text, fc.boolean(), (text, required) => {
        const { author, problems, warnings } = verdict({ text, required })
        expect({ author, warnings }).toEqual({ author: null, warnings: [] })
        // A signature in good form, by nobody who is listed.
        const expected = required ? ['SIGNATURE_INVALID', 'SIGNER_UNKNOWN'] : ['SIGNATURE_INVALID']
        expect(problems.map(({ code }) => expected.includes(code))).toEqual([true])
      }),
      { numRuns: 300 },
    )
  })

  test('nothing is thrown of a signed payload, and somebody is named only where the files are these', () => {
    const files = fc.array(fc.record({ name: fc.string(), sha256: fc.string() }))
    const any = fc.record({
      policyVersion: fc.string(),
      files: fc.oneof(files, fc.jsonValue()),
      author: fc.jsonValue(),
    })
    fc.assert(
      fc.property(any, (value) => {
        expect(verdict({ text: anaSigns({ ...payload, ...value }) }).author).toBeNull()
      }),
      { numRuns: 200 },
    )
  })
})

test('signatures are over the bytes that DSSE says', () => {
  const bytes = preAuthEncoding('http://example.com/HelloWorld', Buffer.from('hello world'))
  expect(bytes.toString()).toBe('DSSEv1 29 http://example.com/HelloWorld 11 hello world')
  expect(preAuthEncoding('ü', Buffer.from('ä')).toString()).toBe('DSSEv1 2 ü 2 ä')
})

describe('a folder with a manifest', () => {
  test('is another state of the folder when the manifest comes, changes or goes, and the same version', async () => {
    const keys: string[] = []
    for (const manifest of [undefined, signed, signManifest(policy, { ...claim, author: 'Ben' }, [ben])]) {
      writeFiles(folder, { ...files, ...(manifest === undefined ? {} : { 'manifest.json': manifest }) })
      const source = await readSource(folder)
      expect(source.snapshot?.policyVersion).toBe(policy.policyVersion)
      expect(sourceKey(await readSource(folder))).toBe(sourceKey(source))
      keys.push(sourceKey(source))
    }
    expect(new Set(keys).size).toBe(3)
    rmSync(join(folder, 'manifest.json'))
    expect(sourceKey(await readSource(folder))).toBe(keys[0])
  })

  test('of a ConfigMap is always read with the manifest of its files, also while both are swapped', async () => {
    swapConfigMap(folder, 0, versionBy(0))
    for (let version = 1; version <= 40; version += 1) {
      const reading = readSource(folder)
      for (let turn = 0; turn < version; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      swapConfigMap(folder, version, versionBy(version))
      rmSync(join(folder, `..v${String(version - 1)}`), { recursive: true })
      const { snapshot: read, problems } = await reading
      if (read === undefined) throw new Error(JSON.stringify(problems))
      const text = read.files.find(({ name }) => name === 'policy.csv')?.text
      expect(verdict({ text: read.manifest, of: read })).toMatchObject({ problems: [], author: { author: text } })
    }
  })

  function versionBy(version: number): Record<string, string> {
    const changed = { ...files, 'policy.csv': `# author ${String(version)}` }
    const text = signManifest(snapshot(changed), { ...claim, author: changed['policy.csv'] }, [ana])
    return { ...changed, 'manifest.json': text }
  }
})

describe('public keys', () => {
  const pair = newSigningKey()
  const another = newSigningKey()
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ type: 'spki', format: 'pem' })
  const x25519 = generateKeyPairSync('x25519').publicKey.export({ type: 'spki', format: 'pem' })

  function read(...texts: string[]): readonly string[] {
    const paths = texts.map((text, index) => {
      const path = join(folder, `key-${String(index)}.pem`)
      writeFileSync(path, text)
      return path
    })
    return readSigners(paths).map(({ keyId }) => keyId)
  }

  test('are read from one or more files, several in one, with text around them, each once', () => {
    const both = `Team A\r\n${pair.publicPem.replaceAll('\n', '\r\n')}\nTeam B\n${another.publicPem}`
    expect(read(both, pair.publicPem)).toEqual([pair.keyId, another.keyId])
    expect(read()).toEqual([])
  })

  test.each([
    ['is empty', '', 'it holds no key; allowed: one or more PUBLIC KEY blocks in PEM'],
    ['holds no PEM', 'ssh-ed25519 AAAA', 'it holds no key'],
    ['holds a private key', pair.privatePem, 'it holds a private key'],
    ['holds a private key behind a public one', pair.publicPem + another.privatePem, 'it holds a private key'],
    [
      'holds a certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
      'it holds CERTIFICATE; allowed: PUBLIC KEY',
    ],
    ['holds an RSA key', String(rsa), 'the key in it is rsa; allowed: ed25519'],
    ['holds an X25519 key', String(x25519), 'the key in it is x25519; allowed: ed25519'],
    ['holds half a key', pair.publicPem + another.publicPem.slice(0, 60), 'it holds a PEM block that is not whole'],
    ['holds a damaged key', pair.publicPem.replace('MCow', 'MCox'), 'the key in it cannot be read'],
  ])('are refused, by the name of the file, where it %s', (_, text, why) => {
    expect(() => read(another.publicPem, text)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`policy.signers: ${join(folder, 'key-1.pem')} cannot be used: ${why}`),
      }),
    )
  })

  test('are refused where the file is not there', () => {
    expect(() => readSigners([join(folder, 'none.pem')])).toThrow(/none\.pem cannot be used: .*ENOENT/)
  })
})

describeWith('openssl', 'with openssl', () => {
  const run = (...args: string[]): string => execFileSync('openssl', args, { cwd: folder, encoding: 'utf8' })

  test('keys can be made, and have the id that openssl and sha256sum give', () => {
    run('genpkey', '-algorithm', 'ed25519', '-out', 'key.pem')
    run('pkey', '-in', 'key.pem', '-pubout', '-out', 'key.pub')
    const id = execFileSync('sh', ['-c', 'openssl pkey -pubin -in key.pub -outform DER | sha256sum'], { cwd: folder })
    const key = readSigningKey(join(folder, 'key.pem'))
    const [signer] = readSigners([join(folder, 'key.pub')])
    expect([key.keyId, signer?.keyId]).toEqual(Array(2).fill(id.toString().slice(0, 64)))
    const text = signManifest(policy, claim, [key])
    expect(verifyManifest(text, policy, signer === undefined ? [] : [signer], true).author?.signedBy).toEqual([
      key.keyId,
    ])
  })

  test('a signature can be verified', () => {
    const { payload: body, signatures } = JSON.parse(signed) as { payload: string; signatures: [{ sig: string }] }
    const { publicPem, key } = publicOf(ana)
    writeFiles(folder, {
      'key.pub': publicPem,
      bytes: preAuthEncoding(manifestType, Buffer.from(body, 'base64')),
      sig: Buffer.from(signatures[0].sig, 'base64'),
    })
    const answer = run('pkeyutl', '-verify', '-pubin', '-inkey', 'key.pub', '-rawin', '-in', 'bytes', '-sigfile', 'sig')
    expect(answer).toContain('Signature Verified Successfully')
    expect(sign(null, readFileSync(join(folder, 'bytes')), key).toString('base64')).toBe(signatures[0].sig)
  })

  function publicOf(signing: SigningKey): { publicPem: string; key: SigningKey['key'] } {
    return { publicPem: signerOf(signing).key.export({ type: 'spki', format: 'pem' }).toString(), key: signing.key }
  }
})
