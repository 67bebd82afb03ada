import { generateKeyPairSync, hash, sign } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import {
  createCheckpointSigner,
  openCheckpoint,
  parseVerifierKey,
  type Checkpoint,
  type VerifierKey,
} from '../../src/audit/checkpoint.ts'
import { signer, signingKeyPem } from '../cases/signing-key.ts'

const trail = 'web-0-0197a000-0000-7000-8000-000000000001'
const root = hash('sha256', 'some root', 'buffer')
const checkpoint: Checkpoint = { origin: trail, size: 41, root }
const note = signer.sign(checkpoint)
const [text = '', signature = ''] = note.split('\n\n')
const key = keyOf(signer.verifierKey)
const other = createCheckpointSigner('countersign', signingKeyPem(8))

function keyOf(text: string): VerifierKey {
  const parsed = parseVerifierKey(text)
  if (!parsed.ok) throw new Error(parsed.problem)
  return parsed.value
}

/** What became of a note, in one word, and what it states. */
function opened(text: string, keys: readonly VerifierKey[] = [key]): unknown {
  const result = openCheckpoint(text, keys)
  return result.ok ? { signedBy: result.signedBy.text, ...result.checkpoint } : result.reason
}

/** A note over any text, signed as a checkpoint is. */
function noteOver(body: string, { name = 'countersign', seed = 7 } = {}): string {
  const { verifierKey } = createCheckpointSigner(name, signingKeyPem(seed))
  const bytes = sign(null, Buffer.from(body), signingKeyPem(seed))
  return `${body}\n— ${name} ${Buffer.concat([keyOf(verifierKey).id, bytes]).toString('base64')}\n`
}

describe('a checkpoint', () => {
  test('is a signed note: trail, size, root, and a line with name, key id and signature', () => {
    const [head, line] = note.split('\n\n')
    expect(head).toBe(`${trail}\n41\n${root.toString('base64')}`)
    const [dash, name, encoded, ...rest] = (line ?? '').replace(/\n$/, '').split(' ')
    const bytes = Buffer.from(encoded ?? '', 'base64')
    expect([dash, name, rest]).toEqual(['—', 'countersign', []])
    expect([bytes.length, bytes.subarray(0, 4)]).toEqual([68, key.id])
    expect(bytes.subarray(4)).toEqual(sign(null, Buffer.from(`${head ?? ''}\n`), signingKeyPem()))
  })

  test('says what was signed, and by whom, once it is opened', () => {
    expect(opened(note)).toEqual({ signedBy: signer.verifierKey, ...checkpoint })
  })

  test('comes back for any trail, size and key name', () => {
    const names = fc.stringMatching(/^[!-*,-~]{1,60}$/)
    fc.assert(
      fc.property(names, names, fc.maxSafeNat(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (name, ...rest) => {
        const [origin, size, bytes] = rest
        const made = createCheckpointSigner(name, signingKeyPem())
        const stated = { origin, size, root: Buffer.from(bytes) }
        expect(opened(made.sign(stated), [keyOf(made.verifierKey)])).toEqual({ signedBy: made.verifierKey, ...stated })
      }),
    )
  })

  test('of another trail, size or root has another signature', () => {
    const changed = [{ origin: `${trail}x` }, { size: 42 }, { root: Buffer.alloc(32) }]
    for (const part of changed) {
      const [forged] = signer.sign({ ...checkpoint, ...part }).split('\n\n')
      expect(opened(`${forged}\n\n${signature}`)).toBe('bad-signature')
    }
  })

  test('with any bit changed is refused', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 127 }), (at, mask) => {
        const bytes = Buffer.from(note)
        const index = at % bytes.length
        bytes[index] = (bytes[index] ?? 0) ^ mask
        expect(openCheckpoint(bytes.toString(), [key]).ok).toBe(false)
      }),
      { numRuns: 1000 },
    )
  })

  test('is not made of what a checkpoint cannot state', () => {
    const bad: Partial<Checkpoint>[] = [
      { origin: '' },
      { origin: 'two\nlines' },
      { origin: 'a space' },
      { size: -1 },
      { size: 1.5 },
      { size: 2 ** 53 },
      { root: Buffer.alloc(31) },
    ]
    for (const part of bad) expect(() => signer.sign({ ...checkpoint, ...part })).toThrow(RangeError)
  })
})

describe('the signatures of a note', () => {
  test('one by a trusted key is enough, whoever else signed', () => {
    const both = `${note}${noteOver(`${text}\n`, { seed: 8 }).split('\n\n')[1]}`
    expect(opened(both)).toEqual({ signedBy: signer.verifierKey, ...checkpoint })
    expect(opened(both, [keyOf(other.verifierKey)])).toEqual({ signedBy: other.verifierKey, ...checkpoint })
    expect(opened(`${text}\n\n— witness.example/ω AAAAAAUG\n${signature}`)).toMatchObject({ size: 41 })
  })

  test('one by a trusted key that does not fit spoils the note, wherever it stands', () => {
    const bad = noteOver(`${text}x\n`, { seed: 8 }).split('\n\n')[1]
    const keys = [key, keyOf(other.verifierKey)]
    expect(opened(`${note}${bad}`, keys)).toBe('bad-signature')
    expect(opened(`${text}\n\n${bad}${signature}`, keys)).toBe('bad-signature')
    expect(opened(`${note}${bad}`, [key])).toMatchObject({ size: 41 })
  })

  test('by no trusted key prove nothing; the statement is given without a proof', () => {
    const result = openCheckpoint(note, [keyOf(other.verifierKey)])
    expect(result).toMatchObject({ ok: false, reason: 'unknown-key', checkpoint })
    expect(result).toHaveProperty('problem', expect.stringContaining(`countersign (key ${key.id.toString('hex')})`))
    expect(opened(note, [])).toBe('unknown-key')
  })

  test('count only under the name that the key is trusted under', () => {
    const elsewhere = createCheckpointSigner('elsewhere', signingKeyPem())
    expect(opened(note, [keyOf(elsewhere.verifierKey)])).toBe('unknown-key')
    expect(opened(note.replace('— countersign', '— elsewhere'), [keyOf(elsewhere.verifierKey)])).toBe('unknown-key')
  })

  test('are looked up among all trusted keys of the same short id', () => {
    const twin: VerifierKey = { ...keyOf(other.verifierKey), id: key.id }
    expect(opened(note, [twin, key])).toMatchObject({ size: 41 })
    expect(opened(note, [twin])).toBe('bad-signature')
  })

  test('may be 16, each as long as post-quantum ones are; 17 are refused', () => {
    const long = (index: number) =>
      `— witness.example/${String(index)} ${Buffer.alloc(5000, index).toString('base64')}\n`
    const lines = (count: number) => Array.from({ length: count }, (_, index) => long(index)).join('')
    expect(opened(`${text}\n\n${signature}${lines(15)}`)).toMatchObject({ size: 41 })
    expect(opened(`${text}\n\n${signature}${lines(16)}`)).toBe('malformed')
  })

  test.each([
    ['no line', ''],
    ['an empty line', '\n'],
    ['a hyphen for the dash', signature.replace('—', '-')],
    ['no space behind the dash', signature.replace('— ', '—')],
    ['two spaces', signature.replace('countersign ', 'countersign  ')],
    ['a plus in a name', signature.replace('countersign', 'counter+sign')],
    ['a no-break space in a name', signature.replace('countersign', 'counter\u00a0sign')],
    ['a next line in a name', signature.replace('countersign', 'counter\u0085sign')],
    ['no name', signature.replace('countersign ', '')],
    ['no base64', signature.replace(/ [^ ]+\n$/, ' *\n')],
    ['base64 of the URL alphabet', signature.replace(/ [^ ]+\n$/, ' __________\n')],
    ['base64 without its padding', signature.replace(/=+\n$/, '\n')],
    ['base64 that has a shorter form', signature.replace(/.=\n$/, (end) => `${next(end[0] ?? '')}=\n`)],
    ['a key id and no signature', '— countersign AAAAAA==\n'],
    ['something behind the signature', signature.replace(/\n$/, ' x\n')],
    ['a carriage return', signature.replace(/\n$/, '\r\n')],
    ['no end of the line', signature.replace(/\n$/, '')],
    ['a line that is none', `${signature}x\n`],
  ])('are malformed with %s', (_, lines) => {
    expect(opened(`${text}\n\n${lines}`)).toBe('malformed')
  })
})

/** The letter of base64 that differs in the lowest bit alone. */
function next(letter: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  return letters[letters.indexOf(letter) ^ 1] ?? ''
}

describe('the text of a note', () => {
  const encoded = root.toString('base64')

  test.each([
    ['no size', `${trail}\n`],
    ['no root', `${trail}\n41\n`],
    ['no origin', `\n41\n${encoded}\n`],
    ['a leading zero', `${trail}\n041\n${encoded}\n`],
    ['a sign', `${trail}\n+41\n${encoded}\n`],
    ['a negative size', `${trail}\n-1\n${encoded}\n`],
    ['a hexadecimal size', `${trail}\n0x41\n${encoded}\n`],
    ['a space about the size', `${trail}\n41 \n${encoded}\n`],
    ['other digits', `${trail}\n٤١\n${encoded}\n`],
    ['a size beyond counting', `${trail}\n9007199254740992\n${encoded}\n`],
    ['a short root', `${trail}\n41\n${Buffer.alloc(31).toString('base64')}\n`],
    ['a long root', `${trail}\n41\n${Buffer.alloc(33).toString('base64')}\n`],
    ['a root of the URL alphabet', `${trail}\n41\n${Buffer.alloc(32, 255).toString('base64url')}=\n`],
    ['a root without its padding', `${trail}\n41\n${encoded.replace('=', '')}\n`],
    ['a root in hexadecimal', `${trail}\n41\n${root.toString('hex')}\n`],
    ['an empty extension line', `${trail}\n41\n${encoded}\n\nmore\n`],
    ['a tab', `${trail}\t\n41\n${encoded}\n`],
    ['a null', `${trail}\u0000\n41\n${encoded}\n`],
    ['a replacement character', `${trail}\ufffd\n41\n${encoded}\n`],
  ])('is malformed with %s, however well it is signed', (_, body) => {
    expect(opened(noteOver(body))).toBe('malformed')
  })

  test('is malformed with half a character', () => {
    expect(opened(note.replace(trail, `${trail}\ud800`))).toBe('malformed')
  })

  test('may have extension lines: they are signed, and mean nothing here', () => {
    const extended = noteOver(`${text}\nmore 1\nmore 2\n`)
    expect(opened(extended)).toMatchObject(checkpoint)
    expect(opened(extended.replace('more 2', 'more 3'))).toBe('bad-signature')
  })

  test('may be of an empty tree, and of an origin with spaces, which other logs have', () => {
    expect(opened(noteOver(`some other log\n0\n${encoded}\n`))).toMatchObject({ origin: 'some other log', size: 0 })
  })

  test('longer than any checkpoint is not read', () => {
    expect(opened(noteOver(`${text}\n${'x'.repeat(128 * 1024)}\n`))).toBe('malformed')
  })

  test.each(['', '\n', '\n\n', text, `${text}\n`, `${text}\n\n`, `${text}\n${signature}`])(
    '%j is no note',
    (nothing) => {
      expect(opened(nothing)).toBe('malformed')
    },
  )
})

// A signed tree of the Go checksum database, as https://sum.golang.org/latest served it: a note that others made.
test('a checkpoint of another log opens with the key that this log has published', () => {
  const published = keyOf('sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8')
  const latest =
    'go.sum database tree\n69959272\nL6xGIG9BJ5WLe0paJgb2RVNCdNi6wVyMUVOfn9Oo/8s=\n\n' +
    '— sum.golang.org Az3grvPr9qFNGfBH993UqYhBVEqwL36wMKDSKjE/3PtBZWUkfXu1W9Ou9SCCy+ElsdGVH6ak2rZo9lsDhZhlD8TK6AE=\n'
  expect(opened(latest, [published])).toMatchObject({ origin: 'go.sum database tree', size: 69_959_272 })
  expect(opened(latest.replace('69959272', '69959273'), [published])).toBe('bad-signature')
})

describe('a verifier key', () => {
  // The example of c2sp.org/signed-note.
  const example = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'

  test('is read in the form of the specification', () => {
    expect(keyOf(example)).toMatchObject({ text: example, name: 'example.com/foo', id: Buffer.from('530d903a', 'hex') })
  })

  test('of a signer is read back', () => {
    expect(keyOf(signer.verifierKey)).toMatchObject({ text: signer.verifierKey, name: 'countersign' })
  })

  test.each([
    ['', 'the form is NAME+ID+KEY'],
    ['example.com/foo', 'the id'],
    [example.replace('example', 'exam ple'), 'the form is NAME+ID+KEY'],
    [example.replace('example', 'exam\u200bple'), 'the form is NAME+ID+KEY'],
    [example.replace('530d903a', '530D903A'), '8 lower-case hex digits'],
    [example.replace('530d903a', '530d903'), '8 lower-case hex digits'],
    [example.replace('530d903a', '530d903b'), 'is not that of this name and key'],
    [example.replace('.com', '.org'), 'is not that of this name and key'],
    [example.replace('AekyeR', 'AekyeS'), 'is not that of this name and key'],
    [example.replace('+Aeky', '+Auky'), 'base64 of the byte 1'],
    [`${example} `, 'base64 of the byte 1'],
    [example.slice(0, -4), 'base64 of the byte 1'],
    [`${example}AAAA`, 'base64 of the byte 1'],
    [example.replace(/\+A.*/, '+'), 'base64 of the byte 1'],
  ])('%j is none', (text, problem) => {
    expect(parseVerifierKey(text)).toEqual({ ok: false, problem: expect.stringContaining(problem) })
  })
})

describe('a signer', () => {
  test.each(['', 'a b', 'a+b', 'a\nb', 'a\u00a0b', 'a\u200bb'])('is not named %j', (name) => {
    expect(() => createCheckpointSigner(name, signingKeyPem())).toThrow(
      expect.objectContaining({ code: 'KEY_INVALID', message: expect.stringContaining(JSON.stringify(name)) }),
    )
  })

  test('is not made of another kind of key', () => {
    const pem = { type: 'pkcs8', format: 'pem' } as const
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export(pem).toString()
    const x25519 = generateKeyPairSync('x25519').privateKey.export(pem).toString()
    for (const [text, type] of [
      [rsa, 'rsa'],
      [x25519, 'x25519'],
    ] as const) {
      expect(() => createCheckpointSigner('countersign', text)).toThrow(
        expect.objectContaining({ code: 'KEY_INVALID', message: expect.stringContaining(`of type ${type}`) }),
      )
    }
    expect(() => createCheckpointSigner('countersign', 'no key')).toThrow(
      expect.objectContaining({ code: 'KEY_INVALID' }),
    )
  })
})
