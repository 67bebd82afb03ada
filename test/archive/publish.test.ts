import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { realDisk } from '../../src/archive/disk.ts'
import { readIncoming, type IncomingRecord } from '../../src/archive/incoming.ts'
import { openPublisher, type PublishedSegment } from '../../src/archive/publish.ts'
import { listSegments } from '../../src/archive/read.ts'
import { sealSegment } from '../../src/archive/seal.ts'
import { openArchive } from '../../src/archive/write.ts'
import { FailingDisk } from './failing-disk.ts'
import { keptLines } from './kept-lines.ts'
import { decisions, idOf, makeTrail } from './trails.ts'

const trail = `web-0-${idOf(1)}`
const made = makeTrail({ trail }, decisions(40))
const records = incoming(made)
/** The same places, with other records from the sixth on. */
const forked = incoming(makeTrail({ trail }, [...decisions(5), ...decisions(35, 900)]))
const others = incoming(makeTrail({ trail: `web-1-${idOf(2)}` }, decisions(20)))
let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'countersign-publish-'))
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

function incoming(lines: readonly { readonly line: string }[]): IncomingRecord[] {
  return lines.map(({ line }) => {
    const read = readIncoming(Buffer.from(line))
    if (!read.ok) throw new Error(read.problem)
    return read.record
  })
}

function linesOf(some: readonly IncomingRecord[]): string[] {
  return some.map(({ line }) => line.toString())
}

function names(ending: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(ending))
}

function watched() {
  const segments: PublishedSegment[] = []
  return { segments, publisher: openPublisher(dir, { onSegment: (segment) => segments.push(segment) }) }
}

describe('records from outside', () => {
  test('become a sealed segment, with a claim, and nothing else', async () => {
    const { segments, publisher } = watched()
    await publisher.publish(records)
    expect(keptLines(dir)).toEqual(linesOf(records))
    expect(segments).toEqual([{ records: 41, forks: [], bytes: expect.any(Number) }])
    const base = `${trail}.0000000000000001`
    expect(readdirSync(join(dir, '2026-11-22')).sort()).toEqual([
      `${base}.claim`,
      `${base}.manifest.json`,
      `${base}.ndjson.zst`,
    ])
    expect((await listSegments(dir)).unknown).toEqual([])
  })

  test('are kept once each, however often and in whatever order they come', async () => {
    const { segments, publisher } = watched()
    await publisher.publish([...records.slice(0, 10), ...records.slice(5, 12), ...records.slice(0, 3)])
    await publisher.publish([...records.slice(20).reverse(), ...records.slice(0, 15)])
    await publisher.publish(records)
    await openPublisher(dir).publish(records)
    expect(keptLines(dir).sort()).toEqual(linesOf(records).sort())
    expect(segments.map((segment) => segment.records)).toEqual([12, 3, 21, 5])
  })

  test('of several trails and days stand in segments of their own', async () => {
    const overnight = incoming(makeTrail({ trail, atMs: 13.5 * 3600_000, stepMs: 20 * 60_000 }, decisions(4)))
    await openPublisher(dir).publish([overnight[0]!, ...others, ...overnight.slice(1)])
    expect(keptLines(dir).sort()).toEqual(linesOf([...overnight, ...others]).sort())
    expect((await listSegments(dir)).segments.map(({ day, first }) => [day, first])).toEqual([
      ['2026-11-22', 1],
      ['2026-11-23', 3],
      ['2026-11-22', 1],
    ])
  })

  test('are kept beside others in their places, which is told once', async () => {
    const { segments, publisher } = watched()
    await publisher.publish([...records.slice(0, 8), ...forked.slice(5, 7)])
    await publisher.publish(forked)
    await publisher.publish([...records, ...forked])
    const all = [...new Set([...linesOf(records), ...linesOf(forked)])]
    expect(keptLines(dir).sort()).toEqual(all.sort())
    const told = segments.flatMap(({ forks }) => forks.map(({ hash }) => hash))
    expect(new Set(told).size).toBe(told.length)
    expect(told).toHaveLength(forked.length - 6)
  })

  test('are left out where segments that a server wrote have them, open or sealed', async () => {
    const archive = openArchive(dir, { maxSegmentBytes: 20_000 })
    await archive.append(made.slice(0, 30))
    await archive.close()
    const [first] = (await listSegments(dir)).segments
    await sealSegment(dir, first!, realDisk)
    await openPublisher(dir).publish(records)
    expect(keptLines(dir).sort()).toEqual(linesOf(records).sort())
  })
})

describe('several publishers of one folder', () => {
  test('keep each record once, whatever each is given and when', async () => {
    const slice = fc.tuple(fc.nat(40), fc.nat(40)).map(([from, count]) => [from, from + 1 + count] as const)
    const given = fc.array(fc.tuple(fc.nat(2), fc.constantFrom(records, forked, others), slice), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(given, async (parts) => {
        rmSync(dir, { recursive: true, force: true })
        const publishers = [openPublisher(dir), openPublisher(dir), openPublisher(dir)]
        const some = parts.map(([who, from, [start, end]]) => ({ who, records: from.slice(start, end) }))
        await Promise.all(some.map((part) => publishers[part.who]!.publish(part.records)))
        const all = [...new Set(some.flatMap((part) => linesOf(part.records)))]
        expect(all.length === 0 ? [] : keptLines(dir).sort()).toEqual(all.sort())
        expect(all.length === 0 ? [] : names('.tmp')).toEqual([])
      }),
      { numRuns: 60 },
    )
  })

  test('start with the same records, as after a rebalance: one wins, the other publishes the rest', async () => {
    const [sleeper, successor] = [watched(), watched()]
    await Promise.all([sleeper.publisher.publish(records), successor.publisher.publish(records.slice(0, 20))])
    expect(keptLines(dir).sort()).toEqual(linesOf(records).sort())
  })
})

describe('a publication that is cut off', () => {
  test.each([
    ['the process is killed', true],
    ['the disk fails once', false],
  ])('is ended or begun anew by the next one, wherever %s', async (_what, dies) => {
    const whole = new FailingDisk(Infinity, false)
    await openPublisher(dir, { disk: whole }).publish(records)
    expect(whole.calls.length).toBeGreaterThan(10)
    for (let at = 0; at < whole.calls.length; at += 1) {
      rmSync(dir, { recursive: true })
      await openPublisher(dir).publish(records.slice(0, 5))
      const failing = openPublisher(dir, { disk: new FailingDisk(at, dies) })
      await failing.publish(records.slice(0, 30)).catch(() => undefined)
      const before = keptLines(dir)
      expect([at, new Set(before).size]).toEqual([at, before.length])
      // The same again where the process lives, and from another in any case.
      if (!dies) await failing.publish(records.slice(0, 30)).catch(() => undefined)
      await openPublisher(dir).publish(records)
      expect([at, keptLines(dir).sort()]).toEqual([at, linesOf(records).sort()])
    }
  })

  test('does not come back when the process that slept in the middle of it wakes up', async () => {
    for (const step of ['link', 'rename'] as const) {
      const { promise: asleep, resolve: wake } = Promise.withResolvers<undefined>()
      rmSync(dir, { recursive: true, force: true })
      const disk = {
        ...realDisk,
        [step]: async (from: string, to: string) => {
          await asleep
          await realDisk[step](from, to)
        },
      }
      const sleeper = openPublisher(dir, { disk }).publish(records.slice(0, 30))
      while (names('.tmp').length < (step === 'link' ? 2 : 1)) await new Promise((resolve) => setTimeout(resolve, 5))
      await openPublisher(dir).publish(records.slice(0, 20))
      await openPublisher(dir).publish(records)
      wake(undefined)
      await sleeper
      expect(keptLines(dir).sort()).toEqual(linesOf(records).sort())
    }
  })

  test('leaves no heap of files on a disk that stays full', async () => {
    for (let at = 0; at < 5; at += 1) {
      const disk = new FailingDisk(1, true)
      disk.unlink = (path) => realDisk.unlink(path)
      await expect(openPublisher(dir, { disk }).publish(records)).rejects.toMatchObject({
        code: 'ARCHIVE_UNWRITABLE',
        retryable: true,
      })
    }
    expect(names('.tmp')).toEqual([])
  })
})
