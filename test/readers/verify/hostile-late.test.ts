import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { fileParts } from '../../../src/readers/verify/file-parts.ts'
import { topicParts } from '../../../src/readers/verify/topic-parts.ts'
import { verifyParts, type Verification } from '../../../src/readers/verify/verify.ts'
import { asPrevious, decisions, idOf, makeTrail, type MadeRecord } from '../../archive/trails.ts'
import { partition } from './parts.ts'

const trails = [1, 2].map((number) => `web-0-${idOf(number)}`) as [string, string]
const first = makeTrail({ trail: trails[0] }, decisions(39))
const second = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first) }, decisions(9))
/** What somebody would rather have written, from the same beginning. */
const other = makeTrail({ trail: trails[0] }, decisions(39, 700))

describe('records from before a late beginning', () => {
  function verified(...records: readonly (readonly MadeRecord[])[]): Promise<Verification> {
    const lines = records.flat().map(({ line }) => line)
    return verifyParts(partition(lines, 10), { threads: 0 })
  }

  test('are compared with what the first record that is left goes back to', async () => {
    const left = first.slice(10)
    expect(await verified(left, first.slice(4, 8), first.slice(8, 10))).toMatchObject({ verdict: 'whole' })
    expect(await verified(left, first.slice(4), first.slice(2, 6), first.slice(6))).toMatchObject({ verdict: 'whole' })
    expect((await verified(left, other.slice(9, 10))).first).toMatchObject({ kind: 'forked', sequence: 10, line: 40 })
    const within = await verified(left, first.slice(4, 10), other.slice(5, 7))
    expect(within.first).toMatchObject({ kind: 'forked', sequence: 7, line: 47 })
  })

  test('are told where nothing leads to them', async () => {
    const [forged] = other.slice(4, 5)
    expect((await verified(first.slice(10), [forged as MadeRecord])).first).toMatchObject({
      kind: 'inserted',
      trail: trails[0],
      sequence: 5,
      line: 40,
    })
  })
})

test('a replica that moved to another partition begins late where the old one is expired', async () => {
  const messages = (records: readonly MadeRecord[]) =>
    async function* () {
      await Promise.resolve()
      yield records.map(({ line }, offset) => ({ offset, value: Buffer.from(line) }))
    }
  const moved = [...first.slice(34), ...second]
  const parts = (gone: number) =>
    topicParts('audit', [
      { partition: 0, first: gone, end: gone, messages: messages([]) },
      { partition: 1, first: 0, end: moved.length, messages: messages(moved) },
    ])
  expect(await verifyParts(parts(34), { threads: 0 })).toMatchObject({ verdict: 'whole', totals: { records: 16 } })
  expect((await verifyParts(parts(0), { threads: 0 })).first).toMatchObject({ kind: 'missing', toSequence: 34 })
})

test('an export of a later part is verified from its first record where it is said to be one', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'countersign-partial-'))
  try {
    const file = join(dir, 'export.ndjson')
    writeFileSync(file, [...first.slice(20), ...second].map(({ line }) => `${line}\n`).join(''))
    const whole = await verifyParts(await fileParts([file]), { threads: 0 })
    expect(whole.first).toMatchObject({ kind: 'missing', toSequence: 20 })
    const part = await verifyParts(await fileParts([file], true), { threads: 0 })
    expect(part).toMatchObject({ verdict: 'whole', totals: { records: 30 } })
    expect(part.notes.slice(0, 2)).toEqual([
      `${trails[0]}: begins with sequence 21: what stood before is no part of this export (--partial)`,
      `${trails[0]}: no signature proves any of what is left: it could have been written anew`,
    ])
    writeFileSync(file, [...first.slice(20), ...second.slice(3)].map(({ line }) => `${line}\n`).join(''))
    const cut = await verifyParts(await fileParts([file], true), { threads: 0 })
    expect(cut.first).toMatchObject({ kind: 'missing', trail: trails[1], toSequence: 3 })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
