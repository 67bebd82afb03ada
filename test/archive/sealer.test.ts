import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { segmentPath } from '../../src/archive/layout.ts'
import { listSegments } from '../../src/archive/read.ts'
import type { SealingOptions } from '../../src/archive/sealer.ts'
import { openArchive, type ArchiveOptions, type ArchiveWriter } from '../../src/archive/write.ts'
import { FailingDisk } from './failing-disk.ts'
import { keptLines } from './kept-lines.ts'
import { decisions, idOf, makeTrail, type MadeRecord } from './trails.ts'

const trail = `web-0-${idOf(1)}`
const otherTrail = `web-0-${idOf(2)}`
let dir: string
let opened: ArchiveWriter[] = []

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'countersign-sealer-'))
})

afterEach(async () => {
  await Promise.all(opened.map((archive) => archive.close()))
  opened = []
  rmSync(dir, { recursive: true, force: true })
})

function openSealing(sealing: SealingOptions = {}, options: ArchiveOptions = {}): ArchiveWriter {
  const archive = openArchive(dir, { ...options, sealing })
  opened.push(archive)
  return archive
}

async function appendOpen(records: readonly MadeRecord[], maxSegmentBytes = 1_000_000): Promise<void> {
  const archive = openArchive(dir, { maxSegmentBytes })
  await archive.append(records)
  await archive.close()
}

function names(ending: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice('2026-11-22/'.length))
    .sort()
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5)
}

function linesOf(records: readonly MadeRecord[]): string[] {
  return records.map(({ line }) => line)
}

const records = makeTrail({ trail }, decisions(20))
const bytesOfFour = records.slice(0, 4).reduce((sum, { line }) => sum + Buffer.byteLength(line) + 1, 0)

describe('the archive seals what it adds no more to', () => {
  test('a segment that is full, while the next is written', async () => {
    const archive = openSealing({}, { maxSegmentBytes: bytesOfFour })
    await archive.append(records.slice(0, 10))
    await archive.append(records.slice(10))
    await until(() => names('.ndjson').length === 1)
    expect(names('.manifest.json').length).toBeGreaterThan(2)
    expect(keptLines(dir)).toEqual(linesOf(records))
  })

  test('a segment that is old, with the record that comes then', async () => {
    const archive = openSealing({ afterMs: 0 })
    await archive.append(records.slice(0, 1))
    await archive.append(records.slice(1, 2))
    await until(() => names('.ndjson').length === 1)
    expect(names('.ndjson')).toEqual([`${trail}.0000000000000002.ndjson`])
    expect(keptLines(dir)).toEqual(linesOf(records.slice(0, 2)))
  })

  test('a segment of a day that is over', async () => {
    const overnight = makeTrail({ trail, atMs: 13.5 * 3600_000, stepMs: 20 * 60_000 }, decisions(2))
    await openSealing().append(overnight)
    await until(() => names('.ndjson').length === 1)
    expect(keptLines(dir)).toEqual(linesOf(overnight))
  })

  test('all segments of a trail that is followed by another', async () => {
    await appendOpen(records.slice(0, 10), bytesOfFour)
    const next = makeTrail({ trail: otherTrail }, decisions(3))
    const archive = openSealing()
    await archive.append(records.slice(10))
    await archive.append(next)
    await until(() => names('.ndjson').length === 1)
    expect(names('.ndjson')).toEqual([`${otherTrail}.0000000000000001.ndjson`])
    expect(keptLines(dir)).toEqual(linesOf([...records, ...next]))
  })

  test('what earlier runs left open, in the background, torn lines cut off', async () => {
    await appendOpen(records, bytesOfFour)
    const [last] = (await listSegments(dir)).segments.slice(-1)
    const path = join(dir, segmentPath(last!))
    appendFileSync(path, '{"specversion":"1.0","id":')
    const next = makeTrail({ trail: otherTrail }, decisions(3))
    await openSealing().append(next)
    await until(() => names('.ndjson').length === 1)
    expect(keptLines(dir)).toEqual(linesOf([...records, ...next]))
  })
})

describe('sealing', () => {
  test('does not take from a trail what is written of it', async () => {
    await appendOpen(records.slice(0, 5))
    const archive = openSealing()
    await archive.append(records.slice(5, 10))
    await archive.append(records.slice(10))
    await archive.close()
    expect(names('.ndjson')).toEqual([`${trail}.0000000000000001.ndjson`])
    expect(names('.manifest.json')).toEqual([])
    expect(keptLines(dir)).toEqual(linesOf(records))
  })

  test('leaves a trail whose records still wait in the spool ready to be gone on with, in a segment of its own', async () => {
    await appendOpen(records.slice(0, 5))
    const archive = openSealing()
    await archive.append(makeTrail({ trail: otherTrail }, []))
    await until(() => names('.manifest.json').length === 1)
    await archive.append(records)
    await until(() => names('.manifest.json').length === 2)
    expect(names('.ndjson')).toEqual([`${trail}.0000000000000006.ndjson`])
    expect(keptLines(dir).filter((line) => line.includes(trail))).toEqual(linesOf(records))
  })

  test('gives each record once, also when it is given again after its segment was sealed', async () => {
    const archive = openSealing({ afterMs: 0 })
    for (const record of records) await archive.append([record])
    await until(() => names('.ndjson').length === 1)
    await archive.append(records)
    await archive.close()
    const again = openSealing()
    await again.append(records)
    expect(keptLines(dir)).toEqual(linesOf(records))
  })

  test('waits while the disk is full, loses nothing, and holds up nobody', async () => {
    const told: string[] = []
    const disk = new FailingDisk(0, false)
    const archive = openSealing({ afterMs: 0, disk, retryMs: 1, log: (_level, message) => told.push(message) })
    await archive.append(records.slice(0, 10))
    await archive.append(records.slice(10))
    await until(() => names('.ndjson').length === 1)
    expect(told).toEqual(['a segment could not be sealed and will be tried again'])
    expect(keptLines(dir)).toEqual(linesOf(records))
  })

  test('keeps trying for as long as the disk fails, and stops when the archive is closed', async () => {
    const disk = new FailingDisk(0, true)
    const archive = openSealing({ afterMs: 0, disk, retryMs: 1 })
    await archive.append(records.slice(0, 10))
    await archive.append(records.slice(10))
    await until(() => disk.calls.length > 5)
    await archive.close()
    const asked = disk.calls.length
    expect(names('.ndjson')).toHaveLength(records.length)
    await sleep(20)
    expect(disk.calls).toHaveLength(asked)
    expect(keptLines(dir)).toEqual(linesOf(records))
  })

  test('makes a tenth of records that are alike', async () => {
    const many = makeTrail({ trail }, decisions(2000))
    await appendOpen(many)
    await openSealing().append(makeTrail({ trail: otherTrail }, []))
    await until(() => names('.manifest.json').length > 0 && names('.ndjson').length === 1)
    const bytes = names('.ndjson.zst').reduce((sum, name) => sum + statSync(join(dir, '2026-11-22', name)).size, 0)
    expect(bytes).toBeLessThan(linesOf(many).join('\n').length / 5)
    expect(readFileSync(join(dir, '2026-11-22', names('.manifest.json')[0]!), 'utf8')).toContain('"generation":1')
  })
})
