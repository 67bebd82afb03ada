import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { eventTypes } from '../../src/audit/event.ts'
import { LineReader, readLine, type LineTaker } from '../../src/readers/replay-lines.ts'
import { accessOf, decisionOf, idOf, makeTrail } from '../archive/trails.ts'
import { temporaryFolder } from '../policy/policies.ts'

const trail = `web-0-${idOf(1)}`
const [opened = '', decision = '', access = ''] = makeTrail({ trail }, [
  decisionOf({ number: 1, path: '/ä/"type":"io.countersign.access.v1"' }),
  accessOf({ number: 1, path: `/"type":"${eventTypes.decision}",` }),
]).map(({ line }) => line)

function kindOf(line: string | Buffer): string {
  const read = readLine(line, trail)
  return read.kind === 'unreadable' ? read.problem : read.kind
}

function bothKinds(line: string): string[] {
  return [kindOf(line), kindOf(Buffer.from(line))]
}

describe('a line', () => {
  test('of a decision is read, as text and as bytes', () => {
    const read = readLine(Buffer.from(decision), trail)
    expect(read).toMatchObject({ kind: 'decision', sequence: 2, record: { data: { decisionId: idOf(1) } } })
    expect(readLine(decision, trail)).toEqual(read)
  })

  test('of another type is passed over, whatever its values say', () => {
    expect([opened, access].map(bothKinds)).toEqual([
      ['other', 'other'],
      ['other', 'other'],
    ])
  })

  test('is read by its members where it does not begin as our records do', () => {
    const { type, ...others } = JSON.parse(decision) as { type: string }
    expect(bothKinds(JSON.stringify({ ...others, type }))).toEqual(['decision', 'decision'])
    expect(bothKinds(` ${decision}`)).toEqual(['decision', 'decision'])
    const { type: accessType, ...rest } = JSON.parse(access) as { type: string }
    expect(bothKinds(JSON.stringify({ ...rest, type: accessType }))).toEqual(['other', 'other'])
    // An id that is none, with what looks like a type in it.
    const misleading = decision.replace(/"id":"[^"]*"/, '"id":"\\",\\"type\\":\\"io.countersign.access.v1\\","')
    expect(bothKinds(misleading)).toEqual(['decision', 'decision'])
  })

  test.each([
    ['is cut', decision.slice(0, -30), 'the line is not JSON'],
    ['is empty', '', 'the line is not JSON'],
    ['of another type is cut', access.slice(0, -30), 'the line is not JSON'],
    ['of another type goes on with a decision', access.slice(0, 200) + decision, 'the line is not JSON'],
    ['is no object', '7', 'the line is no record'],
    ['is nothing', 'null', 'the line is no record'],
    ['has no type', '{}', 'the record has no type'],
    ['is of another trail', decision.replace(`"trail":"${trail}"`, '"trail":"x"'), 'the record belongs to trail x'],
    ['has no sequence', decision.replace('"sequence":"0', '"sequence":"'), 'the record has no sequence of 16 digits'],
    ['has no hash', decision.replace('"hash"', '"hush"'), 'the record has no hash'],
    ['has no time', decision.replace('"recordedat"', '"recordedon"'), 'the record has no time'],
    ['has no data', decision.replace('"data":{', '"data":null,"x":{'), 'the record has no data'],
  ])('that %s is named, never passed over', (_, line, problem) => {
    expect(bothKinds(line)).toEqual([problem, problem])
  })

  test('that is not UTF-8 is named', () => {
    const bytes = Buffer.from(decision)
    bytes[bytes.indexOf('ä')] = 0xff
    expect(kindOf(bytes)).toBe('the line is not UTF-8')
  })
})

interface Taken {
  readonly lines: string[]
  readonly tooLong: number[]
  torn?: number
  damaged?: number
  bytes: number
}

async function linesOf(reader: LineReader, path: string): Promise<Taken> {
  const taken: Taken = { lines: [], tooLong: [], bytes: 0 }
  reader.take(path, takerInto(taken))
  return taken
}

function takerInto(taken: Taken): LineTaker {
  return {
    line: (bytes, number) => (taken.lines[number - 1] = bytes.toString('latin1')),
    tooLong: (number) => taken.tooLong.push(number),
    torn: (number) => (taken.torn = number),
    damaged: (number) => (taken.damaged = number),
    read: (bytes) => (taken.bytes += bytes),
  }
}

async function* chunksOf(chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
  for (const chunk of chunks) {
    await Promise.resolve()
    yield chunk
  }
}

const mebibyte = 1024 * 1024

describe('a segment', () => {
  test('is cut at its newlines, wherever a chunk ends', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'lines')
    const reader = new LineReader()
    const lengths = fc.array(
      fc.oneof(fc.nat(20), fc.integer({ min: 250_000, max: 262_144 }), fc.integer({ min: 1000, max: 2000 })),
      { maxLength: 40 },
    )
    await fc.assert(
      fc.asyncProperty(lengths, fc.nat(50), async (sizes, rest) => {
        const lines = sizes.map((size, index) => String.fromCharCode(97 + (index % 26)).repeat(size))
        writeFileSync(path, lines.map((line) => `${line}\n`).join('') + 'z'.repeat(rest))
        const taken = await linesOf(reader, path)
        expect(taken.lines).toEqual(lines)
        expect(taken.torn).toBe(rest === 0 ? undefined : lines.length + 1)
        expect(taken.bytes).toBe(sizes.reduce((sum, size) => sum + size + 1, rest))
      }),
      { numRuns: 60 },
    )
    rmSync(folder, { recursive: true })
  })

  test('that comes in chunks is cut likewise, wherever they end', async () => {
    const reader = new LineReader()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(262_144), { maxLength: 8 }), fc.nat(600_000), async (sizes, cut) => {
        const lines = sizes.map((size, index) => String.fromCharCode(97 + (index % 26)).repeat(size))
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const taken: Taken = { lines: [], tooLong: [], bytes: 0 }
        await reader.takeChunks(chunksOf([bytes.subarray(0, cut), bytes.subarray(cut)]), takerInto(taken))
        expect(taken.lines).toEqual(lines)
        expect(taken.bytes).toBe(bytes.length)
      }),
      { numRuns: 60 },
    )
  })

  test('with lines that are too long goes on after them', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'lines')
    writeFileSync(path, `a\n${'b'.repeat(5 * mebibyte)}\nc\n${'d'.repeat(2 * mebibyte)}`)
    const taken = await linesOf(new LineReader(), path)
    expect(taken).toMatchObject({ tooLong: [2], torn: 4 })
    expect([taken.lines[0], taken.lines[2], taken.lines.length]).toEqual(['a', 'c', 3])
    rmSync(folder, { recursive: true })
  })

  test('that cannot be read is a fault with its path', async () => {
    const fault = linesOf(new LineReader(), '/nowhere/at.all')
    await expect(fault).rejects.toMatchObject({
      code: 'ARCHIVE_UNREADABLE',
      message: expect.stringContaining('at.all'),
    })
    await expect(linesOf(new LineReader(), '/')).rejects.toMatchObject({ code: 'ARCHIVE_UNREADABLE' })
  })
})
