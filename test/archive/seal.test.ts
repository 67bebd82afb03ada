import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { zstdCompressSync } from 'node:zlib'
import { realDisk } from '../../src/archive/disk.ts'
import { manifestPath, segmentPath, type SealedSegment } from '../../src/archive/layout.ts'
import { encodeManifest, readManifest, type Manifest } from '../../src/archive/manifest.ts'
import { listSegments, readSegment, segmentChunks } from '../../src/archive/read.ts'
import { sealSegment } from '../../src/archive/seal.ts'
import { openArchive } from '../../src/archive/write.ts'
import { collect } from '../readers/data-folder.ts'
import { FailingDisk } from './failing-disk.ts'
import { keptLines } from './kept-lines.ts'
import { decisions, idOf, makeTrail, type MadeRecord } from './trails.ts'

const trail = `web-0-${idOf(1)}`
const place = { day: '2026-11-22', trail, first: 1, copy: 0 }
const sealed: SealedSegment = { ...place, generation: 1 }
const records = makeTrail({ trail }, decisions(200))
let dir: string

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'countersign-seal-'))
  await append(records)
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

async function append(some: readonly MadeRecord[]): Promise<void> {
  const archive = openArchive(dir)
  await archive.append(some)
  await archive.close()
}

function names(): string[] {
  return readdirSync(join(dir, place.day)).sort()
}

function linesOf(some: readonly MadeRecord[]): string {
  return some.map(({ line }) => `${line}\n`).join('')
}

function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What readers give, each segment once. */
async function read(): Promise<string[]> {
  const found: string[] = []
  for (const segment of (await listSegments(dir)).segments) {
    for await (const line of readSegment(join(dir, segmentPath(segment)))) found.push(line.bytes.toString())
  }
  return found
}

const lines = records.map(({ line }) => line)

describe('a sealed segment', () => {
  test('holds the same bytes, compressed, under a manifest that says what they are', async () => {
    expect(await sealSegment(dir, place, realDisk)).toEqual({ kind: 'sealed' })
    const base = `${trail}.0000000000000001`
    expect(names()).toEqual([`${base}.manifest.json`, `${base}.ndjson.zst`])
    expect(keptLines(dir)).toEqual(lines)
    const compressed = readFileSync(join(dir, segmentPath(sealed)))
    expect(JSON.parse(readFileSync(join(dir, manifestPath(sealed)), 'utf8'))).toEqual({
      manifest: 1,
      segment: segmentPath(sealed),
      trail,
      day: '2026-11-22',
      first: '0000000000000001',
      last: '0000000000000201',
      records: 201,
      prevhash: '0'.repeat(64),
      hash: records.at(-1)?.hash,
      bytes: Buffer.byteLength(linesOf(records)),
      sha256: sha256(linesOf(records)),
      compressed: { format: 'zstd', bytes: compressed.length, sha256: sha256(compressed) },
      generation: 1,
      replaces: [],
      tombstones: 0,
      signatures: [],
    })
    for (const name of names()) expect(statSync(join(dir, place.day, name)).mode & 0o777).toBe(0o600)
  })

  test('is read like an open one, line by line and as chunks', async () => {
    await sealSegment(dir, place, realDisk)
    expect(await read()).toEqual(lines)
    expect(Buffer.concat(await collect(segmentChunks(dir, sealed))).toString()).toBe(linesOf(records))
  })

  test('is found by whoever listed it while it was open', async () => {
    const [open] = (await listSegments(dir)).segments
    await sealSegment(dir, place, realDisk)
    expect(open).toEqual(place)
    const found: string[] = []
    for await (const line of readSegment(join(dir, segmentPath(place)))) found.push(line.bytes.toString())
    expect(found).toEqual(lines)
  })

  test.each([
    ['a flipped byte', (bytes: Buffer) => bytes.fill(bytes[99]! ^ 1, 99, 100)],
    ['a missing end', (bytes: Buffer) => bytes.subarray(0, -9)],
    ['nothing', () => Buffer.alloc(0)],
  ])('tells damage where it can no longer be read: %s', async (_what, damage) => {
    await sealSegment(dir, place, realDisk)
    const path = join(dir, segmentPath(sealed))
    writeFileSync(path, damage(readFileSync(path)))
    const ends: string[] = []
    for await (const line of readSegment(path)) ends.push(line.end)
    expect(ends.at(-1)).toBe('damaged')
    await expect(collect(segmentChunks(dir, sealed))).rejects.toMatchObject({ code: 'ARCHIVE_DAMAGED' })
  })

  test.each([
    ['damage', 'damage\n'],
    ['a gap', `${records[5]!.line}\n`],
    ['a torn line', records[3]!.line.slice(0, 700)],
  ])('is not made of lines that it may not hold: %s', async (_what, text) => {
    const path = join(dir, segmentPath(place))
    writeFileSync(path, `${linesOf(records.slice(0, 3))}${text}`)
    const before = readFileSync(path)
    expect(await sealSegment(dir, place, realDisk)).toMatchObject({ kind: 'left' })
    expect(names()).toEqual([`${trail}.0000000000000001.ndjson`])
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('does not take the place of another that was published under its name', async () => {
    const open = readFileSync(join(dir, segmentPath(place)))
    await sealSegment(dir, place, realDisk)
    writeFileSync(join(dir, segmentPath(place)), open.subarray(0, open.indexOf('\n') + 1))
    expect(await sealSegment(dir, place, realDisk)).toMatchObject({ kind: 'left' })
    // Both are read, for what the open one holds may stand nowhere else.
    expect((await listSegments(dir)).segments).toEqual([place, sealed])
  })
})

/** How many calls sealing makes when nothing fails. */
async function callsOfSealing(): Promise<number> {
  const disk = new FailingDisk(Infinity, false)
  await sealSegment(dir, place, disk)
  rmSync(join(dir, place.day), { recursive: true })
  await append(records)
  return disk.calls.length
}

describe('sealing that is cut off', () => {
  test.each([
    ['the process is killed', true],
    ['the disk fails once', false],
  ])('keeps each record readable exactly once wherever %s, and is ended by the next try', async (_what, dies) => {
    const calls = await callsOfSealing()
    expect(calls).toBeGreaterThan(8)
    for (let at = 0; at < calls; at += 1) {
      const disk = new FailingDisk(at, dies)
      await sealSegment(dir, place, disk).catch(() => undefined)
      expect([at, await read()]).toEqual([at, lines])
      expect([at, keptLines(dir)]).toEqual([at, lines])
      expect([at, await sealSegment(dir, place, realDisk)]).toEqual([at, { kind: 'sealed' }])
      expect([at, existsSync(join(dir, segmentPath(place)))]).toEqual([at, false])
      expect([at, await read()]).toEqual([at, lines])
      expect([at, names().filter((name) => name.endsWith('.tmp'))]).toEqual([at, []])
      rmSync(join(dir, place.day), { recursive: true })
      await append(records)
    }
  })
})

describe('generations', () => {
  /** Publishes another generation of the segment, as retention will. */
  async function publish(generation: number, some: readonly MadeRecord[], change: Partial<Manifest> = {}) {
    const segment = { ...sealed, generation }
    const text = linesOf(some)
    const bytes = zstdCompressSync(text)
    const first = await readManifest(dir, sealed)
    writeFileSync(join(dir, segmentPath(segment)), bytes)
    const digests = { bytes: Buffer.byteLength(text), sha256: sha256(text) }
    const compressed = { bytes: bytes.length, sha256: sha256(bytes) }
    const manifest = { ...(first as Manifest), ...digests, segment, compressed, records: some.length, ...change }
    writeFileSync(join(dir, manifestPath(segment)), encodeManifest(manifest))
  }

  beforeEach(async () => {
    await sealSegment(dir, place, realDisk)
  })

  test('give way to the highest', async () => {
    await publish(2, records.slice(0, 7))
    await publish(10, records.slice(0, 5))
    expect(await read()).toEqual(lines.slice(0, 5))
  })

  test('are passed over where they are not whole: without lines, without manifest, cut short', async () => {
    await publish(2, records.slice(0, 7))
    await publish(3, records)
    rmSync(join(dir, segmentPath({ ...sealed, generation: 3 })))
    await publish(4, records)
    rmSync(join(dir, manifestPath({ ...sealed, generation: 4 })))
    await publish(5, records)
    writeFileSync(join(dir, segmentPath({ ...sealed, generation: 5 })), 'cut')
    await publish(6, records)
    writeFileSync(join(dir, manifestPath({ ...sealed, generation: 6 })), '{"manifest":1')
    expect(await read()).toEqual(lines.slice(0, 7))
  })

  test('hide the segments that they replace', async () => {
    const second = makeTrail({ trail }, decisions(300)).slice(201)
    await append(second)
    const next = { ...place, first: second[0]!.sequence }
    await sealSegment(dir, next, realDisk)
    expect((await listSegments(dir)).segments).toHaveLength(2)
    await publish(2, [...records, ...second], {
      replaces: [segmentPath(sealed), segmentPath({ ...next, generation: 1 })],
    })
    expect((await listSegments(dir)).segments).toEqual([{ ...sealed, generation: 2 }])
  })
})

test('lines without a manifest are no segment, nor is a manifest without lines, and both are named', async () => {
  await sealSegment(dir, place, realDisk)
  const manifest = readFileSync(join(dir, manifestPath(sealed)))
  rmSync(join(dir, manifestPath(sealed)))
  expect(await listSegments(dir)).toEqual({ segments: [], unknown: [], unfinished: [segmentPath(sealed)] })
  rmSync(join(dir, segmentPath(sealed)))
  writeFileSync(join(dir, manifestPath(sealed)), manifest)
  expect(await listSegments(dir)).toMatchObject({ segments: [], unfinished: [segmentPath(sealed)] })
})
