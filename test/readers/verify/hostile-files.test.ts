import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { query } from '../../../src/readers/query.ts'
import { takeDecisions } from '../../../src/readers/replay-source.ts'
import { fileParts } from '../../../src/readers/verify/file-parts.ts'
import { verifyFolder } from '../../../src/readers/verify/verify-folder.ts'
import { verifyParts, type Verification } from '../../../src/readers/verify/verify.ts'
import { decisions, idOf, makeTrail } from '../../archive/trails.ts'
import { collect, TestData, textOf } from '../data-folder.ts'

const trail = `web-0-${idOf(1)}`
const records = makeTrail({ trail }, decisions(9))
let data: TestData

beforeEach(() => {
  data = new TestData()
})

afterEach(() => {
  data[Symbol.dispose]()
})

function zstd(...texts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(texts.map((text) => (typeof text === 'string' ? zstdCompressSync(text) : text)))
}

describe('a compressed export', () => {
  async function exported(bytes: Buffer): Promise<Verification> {
    const file = join(data.dir, 'export.ndjson.zst')
    writeFileSync(file, bytes)
    return verifyParts(await fileParts([file]), { threads: 0 })
  }

  test('is read to its end, whatever frames it is made of', async () => {
    const result = await exported(zstd(textOf(records.slice(0, 4)), '', textOf(records.slice(4))))
    expect(result).toMatchObject({ verdict: 'whole', totals: { records: 10 } })
    const forged = await exported(zstd(textOf(records), '{"forged":1}\n'))
    expect(forged.first).toMatchObject({ kind: 'malformed', line: 11 })
  })

  test.each([
    ['bytes that are no frame', zstd(textOf(records), Buffer.from('more'))],
    ['half a frame', zstd(textOf(records), zstd(textOf(records)).subarray(0, 200))],
  ])('cannot be read where %s stand behind the first', async (_, bytes) => {
    await expect(exported(bytes)).rejects.toMatchObject({ code: 'INPUT_UNREADABLE' })
  })
})

test.each([
  ['a frame', zstd('{"forged":1}\n'), 'malformed'],
  ['bytes', Buffer.from('garbage'), 'malformed'],
])('%s behind what a sealed segment holds is named', async (_, bytes, kind) => {
  await data.archive(records)
  const [sealed = ''] = await data.seal()
  appendFileSync(join(data.dir, 'archive', sealed), bytes)
  const result = await verifyFolder(data.dir, {}, data.openSpool)
  expect(result.first).toMatchObject({ kind, file: `archive/${sealed}`, line: 11 })
})

describe('a pipe to which nobody writes', () => {
  function pipe(path: string): void {
    mkdirSync(dirname(path), { recursive: true })
    execFileSync('mkfifo', [path])
  }

  test('is refused where a segment should be', async () => {
    pipe(join(data.dir, 'archive/2026-11-22', `${trail}.0000000000000001.ndjson`))
    const refused = { code: 'ARCHIVE_UNREADABLE', message: expect.stringContaining('not a regular file') }
    await expect(verifyFolder(data.dir, {}, data.openSpool)).rejects.toMatchObject(refused)
    const folder = await data.open()
    await expect(collect(query(folder, { days: {}, matches: () => true }))).rejects.toMatchObject(refused)
    const taker = {
      decision: () => undefined,
      unreadable: () => undefined,
      torn: () => undefined,
      progress: () => undefined,
    }
    await expect(takeDecisions(data.dir, {}, taker, data.openSpool)).rejects.toMatchObject(refused)
  })

  test('is no manifest', async () => {
    await data.archive(records)
    const [sealed = ''] = await data.seal()
    const manifest = join(data.dir, 'archive', sealed.replace('.ndjson.zst', '.manifest.json'))
    renameSync(manifest, `${manifest}.gone`)
    pipe(manifest)
    const result = await verifyFolder(data.dir, {}, data.openSpool)
    expect(result.bad).toEqual([
      expect.objectContaining({ kind: 'malformed', file: expect.stringMatching(/manifest/) }),
    ])
  })
})
