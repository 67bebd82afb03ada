import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { loadPolicy } from '../../../src/policy/load.ts'
import { maxManifestBytes, maxPolicyBytes, readSource } from '../../../src/policy/source/source.ts'
import { modelText, swapConfigMap, temporaryFolder, writeFiles } from '../policies.ts'

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const files = { 'model.conf': modelText(), 'a.csv': 'p, alice, /a, GET\n' }

async function problems(): Promise<unknown> {
  const outcome = await loadPolicy(folder)
  return outcome.ok ? [] : outcome.problems.map(({ file, line, code }) => [file, line, code])
}

describe('a policy folder', () => {
  test('is read whole: model, all CSV files and tests, and nothing else', async () => {
    writeFiles(folder, { ...files, 'b.csv': '', 'tests.yaml': '[]', 'README.md': 'x', '.hidden.csv': 'x', 'B.csv': '' })
    const { snapshot, problems } = await readSource(folder)
    expect(problems).toEqual([])
    expect(snapshot?.files.map(({ name }) => name)).toEqual(['B.csv', 'a.csv', 'b.csv', 'model.conf', 'tests.yaml'])
    expect(snapshot?.atomic).toBe(false)
  })

  test('has the version that sha256sum and the contract give', async () => {
    writeFiles(folder, { ...files, 'b.csv': '\uFEFF# x\r\n' })
    const sums = execFileSync('sha256sum', ['a.csv', 'b.csv', 'model.conf'], { cwd: folder })
    const version = `sha256:${createHash('sha256').update(sums).digest('hex')}`
    expect((await readSource(folder)).snapshot?.policyVersion).toBe(version)
  })

  test('says what looks like a part of the policy and is none', async () => {
    writeFiles(folder, {
      ...files,
      'deny.CSV': '',
      '.deny.csv': '',
      'orders-tests.yaml': '',
      'README.md': '',
      'manifest.yaml': '',
    })
    mkdirSync(join(folder, 'team-a'))
    const { snapshot } = await readSource(folder)
    const names = ['.deny.csv', 'deny.CSV', 'manifest.yaml', 'orders-tests.yaml', 'team-a']
    expect(snapshot?.ignored).toEqual(names)
    const outcome = await loadPolicy(folder, { compareWithCasbin: false })
    const warned = (outcome.warnings ?? []).filter(({ code }) => code === 'FILE_IGNORED')
    expect(warned.map(({ file }) => file)).toEqual(names.map((name) => JSON.stringify(name)))
  })

  test('with a control character in the name of a file is refused: the version is a digest of lines', async () => {
    writeFiles(folder, { ...files, 'b\n0000  c.csv': 'p, alice, /b, GET\n' })
    expect(await problems()).toEqual([[JSON.stringify('b\n0000  c.csv'), null, 'FILE_UNREADABLE']])
  })

  test('of a ConfigMap is never a part of one version, however slowly the old files go away', async () => {
    const version = (at: number) => ({
      ...files,
      'a.csv': `p, alice, /${String(at)}, GET\n`,
      'z.csv': `p, alice, /${String(at)}, PUT\n`,
    })
    swapConfigMap(folder, 0, version(0))
    const state = { swapping: true }
    const swaps = (async () => {
      for (let at = 1; at <= 150; at += 1) {
        swapConfigMap(folder, at, version(at))
        for (const name of ['a.csv', 'z.csv', 'model.conf']) {
          rmSync(join(folder, `..v${String(at - 1)}`, name))
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
      }
      state.swapping = false
    })()
    let read = 0
    while (state.swapping) {
      const { snapshot } = await readSource(folder)
      if (snapshot === undefined) continue
      read += 1
      const texts = snapshot.files.filter(({ name }) => name.endsWith('.csv')).map(({ text }) => /\d+/.exec(text)?.[0])
      expect(texts).toEqual([texts[0], texts[0]])
    }
    await swaps
    expect(read).toBeGreaterThan(10)
  })

  test('of a ConfigMap is read behind its link', async () => {
    swapConfigMap(folder, 1, files)
    symlinkSync('..data/model.conf', join(folder, 'model.conf'))
    writeFileSync(join(folder, 'stray.csv'), 'not of this version')
    const { snapshot } = await readSource(folder)
    expect(snapshot?.files.map(({ name }) => name)).toEqual(['a.csv', 'model.conf'])
    expect(snapshot?.atomic).toBe(true)
  })

  test('gives the manifest with the files, and a version that does not depend on it', async () => {
    writeFiles(folder, files)
    const unsigned = (await readSource(folder)).snapshot
    writeFiles(folder, { 'manifest.json': '{"payload":"…"}' })
    const { snapshot, problems } = await readSource(folder)
    expect(problems).toEqual([])
    expect(snapshot).toEqual({ ...unsigned, manifest: '{"payload":"…"}' })
  })

  test('of a ConfigMap has the manifest that came with the files', async () => {
    swapConfigMap(folder, 1, { ...files, 'manifest.json': 'of this version' })
    writeFileSync(join(folder, 'manifest.json'), 'not of this version')
    expect((await readSource(folder)).snapshot?.manifest).toBe('of this version')
  })

  test('with a manifest that cannot be read, or is too large, is a problem and has a version all the same', async () => {
    writeFiles(folder, { ...files, 'manifest.json': Buffer.alloc(maxManifestBytes + 1, ' ') })
    expect(await problems()).toEqual([['manifest.json', null, 'POLICY_TOO_LARGE']])
    rmSync(join(folder, 'manifest.json'))
    execFileSync('mkfifo', [join(folder, 'manifest.json')])
    expect(await problems()).toEqual([['manifest.json', null, 'FILE_UNREADABLE']])
    expect((await readSource(folder)).snapshot?.policyVersion).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  test('of a ConfigMap is read again where it is swapped, and its old files removed, while they are read', async () => {
    swapConfigMap(folder, 0, files)
    for (let version = 1; version <= 40; version += 1) {
      const reading = readSource(folder)
      for (let turn = 0; turn < version; turn += 1) await new Promise((resolve) => setImmediate(resolve))
      swapConfigMap(folder, version, { ...files, 'a.csv': `# ${String(version)}` })
      rmSync(join(folder, `..v${String(version - 1)}`), { recursive: true })
      expect((await reading).problems).toEqual([])
    }
  })

  test('that does not exist is a problem', async () => {
    rmSync(folder, { recursive: true })
    expect(await problems()).toEqual([[folder, null, 'FOLDER_UNREADABLE']])
  })

  test('that is a file is a problem', async () => {
    writeFileSync(join(folder, 'file'), '')
    const outcome = await loadPolicy(join(folder, 'file'))
    expect(outcome).toMatchObject({ ok: false, problems: [{ code: 'FOLDER_UNREADABLE' }] })
  })

  test('without model and rules is a problem for each', async () => {
    expect(await problems()).toEqual([
      ['model.conf', null, 'MODEL_MISSING'],
      ['*.csv', null, 'RULES_MISSING'],
    ])
  })

  test('with a file that cannot be read is a problem, also where reading would never end', async () => {
    writeFiles(folder, files)
    mkdirSync(join(folder, 'b.csv'))
    symlinkSync('nowhere', join(folder, 'c.csv'))
    execFileSync('mkfifo', [join(folder, 'd.csv')])
    expect(await problems()).toEqual([
      ['b.csv', null, 'FILE_UNREADABLE'],
      ['c.csv', null, 'FILE_UNREADABLE'],
      ['d.csv', null, 'FILE_UNREADABLE'],
    ])
  })

  test('with a file that is no text is a problem, and has a version all the same', async () => {
    writeFiles(folder, { ...files, 'b.csv': Uint8Array.of(0x70, 0x0a, 0xff), 'c.csv': 'p, a\np, \0b' })
    expect(await problems()).toEqual([
      ['b.csv', null, 'FILE_NOT_TEXT'],
      ['c.csv', 2, 'FILE_NOT_TEXT'],
    ])
    expect((await readSource(folder)).snapshot?.policyVersion).toMatch(/^sha256:[0-9a-f]{64}$/)
  })

  test('with more bytes than a policy may have is a problem', async () => {
    writeFiles(folder, { ...files, 'b.csv': Buffer.alloc(maxPolicyBytes, '#') })
    expect(await problems()).toEqual([['b.csv', null, 'POLICY_TOO_LARGE']])
  })

  test('with a problem in one of several files names the file and the line', async () => {
    writeFiles(folder, { ...files, 'b.csv': '\n# x\n\np, bob\n' })
    expect(await problems()).toEqual([['b.csv', 4, 'ROW_TOO_SHORT']])
  })
})
