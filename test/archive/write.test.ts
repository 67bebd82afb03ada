import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { OpenFile } from '../../src/archive/open-segment.ts'
import { openArchive } from '../../src/archive/write.ts'
import { asPrevious, decisions, idOf, makeTrail, type MadeRecord } from './trails.ts'

const trail = `web-0-${idOf(1)}`
let dir: string

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'countersign-archive-')), 'archive')
})

afterEach(() => {
  rmSync(join(dir, '..'), { recursive: true, force: true })
})

function segments(): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ndjson'))
    .sort()
}

function content(): string {
  return segments()
    .map((name) => readFileSync(join(dir, name), 'utf8'))
    .join('')
}

function linesOf(records: readonly MadeRecord[]): string {
  return records.map((record) => `${record.line}\n`).join('')
}

async function append(records: readonly MadeRecord[], options = {}): Promise<void> {
  const archive = openArchive(dir, options)
  await archive.append(records)
  await archive.close()
}

describe('what is written', () => {
  test('is each record byte for byte, one a line, under its day and trail', async () => {
    const records = makeTrail({ trail }, decisions(5))
    await append(records)
    expect(segments()).toEqual([`2026-11-22/${trail}.0000000000000001.ndjson`])
    expect(content()).toBe(linesOf(records))
  })

  test('can be read by its owner alone', async () => {
    await append(makeTrail({ trail }, []))
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(statSync(join(dir, '2026-11-22')).mode & 0o777).toBe(0o700)
    expect(statSync(join(dir, segments()[0] as string)).mode & 0o777).toBe(0o600)
  })

  test('is taken from everybody else where the folder was there already, also when its segment is gone on with', async () => {
    const records = makeTrail({ trail }, decisions(2))
    mkdirSync(dir, { mode: 0o755 })
    for (const part of [records.slice(0, 1), records.slice(1)]) {
      chmodSync(dir, 0o755)
      await append(part)
      expect(statSync(dir).mode & 0o777).toBe(0o700)
    }
    expect(segments()).toHaveLength(1)
  })

  test('goes to a new segment at midnight UTC, and when the clock steps back', async () => {
    const before = makeTrail({ trail, atMs: 13.5 * 3600_000, stepMs: 20 * 60_000 }, decisions(2))
    const after = makeTrail({ trail, atMs: 0 }, decisions(3)).slice(3)
    await append([...before, ...after])
    expect(segments()).toEqual([
      `2026-11-22/${trail}.0000000000000001.ndjson`,
      `2026-11-22/${trail}.0000000000000004.ndjson`,
      `2026-11-23/${trail}.0000000000000003.ndjson`,
    ])
  })

  test('goes to a new segment when one is full', async () => {
    const records = makeTrail({ trail }, decisions(9))
    const maxSegmentBytes = Buffer.byteLength(linesOf(records.slice(0, 4)))
    await append(records, { maxSegmentBytes })
    expect(segments().length).toBeGreaterThan(1)
    expect(content()).toBe(linesOf(records))
    for (const name of segments()) expect(statSync(join(dir, name)).size).toBeLessThanOrEqual(maxSegmentBytes)
  })

  test('keeps trails apart that come mixed', async () => {
    const one = makeTrail({ trail }, decisions(3))
    const two = makeTrail({ trail: `web-1-${idOf(2)}`, previous: asPrevious(one) }, decisions(3))
    const archive = openArchive(dir)
    await archive.append([...one.slice(0, 2), ...two.slice(0, 2)])
    await archive.append([...one.slice(2), ...two.slice(2)])
    await archive.close()
    expect(segments()).toHaveLength(2)
    expect(content()).toBe(linesOf([...one, ...two]))
  })
})

describe('what is given again', () => {
  test('is not written twice by the same writer', async () => {
    const records = makeTrail({ trail }, decisions(5))
    const archive = openArchive(dir)
    await archive.append(records.slice(0, 4))
    await archive.append(records)
    await archive.close()
    expect(content()).toBe(linesOf(records))
  })

  test('is not written twice after a restart, over several segments', async () => {
    const records = makeTrail({ trail }, decisions(9))
    const maxSegmentBytes = Buffer.byteLength(linesOf(records.slice(0, 3)))
    await append(records.slice(0, 8), { maxSegmentBytes })
    const before = segments()
    await append(records.slice(1), { maxSegmentBytes })
    expect(content()).toBe(linesOf(records))
    expect(segments().length - before.length).toBeLessThanOrEqual(1)
  })

  test('is kept beside the other where the same place has other bytes', async () => {
    const records = makeTrail({ trail }, decisions(5))
    const forked = makeTrail({ trail }, decisions(5, 900))
    await append(records)
    await append(forked.slice(3))
    for (const { line } of [...records, ...forked.slice(3)]) expect(content()).toContain(line)
  })
})

describe('after a crash', () => {
  test('a torn last line is cut off, and the trail goes on in the same segment', async () => {
    const records = makeTrail({ trail }, decisions(5))
    await append(records.slice(0, 3))
    appendFileSync(join(dir, segments()[0] as string), (records[3] as MadeRecord).line.slice(0, 700))
    await append(records.slice(3))
    expect(segments()).toHaveLength(1)
    expect(content()).toBe(linesOf(records))
  })

  test('holes of a power failure are cut off where all that stands behind them is given again', async () => {
    const records = makeTrail({ trail }, decisions(6))
    await append(records.slice(0, 3))
    const path = join(dir, segments()[0] as string)
    const lost = '\0'.repeat((records[3] as MadeRecord).line.length + 100)
    appendFileSync(path, `${lost}\n${linesOf(records.slice(4, 5))}`)
    await append(records.slice(2))
    expect(segments()).toHaveLength(1)
    expect(content()).toBe(linesOf(records))
  })

  test('holes before a record that is not given again are left alone', async () => {
    const records = makeTrail({ trail }, decisions(6))
    await append(records.slice(0, 2))
    const path = join(dir, segments()[0] as string)
    appendFileSync(path, `\0\0\n${linesOf(records.slice(2, 4))}`)
    const before = content()
    await append(records.slice(4))
    expect(content()).toBe(`${before}${linesOf(records.slice(4))}`)
  })

  test('a segment with nothing but a torn line is begun anew', async () => {
    const records = makeTrail({ trail }, decisions(2))
    await append(records.slice(0, 1))
    truncateSync(join(dir, segments()[0] as string), 100)
    await append(records)
    expect(content()).toBe(linesOf(records))
  })

  test('a segment whose last line is damaged is left alone, and a new one begun', async () => {
    const records = makeTrail({ trail }, decisions(4))
    await append(records.slice(0, 3))
    const path = join(dir, segments()[0] as string)
    appendFileSync(path, 'damage\n')
    await append(records.slice(2))
    expect(readFileSync(path, 'utf8')).toBe(`${linesOf(records.slice(0, 3))}damage\n`)
    expect(content()).toBe(`${linesOf(records.slice(0, 3))}damage\n${linesOf(records.slice(2))}`)
  })
})

/** A disk with room for so many more bytes: the write that does not fit reports success with what did, the next one fails. */
class SmallDisk {
  room: number
  syncFails = false

  constructor(room: number) {
    this.room = room
  }

  readonly open: OpenFile = async (path, flags, mode) => {
    const file = await open(path, flags, mode)
    return {
      write: async (bytes) => {
        if (this.room === 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
        const taken = bytes.subarray(0, this.room)
        this.room -= taken.length
        return file.write(taken)
      },
      sync: async () => {
        if (this.syncFails) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' })
        await file.sync()
      },
      close: () => file.close(),
    }
  }
}

describe('a disk that fails', () => {
  test('rejects, retryable, and leaves no torn line when it is full in the middle of a record', async () => {
    const records = makeTrail({ trail }, decisions(5))
    const disk = new SmallDisk(Buffer.byteLength(linesOf(records.slice(0, 3))) + 200)
    const archive = openArchive(dir, { openFile: disk.open })
    await archive.append(records.slice(0, 2))
    await expect(archive.append(records.slice(2))).rejects.toMatchObject({
      code: 'ARCHIVE_UNWRITABLE',
      retryable: true,
      message: expect.stringContaining('no space left'),
    })
    expect(content()).toBe(linesOf(records.slice(0, 2)))
    disk.room = Infinity
    await archive.append(records.slice(2))
    await archive.close()
    expect(content()).toBe(linesOf(records))
  })

  test('leaves nothing behind when not even the first record fits, however often it is tried', async () => {
    const records = makeTrail({ trail }, decisions(2))
    const disk = new SmallDisk(10)
    const archive = openArchive(dir, { openFile: disk.open })
    await expect(archive.append(records)).rejects.toMatchObject({ code: 'ARCHIVE_UNWRITABLE' })
    await expect(archive.append(records)).rejects.toMatchObject({ code: 'ARCHIVE_UNWRITABLE' })
    expect(segments()).toEqual([])
    disk.room = Infinity
    await archive.append(records)
    await archive.close()
    expect(content()).toBe(linesOf(records))
  })

  test('is not trusted after a failed sync: what it may hold is cut off and written to another segment', async () => {
    const records = makeTrail({ trail }, decisions(5))
    const disk = new SmallDisk(Infinity)
    const archive = openArchive(dir, { openFile: disk.open })
    await archive.append(records.slice(0, 2))
    disk.syncFails = true
    await expect(archive.append(records.slice(2))).rejects.toMatchObject({ code: 'ARCHIVE_UNWRITABLE' })
    disk.syncFails = false
    await archive.append(records.slice(2))
    await archive.close()
    expect(segments()).toHaveLength(2)
    expect(content()).toBe(linesOf(records))
  })

  test('reports success only for what was synced', async () => {
    const records = makeTrail({ trail }, decisions(5))
    const synced: number[] = []
    const openFile: OpenFile = async (path, flags, mode) => {
      const file = await open(path, flags, mode)
      return {
        write: (bytes) => file.write(bytes),
        close: () => file.close(),
        sync: async () => {
          await file.sync()
          synced.push((await file.stat()).size)
        },
      }
    }
    const archive = openArchive(dir, { openFile })
    await archive.append(records)
    expect(synced.at(-1)).toBe(Buffer.byteLength(linesOf(records)))
    await archive.close()
  })
})
