import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { trailEvent } from '../../../src/audit/event.ts'
import { encodeEvent, firstPrevHash, sealRecord } from '../../../src/audit/record.ts'
import { verifyFolder } from '../../../src/readers/verify/verify-folder.ts'
import type { Verification } from '../../../src/readers/verify/verify.ts'
import { asPrevious, decisionOf, decisions, idOf, makeTrail, timeAt, type MadeRecord } from '../../archive/trails.ts'
import { TestData, textOf } from '../data-folder.ts'

const trails = [1, 2, 3].map((number) => `web-0-${idOf(number)}`) as [string, string, string]
const first = makeTrail({ trail: trails[0] }, decisions(9))
const second = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first), position: 11 }, decisions(9))
const third = makeTrail({ trail: trails[2], atMs: 120_000, previous: asPrevious(second), position: 21 }, decisions(9))
let data: TestData

beforeEach(() => {
  data = new TestData()
})

afterEach(() => {
  data[Symbol.dispose]()
})

function verdict(): Promise<Verification> {
  return verifyFolder(data.dir, {}, data.openSpool)
}

/** Writes the second of three trails as `change` leaves its lines. */
async function damage(change: (lines: string[]) => readonly string[]): Promise<Verification> {
  data.segment(trails[0], 1, textOf(first))
  const lines = change(second.map(({ line }) => line))
  data.segment(trails[1], 1, lines.map((line) => `${line}\n`).join(''))
  data.segment(trails[2], 1, textOf(third))
  return verdict()
}

const file = `archive/2026-11-22/${trails[1]}.0000000000000001.ndjson`

describe('a data folder without an archive', () => {
  test('is judged from what the spool still holds, and says so', async () => {
    data.spooled = [...second.slice(4), ...third]
    const result = await verdict()
    expect(result).toMatchObject({ verdict: 'whole', first: null, totals: { trails: 2, records: 16, segments: 0 } })
    expect(result.trails[0]).toMatchObject({ records: 6, firstSequence: 5, lastSequence: 10, end: 'named' })
    expect(result.notes).toContain(
      `${trails[1]}: begins with sequence 5: what stood before has been delivered, and is not here`,
    )
  })

  test('is broken where a record is missing between those that are left', async () => {
    data.spooled = [...second.slice(4, 6), ...second.slice(7), ...third]
    expect(await verdict()).toMatchObject({
      verdict: 'broken',
      first: { kind: 'missing', trail: trails[1], sequence: 7, problem: 'sequence 7 is missing before this record' },
    })
  })
})

describe('trails that are whole', () => {
  test('have their first records in the archive, where there is one', async () => {
    data.segment(trails[2], 1, textOf(third))
    data.spooled = second.slice(4)
    expect(await verdict()).toMatchObject({
      verdict: 'broken',
      first: { kind: 'missing', trail: trails[1], sequence: 1, toSequence: 4, file: 'spool', line: 15 },
    })
  })

  test('are told with their records, ends and times', async () => {
    const result = await damage((lines) => lines)
    expect(result).toMatchObject({
      verdict: 'whole',
      first: null,
      totals: { trails: 3, records: 30, duplicates: 0, segments: 3 },
    })
    expect(result.trails[1]).toEqual({
      trail: trails[1],
      whole: true,
      records: 10,
      duplicates: 0,
      firstSequence: 1,
      lastSequence: 10,
      lastHash: second.at(-1)?.hash,
      closed: false,
      end: 'named',
      provenTo: 0,
      provenBy: null,
      endProven: false,
      signed: null,
      lastPlace: { source: 'archive', file, line: 10 },
      from: timeAt(60_000).toISOString(),
      to: timeAt(69_000).toISOString(),
    })
    expect(result.notes.map((note) => note.split(':').slice(0, 2).join(':'))).toEqual(
      trails.map((trail) => `${trail}: end not proven`),
    )
  })

  test('are whole when part of them waits in the spool, or is in both places', async () => {
    await data.archive([...first, ...second.slice(0, 6)])
    data.spooled = [...second.slice(4), ...third]
    const result = await verdict()
    expect(result).toMatchObject({ verdict: 'whole', totals: { trails: 3, records: 30, duplicates: 2 } })
  })

  test('are whole over many segments, days and a clock that steps back', async () => {
    const day = makeTrail({ trail: trails[0], stepMs: 7 * 3600_000 }, decisions(9))
    await data.archive(day, 4000)
    const back = makeTrail(
      { trail: trails[1], atMs: 90 * 3600_000, stepMs: -5 * 3600_000, previous: asPrevious(day) },
      [...decisions(9)],
    )
    await data.archive(back)
    expect(await verdict()).toMatchObject({ verdict: 'whole', totals: { records: 20 } })
  })

  test('need no word of a successor when they are closed', async () => {
    const closed = trailEvent(idOf(5), timeAt(0), { change: 'closed', delivered: 3, left: 0 })
    await data.archive(makeTrail({ trail: trails[0] }, [...decisions(2), closed]))
    const result = await verdict()
    expect(result.trails[0]).toMatchObject({ closed: true, end: 'closed' })
    expect(result.notes[0]).toContain('end not proven: its last record closes it')
  })

  test('an empty folder is neither whole nor broken', async () => {
    expect(await verdict()).toMatchObject({ verdict: 'empty', totals: { records: 0 } })
  })
})

function flip(line: string, at: number): string {
  return line.slice(0, at) + (line[at] === '0' ? '1' : '0') + line.slice(at + 1)
}

describe('damage is found and named by file and line', () => {
  test('a flipped byte, wherever in the record it is', async () => {
    const length = (second[4] as MadeRecord).line.length
    for (let at = 0; at < length; at += 29) {
      const result = await damage((lines) => lines.with(4, flip(lines[4] as string, at)))
      expect(result.first).toMatchObject({ trail: trails[1], sequence: 5, file, line: 5 })
    }
  })

  test.each(['prevhash":"', 'sequence":"', 'hash":"', 'trail":"'])('a flipped byte in %s', async (member) => {
    const result = await damage((lines) => {
      const line = lines[4] as string
      return lines.with(4, flip(line, line.lastIndexOf(member) + member.length + 3))
    })
    expect(result.first).toMatchObject({ trail: trails[1], sequence: 5, file, line: 5 })
  })

  test('a byte that is not UTF-8 in place of a character that is read the same', async () => {
    const odd = makeTrail({ trail: trails[0] }, [decisionOf({ number: 1, path: '/\uFFFD' })])
    const name = data.segment(trails[0], 1, textOf(odd))
    expect(await verdict()).toMatchObject({ verdict: 'whole' })
    const bytes = readFileSync(join(data.dir, name))
    const at = bytes.indexOf(Buffer.from('\uFFFD'))
    writeFileSync(join(data.dir, name), Buffer.concat([bytes.subarray(0, at), Buffer.of(0xff), bytes.subarray(at + 3)]))
    expect((await verdict()).first).toMatchObject({ kind: 'altered', file: name, line: 2 })
  })

  test('a dropped line', async () => {
    const result = await damage((lines) => lines.toSpliced(4, 1))
    expect(result.first).toMatchObject({ kind: 'missing', sequence: 5, toSequence: null, file, line: 5 })
    expect(result.first?.problem).toBe('sequence 5 is missing before this record')
  })

  test('the first line dropped', async () => {
    const result = await damage((lines) => lines.slice(1))
    expect(result.bad).toContainEqual(
      expect.objectContaining({ kind: 'missing', trail: trails[1], sequence: 1, file, line: 1 }),
    )
  })

  test('swapped lines', async () => {
    const result = await damage((lines) => lines.with(4, lines[5] as string).with(5, lines[4] as string))
    expect(result.first).toMatchObject({ kind: 'reordered', sequence: 5, file, line: 5 })
  })

  test('an inserted line of another trail', async () => {
    const result = await damage((lines) => lines.toSpliced(4, 0, (first[4] as MadeRecord).line))
    expect(result.first).toMatchObject({ file, line: 5, problem: `the record belongs to trail ${trails[0]}` })
  })

  test('an inserted record that is sound in itself and claims a place of its own', async () => {
    const forged = makeTrail({ trail: trails[1], previous: asPrevious(first) }, decisions(9, 700))
    const result = await damage((lines) => lines.toSpliced(4, 0, (forged[8] as MadeRecord).line))
    expect(result.first).toMatchObject({ kind: 'inserted', file, line: 5, sequence: 5 })
  })

  test('another record in the same place: a fork', async () => {
    const forged = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first) }, decisions(9, 700))
    const result = await damage((lines) => lines.toSpliced(5, 0, (forged[4] as MadeRecord).line))
    expect(result.first).toMatchObject({ file, line: 6, sequence: 5 })
    expect(result.first?.problem).toContain('fork')
  })

  test('a rewritten rest of the trail, chained again, by its first record', async () => {
    const rewritten = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first) }, decisions(9, 700))
    const result = await damage((lines) => [...lines.slice(0, 4), ...rewritten.slice(4).map(({ line }) => line)])
    expect(result.first).toMatchObject({ file, line: 5, sequence: 5 })
    expect(result.first?.problem).toContain('hash of the one before it')
  })

  test('a whole trail rewritten, by the trail that follows it', async () => {
    const rewritten = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first) }, decisions(9, 700))
    const result = await damage(() => rewritten.map(({ line }) => line))
    expect(result.first).toMatchObject({ file, line: 10, sequence: 10 })
    expect(result.first?.problem).toContain(`${trails[2]} names another hash`)
  })

  test('a cut tail of a trail that is not the last', async () => {
    const result = await damage((lines) => lines.slice(0, 7))
    expect(result.first).toMatchObject({ trail: trails[1], sequence: 8, file, line: 7 })
    expect(result.first?.problem).toContain(`${trails[2]} names sequence 10 as its last`)
  })

  test('a tail cut in the middle of a line', async () => {
    await damage((lines) => lines)
    writeFileSync(join(data.dir, file), textOf(second).slice(0, -300))
    const result = await verdict()
    expect(result.first).toMatchObject({ trail: trails[1], sequence: 10, file, line: 10 })
  })

  test('a trail that goes on after the end that its successor names', async () => {
    const longer = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first) }, decisions(11))
    const result = await damage(() => longer.map(({ line }) => line))
    expect(result.first).toMatchObject({ trail: trails[1], sequence: 11, file, line: 11 })
    expect(result.first?.problem).toContain('goes on')
  })

  test('a missing trail', async () => {
    await data.archive([...first, ...third])
    const result = await verdict()
    expect(result.first).toMatchObject({
      trail: trails[1],
      file: `archive/2026-11-22/${trails[2]}.0000000000000001.ndjson`,
      line: 1,
    })
    expect(result.first?.problem).toContain('missing')
  })

  test('a trail that names a wrong end of the one before it', async () => {
    const wrong = makeTrail({ trail: trails[1], previous: { ...asPrevious(first), hash: 'f'.repeat(64) } }, [])
    await data.archive([...first, ...wrong])
    expect((await verdict()).first).toMatchObject({ trail: trails[0], sequence: 10 })
  })

  test('a trail that does not begin with its opening', async () => {
    const place = { trail: trails[0], sequence: 1, prevHash: firstPrevHash, recordedAt: timeAt(0) }
    data.segment(trails[0], 1, textOf([sealRecord(encodeEvent(decisionOf({ number: 1 })), place)]))
    expect((await verdict()).first?.problem).toContain('trail was opened')
    expect((await verdict()).first).toMatchObject({ sequence: 1, line: 1 })
  })

  test('a segment moved to another day, where a query would not look', async () => {
    data.segment(trails[0], 1, textOf(first), 0, '2026-11-21')
    expect((await verdict()).first).toMatchObject({ sequence: 1 })
    expect((await verdict()).first?.problem).toContain('folder of another day')
  })

  test('a missing segment in the middle', async () => {
    data.segment(trails[0], 1, textOf(first.slice(0, 3)))
    const name = data.segment(trails[0], 7, textOf(first.slice(6)))
    expect((await verdict()).first).toMatchObject({ kind: 'missing', sequence: 4, toSequence: 6, file: name, line: 1 })
  })

  test('a record that is not the same in archive and spool', async () => {
    const forged = makeTrail({ trail: trails[0] }, decisions(9, 700))
    await data.archive(first)
    data.spooled = [forged[9] as MadeRecord]
    expect((await verdict()).first).toMatchObject({ sequence: 10, file: 'spool', line: 10 })
  })

  test('a line longer than any record, without keeping it', async () => {
    const name = data.segment(trails[0], 1, `${textOf(first.slice(0, 1))}${'x'.repeat(3_000_000)}\n`)
    expect((await verdict()).first).toMatchObject({ file: name, line: 2 })
    expect((await verdict()).first?.problem).toContain('longer than a record')
  })

  test('a doubled line, because an archive has each record once', async () => {
    const result = await damage((lines) => lines.toSpliced(4, 0, lines[4] as string))
    expect(result.first).toMatchObject({ kind: 'doubled', sequence: 5, toSequence: null, file, line: 6 })
  })

  test('a doubled run of lines', async () => {
    const result = await damage((lines) => [...lines.slice(0, 6), ...lines.slice(3)])
    expect(result.first).toMatchObject({ kind: 'doubled', sequence: 4, toSequence: 6, file, line: 7 })
  })

  test('in several trails at once, in their order', async () => {
    data.segment(trails[0], 1, textOf(first.toSpliced(3, 1)))
    data.segment(trails[1], 1, textOf(second))
    data.segment(trails[2], 1, textOf(third.toSpliced(2, 1)))
    expect((await verdict()).bad.map(({ trail }) => trail)).toEqual([trails[0], trails[2]])
  })
})

describe('what is no damage', () => {
  test('a torn last line of the open trail is noted', async () => {
    data.segment(trails[0], 1, textOf(first).slice(0, -20))
    const result = await verdict()
    expect(result).toMatchObject({ verdict: 'whole', totals: { records: 9 } })
    expect(result.notes[0]).toContain('not acknowledged yet, or is cut off')
  })

  test('a torn last line whose record the spool still has is noted', async () => {
    data.segment(trails[0], 1, textOf(first).slice(0, -20))
    data.spooled = [first[9] as MadeRecord, ...second]
    const result = await verdict()
    expect(result).toMatchObject({ verdict: 'whole', totals: { records: 20 } })
    expect(result.notes[0]).toContain('stands whole at spool:10')
  })

  test('a torn line is damage where its record does not follow whole', async () => {
    const name = data.segment(trails[0], 1, `${textOf(first.slice(0, 4))}{"torn":`)
    data.segment(trails[0], 5, textOf(first.slice(4)))
    expect((await verdict()).first).toMatchObject({
      sequence: 5,
      file: name,
      line: 5,
      problem: 'the line is cut short',
    })
  })

  test('a segment that was given up and written again is read over', async () => {
    data.segment(trails[0], 1, textOf(first.slice(0, 6)).slice(0, -50))
    data.segment(trails[0], 4, textOf(first.slice(3)))
    expect(await verdict()).toMatchObject({ verdict: 'whole', totals: { records: 10, duplicates: 2 } })
  })

  test('other files in the archive are named', async () => {
    await data.archive(first)
    writeFileSync(join(data.dir, 'archive', '2026-11-22', 'notes.txt'), 'hello')
    expect((await verdict()).notes[0]).toBe('archive/2026-11-22/notes.txt is not a segment and was not read')
  })
})
