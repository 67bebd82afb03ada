import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { createCheckpointSigner } from '../../src/audit/checkpoint.ts'
import { readVerifierKeys } from '../../src/keys/verifier-keys.ts'
import { signer, signingKeyPem } from '../cases/signing-key.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-keys-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const other = createCheckpointSigner('countersign/eu', signingKeyPem(8)).verifierKey

function keysIn(text: string): readonly string[] {
  const file = join(folder, 'trusted')
  writeFileSync(file, text)
  return readVerifierKeys(file).map((key) => key.text)
}

test('reads a key a line, whatever the lines end with, each once', () => {
  expect(keysIn(`${signer.verifierKey}\n${other}`)).toEqual([signer.verifierKey, other])
  expect(keysIn(`# both regions\r\n\r\n  ${signer.verifierKey} \r\n${other}\r\n${signer.verifierKey}\r\n`)).toEqual([
    signer.verifierKey,
    other,
  ])
})

test('names every line that is no key', () => {
  expect(() => keysIn(`# mine\n${signer.verifierKey}x\n\n${other}\nnothing\n`)).toThrow(
    expect.objectContaining({
      code: 'KEY_INVALID',
      message: expect.stringMatching(/trusted:2: no verifier key: the key, .*\n.*trusted:5: no verifier key: the id/),
    }),
  )
})

test.each(['', '\n', '# nobody\n'])('trusts nobody by a list without a key: %j', (text) => {
  expect(() => keysIn(text)).toThrow(
    expect.objectContaining({ code: 'KEY_INVALID', message: expect.stringContaining('holds no verifier key') }),
  )
})

test('names a file that cannot be read', () => {
  expect(() => readVerifierKeys(join(folder, 'absent'))).toThrow(
    expect.objectContaining({ code: 'KEY_INVALID', message: expect.stringMatching(/absent cannot be read: .*ENOENT/) }),
  )
})
