import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { dropOtherLastGood, hasLastGood, keepLastGood, readLastGood } from '../../../src/policy/source/last-good.ts'
import { readSource, type Snapshot } from '../../../src/policy/source/source.ts'
import { modelText, temporaryFolder, writeFiles } from '../policies.ts'

let folder = ''
let kept = ''
beforeEach(() => {
  ;[folder, kept] = [temporaryFolder(), join(temporaryFolder(), 'policy')]
})
afterEach(() => {
  for (const path of [folder, join(kept, '..')]) rmSync(path, { recursive: true, force: true })
})

const files = { 'model.conf': modelText(), 'policy.csv': 'p, alice, /a, GET\n', 'tests.yaml': '[]\n' }

async function snapshotOf(content: Record<string, string | Uint8Array>): Promise<Snapshot> {
  rmSync(folder, { recursive: true, force: true })
  writeFiles(folder, content)
  const { snapshot } = await readSource(folder)
  if (snapshot === undefined) throw new Error('nothing was read')
  return snapshot
}

const bytesIn = (name: string) => readFileSync(join(kept, 'last-good', name))
const codes = async () => (await readLastGood(kept))?.problems.map(({ code }) => code)

describe('a policy that is kept', () => {
  test('is what is read again, with its version and manifest', async () => {
    const snapshot = await snapshotOf({ ...files, 'manifest.json': '{"payload":"x"}' })
    await keepLastGood(kept, snapshot)
    const { snapshot: again, problems } = (await readLastGood(kept)) ?? {}
    expect(again).toEqual(snapshot)
    expect(problems).toEqual([])
  })

  test('is the same bytes, whatever they are', async () => {
    const odd = { ...files, 'a.csv': '\uFEFFp, bob, /a, GET\r\n', 'b.csv': '\uFEFF\uFEFF# ä\n', 'c.csv': '' }
    const snapshot = await snapshotOf(odd)
    await keepLastGood(kept, snapshot)
    for (const [name, text] of Object.entries(odd)) expect(bytesIn(name)).toEqual(Buffer.from(text))
    expect((await readLastGood(kept))?.snapshot?.policyVersion).toBe(snapshot.policyVersion)
  })

  test('is for the owner’s eyes alone', async () => {
    await keepLastGood(kept, await snapshotOf(files))
    const modes = [kept, join(kept, 'last-good'), join(kept, 'last-good/policy.csv')].map((path) => statSync(path).mode)
    expect(modes.map((mode) => (mode & 0o777).toString(8))).toEqual(['700', '700', '600'])
  })

  test('takes the place of the one before, of which nothing stays', async () => {
    await keepLastGood(kept, await snapshotOf(files))
    const newer = await snapshotOf({ ...files, 'policy.csv': 'p, bob, /a, GET\n' })
    await keepLastGood(kept, newer)
    expect((await readLastGood(kept))?.snapshot?.policyVersion).toBe(newer.policyVersion)
    expect(readdirSync(kept)).toHaveLength(2)
  })

  test('is not written again where it is kept already, but where only its manifest is another', async () => {
    await keepLastGood(kept, await snapshotOf(files))
    const before = readdirSync(kept)
    await keepLastGood(kept, await snapshotOf(files))
    expect(readdirSync(kept)).toEqual(before)
    await keepLastGood(kept, await snapshotOf({ ...files, 'manifest.json': '{}' }))
    expect((await readLastGood(kept))?.snapshot?.manifest).toBe('{}')
  })
})

describe('what a crash leaves', () => {
  test('beside a copy (half of another one, a link that points nowhere) does no harm, and is removed by the next', async () => {
    const snapshot = await snapshotOf(files)
    await keepLastGood(kept, snapshot)
    const half = `copy-${'0'.repeat(8)}-0000-4000-8000-${'0'.repeat(12)}`
    mkdirSync(join(kept, half))
    writeFileSync(join(kept, half, 'model.conf'), 'half of')
    symlinkSync('nowhere', join(kept, `${half}.link`))
    expect((await readLastGood(kept))?.snapshot?.policyVersion).toBe(snapshot.policyVersion)
    await keepLastGood(kept, await snapshotOf({ ...files, 'policy.csv': '# none' }))
    expect(readdirSync(kept)).toHaveLength(2)
  })
})

describe('a copy that is not what was kept is a problem', () => {
  const damage: [what: string, harm: () => void][] = [
    [
      'has a flipped bit',
      () => {
        writeFileSync(join(kept, 'last-good/policy.csv'), files['policy.csv'].replace('a', 'b'))
      },
    ],
    [
      'has a file more',
      () => {
        writeFileSync(join(kept, 'last-good/more.csv'), '')
      },
    ],
    [
      'has a file less',
      () => {
        rmSync(join(kept, 'last-good/tests.yaml'))
      },
    ],
    [
      'has another manifest',
      () => {
        writeFileSync(join(kept, 'last-good/manifest.json'), '{}')
      },
    ],
    [
      'has no word on its version',
      () => {
        rmSync(join(kept, 'last-good/policy-version'))
      },
    ],
    [
      'has a wrong word on its version',
      () => {
        writeFileSync(join(kept, 'last-good/policy-version'), `sha256:${'0'.repeat(64)}\n`)
      },
    ],
    [
      'is no folder',
      () => {
        rmSync(join(kept, 'last-good'))
        writeFileSync(join(kept, 'last-good'), '')
      },
    ],
    [
      'is gone where the link points',
      () => {
        for (const name of readdirSync(kept))
          if (name.startsWith('copy-')) rmSync(join(kept, name), { recursive: true })
      },
    ],
  ]
  test.each(damage)('where it %s; the next version is kept all the same', async (_, harm) => {
    const snapshot = await snapshotOf(files)
    await keepLastGood(kept, snapshot)
    harm()
    const read = await readLastGood(kept)
    expect(read?.snapshot).toBeUndefined()
    expect(read?.problems.map(({ code }) => code)).toEqual(['LAST_GOOD_DAMAGED'])
    await keepLastGood(kept, snapshot)
    expect((await readLastGood(kept))?.snapshot).toEqual(snapshot)
  })

  test('and none at all is none', async () => {
    expect(await readLastGood(kept)).toBeUndefined()
    expect(await codes()).toBeUndefined()
  })

  test('and a data folder that was copied with its links followed goes on', async () => {
    const snapshot = await snapshotOf(files)
    await keepLastGood(kept, snapshot)
    const copied = `${kept}-copied`
    cpSync(kept, copied, { recursive: true, dereference: true })
    expect((await readLastGood(copied))?.snapshot).toEqual(snapshot)
    const newer = await snapshotOf({ ...files, 'policy.csv': '# none' })
    await keepLastGood(copied, newer)
    expect((await readLastGood(copied))?.snapshot).toEqual(newer)
  })
})

describe('the copy of a version that gives way to another', () => {
  const newer = { ...files, 'policy.csv': '# nobody\n' }

  test.each<[what: string, make: () => void]>([
    ['is gone', () => undefined],
    [
      'is gone where it is damaged',
      () => {
        rmSync(join(kept, 'last-good/policy-version'))
      },
    ],
    [
      'is gone where a folder stands in place of its link',
      () => {
        rmSync(join(kept, 'last-good'))
        mkdirSync(join(kept, 'last-good'))
      },
    ],
    [
      'may be gone already',
      () => {
        rmSync(kept, { recursive: true })
      },
    ],
  ])('%s, and the other is kept after it', async (_, make) => {
    await keepLastGood(kept, await snapshotOf(files))
    expect(await hasLastGood(kept)).toBe(true)
    make()
    const other = await snapshotOf(newer)
    await dropOtherLastGood(kept, other)
    expect(await hasLastGood(kept)).toBe(false)
    expect(await readLastGood(kept)).toBeUndefined()
    await keepLastGood(kept, other)
    expect((await readLastGood(kept))?.snapshot).toEqual(other)
    expect(readdirSync(kept)).toHaveLength(2)
  })

  test('stays where it is of that version already, but not where only its manifest is another', async () => {
    const snapshot = await snapshotOf(files)
    await keepLastGood(kept, snapshot)
    await dropOtherLastGood(kept, snapshot)
    expect((await readLastGood(kept))?.snapshot).toEqual(snapshot)
    await dropOtherLastGood(kept, { ...snapshot, manifest: '{}' })
    expect(await readLastGood(kept)).toBeUndefined()
  })
})

test('a policy that cannot be kept leaves no copy of the one before, which may allow what it revokes', async () => {
  const snapshot = await snapshotOf(files)
  await keepLastGood(kept, snapshot)
  const impossible = { name: 'no/such/folder.csv', text: '', sha256: createHash('sha256').update('').digest('hex') }
  await expect(keepLastGood(kept, { ...snapshot, policyVersion: 'sha256:x', files: [impossible] })).rejects.toThrow(
    'ENOENT',
  )
  expect(await readLastGood(kept)).toBeUndefined()
  expect(readdirSync(kept)).toHaveLength(1)
  await keepLastGood(kept, snapshot)
  expect(readdirSync(kept)).toHaveLength(2)
})
