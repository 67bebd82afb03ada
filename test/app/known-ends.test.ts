import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { v7 as uuidv7 } from 'uuid'
import { readKnownEnds } from '../../src/app/known-ends.ts'
import { encodeEvent, firstPrevHash, sealRecord } from '../../src/audit/record.ts'
import { newAccess } from '../spool/opening.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-ends-'))
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Made {
  readonly lines: string
  /** Of the last one. */
  readonly hash: string
}

function recordsOf(trail: string, count: number): Made {
  let made: Made = { lines: '', hash: firstPrevHash }
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const place = { trail, sequence, prevHash: made.hash, recordedAt: new Date('2026-11-22T10:00:00Z') }
    const { line, hash } = sealRecord(encodeEvent(newAccess()), place)
    made = { lines: `${made.lines}${line}\n`, hash }
  }
  return made
}

function archive(day: string, trail: string, lines: string): void {
  mkdirSync(join(folder, 'archive', day), { recursive: true })
  writeFileSync(join(folder, 'archive', day, `${trail}.0000000000000001.ndjson`), lines)
}

function known(): ReturnType<typeof readKnownEnds> {
  return readKnownEnds('web-1', join(folder, 'archive'), join(folder, 'checkpoints.ndjson'))
}

test('nothing is known where there is neither an archive nor a file of checkpoints', async () => {
  expect(await known()).toEqual([])
})

test('the last whole record of the replica’s newest trail is known, whatever others wrote later', async () => {
  const [older, newer] = [`web-1-${uuidv7()}`, `web-1-${uuidv7()}`]
  archive('2026-11-21', older, recordsOf(older, 9).lines)
  const { lines, hash } = recordsOf(newer, 5)
  // The last line was being written.
  archive('2026-11-22', newer, `${lines}{"specversion":"1.0","id`)
  const foreign = `web-10-${uuidv7()}`
  archive('2026-11-23', foreign, recordsOf(foreign, 3).lines)
  writeFileSync(join(folder, 'checkpoints.ndjson'), recordsOf(older, 2).lines + recordsOf(foreign, 2).lines)
  const ends = await known()
  expect(ends.map(({ trail, sequence, from }) => [trail, sequence, from])).toEqual([
    [older, 2, 'checkpoint'],
    [newer, 5, 'archive'],
  ])
  expect(ends[1]?.hash).toBe(hash)
})
