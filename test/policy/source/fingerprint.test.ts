import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { fingerprint } from '../../../src/policy/source/fingerprint.ts'
import { swapConfigMap, temporaryFolder, writeFiles } from '../policies.ts'

let folder = ''
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

const later = Date.now() + 3_600_000
const files = { 'model.conf': 'm', 'policy.csv': 'p' }

describe('the fingerprint of a policy folder', () => {
  test('stays while nobody touches a file of the policy', async () => {
    writeFiles(folder, files)
    const before = await fingerprint(folder, later)
    writeFiles(folder, { 'README.md': 'x', '.hidden.csv': 'x' })
    expect(before).toBeDefined()
    expect(await fingerprint(folder, later)).toBe(before)
  })

  test.each<[what: string, change: () => void]>([
    ['a file is written', () => writeFileSync(join(folder, 'policy.csv'), 'longer')],
    ['a file is added', () => writeFileSync(join(folder, 'more.csv'), '')],
    ['a manifest is added', () => writeFileSync(join(folder, 'manifest.json'), '{}')],
    ['a file is renamed', () => renameSync(join(folder, 'policy.csv'), join(folder, 'other.csv'))],
    ['a file is removed', () => rmSync(join(folder, 'policy.csv'))],
    ['who may read a file is changed', () => chmodSync(join(folder, 'policy.csv'), 0o600)],
  ])('changes where %s', async (_, change) => {
    writeFiles(folder, files)
    const before = await fingerprint(folder, later)
    // The clock of the file system goes in steps of some milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 20))
    change()
    expect(await fingerprint(folder, later)).not.toBe(before)
  })

  test('changes where a ConfigMap is swapped, whatever the times of its files', async () => {
    swapConfigMap(folder, 1, files)
    const before = await fingerprint(folder, later)
    swapConfigMap(folder, 2, files)
    expect(await fingerprint(folder, later)).not.toBe(before)
  })

  test.each([
    ['just now', 0],
    ['a moment ago', 2_000],
    ['in the future, by a clock that is wrong', -60_000],
  ])('proves nothing where a file was changed %s', async (_, age) => {
    writeFiles(folder, files)
    expect(await fingerprint(folder, Date.now() + age)).toBeUndefined()
  })

  test('proves nothing where something is missing', async () => {
    expect(await fingerprint(join(folder, 'none'), later)).toBeUndefined()
  })
})
