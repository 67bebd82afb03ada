import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { verifyCommand } from '../../src/cli/commands/verify.ts'
import { signer } from '../cases/signing-key.ts'
import { replicaLines } from '../fault/tampering/dump.ts'
import { TestData } from '../readers/data-folder.ts'
import { runCommand } from './run-command.ts'

test('the verdict is printed also where the state cannot be written, status 2', async () => {
  using data = new TestData()
  const [file, keys] = ['export.ndjson', 'keys.pub'].map((name) => join(data.dir, name)) as [string, string]
  writeFileSync(
    file,
    replicaLines('web-0', 1, [40])
      .map(({ line }) => `${line}\n`)
      .join(''),
  )
  writeFileSync(keys, `${signer.verifierKey}\n`)
  const state = join(data.dir, 'nowhere/state.json')
  const { out, err, exitCode } = await runCommand(verifyCommand, [file, '--keys', keys, '--state', state])
  expect(exitCode).toBe(2)
  expect(out).toContain('Whole: ')
  expect(err).toMatch(/^USAGE: --state: .* cannot be written/)
})
