import { describe, expect, test } from '@jest/globals'
import { trailEvent } from '../../../src/audit/event.ts'
import { formatSequence } from '../../../src/audit/record.ts'
import { Expectations } from '../../../src/readers/verify/expectation.ts'
import { verifyParts, type Verification, type VerifyOptions } from '../../../src/readers/verify/verify.ts'
import { asPrevious, decisions, idOf, makeTrail, timeAt, type MadeRecord } from '../../archive/trails.ts'
import { exported, partition } from './parts.ts'

const trails = [1, 2, 3].map((number) => `web-0-${idOf(number)}`) as [string, string, string]
const first = makeTrail({ trail: trails[0] }, decisions(9))
const second = makeTrail({ trail: trails[1], atMs: 20_000, previous: asPrevious(first) }, decisions(9))
const third = makeTrail({ trail: trails[2], atMs: 40_000, previous: asPrevious(second) }, decisions(9))

function linesOf(...records: readonly (readonly MadeRecord[])[]): readonly string[] {
  return records.flat().map(({ line }) => line)
}

function fromTopic(lines: readonly string[], first: number, options: VerifyOptions = {}): Promise<Verification> {
  return verifyParts(partition(lines, first), { threads: 0, ...options })
}

describe('records that the server says are lost', () => {
  function gap(from: number, to: number, trail = trails[0]) {
    return trailEvent(idOf(900), timeAt(0), {
      change: 'gap',
      of: 'trail',
      reason: 'SPOOL_DAMAGED',
      count: to - from + 1,
      trail,
      fromSequence: formatSequence(from),
      toSequence: formatSequence(to),
    } as never)
  }

  function verified(left: readonly MadeRecord[], from: number, to: number): Promise<Verification> {
    const next = makeTrail({ trail: trails[1], atMs: 20_000, previous: asPrevious(first) }, [gap(from, to)])
    return verifyParts([exported(linesOf(left, next))], { threads: 0 })
  }

  test('are told as lost, and what follows them is judged', async () => {
    const left = first.filter(({ sequence }) => sequence < 4 || sequence > 6)
    const result = await verified(left, 4, 6)
    expect(result.bad).toEqual([
      expect.objectContaining({ kind: 'lost', trail: trails[0], sequence: 4, toSequence: 6, line: 4 }),
    ])
    expect(result.bad[0]?.problem).toContain('SPOOL_DAMAGED')
    const damaged = left.with(5, { ...(left[5] as MadeRecord), line: left[5]?.line.replace('GET', 'PUT') ?? '' })
    expect((await verified(damaged, 4, 6)).bad.map(({ kind, sequence }) => [kind, sequence])).toEqual([
      ['lost', 4],
      ['altered', 9],
    ])
  })

  test('are told as lost at the end of a trail', async () => {
    expect((await verified(first.slice(0, 7), 8, 10)).bad).toEqual([
      expect.objectContaining({ kind: 'lost', trail: trails[0], sequence: 8, toSequence: 10 }),
    ])
  })

  test('are missing where more of them are than the server said', async () => {
    const left = first.filter(({ sequence }) => sequence < 4 || sequence > 7)
    expect((await verified(left, 4, 6)).first).toMatchObject({ kind: 'missing', sequence: 4, toSequence: 7 })
  })
})

describe('a topic that does not keep its oldest records', () => {
  test('is whole from the first record that is left, which is told', async () => {
    const result = await fromTopic(linesOf(first.slice(4), second, third), 104)
    expect(result).toMatchObject({ verdict: 'whole', totals: { records: 26 } })
    expect(result.trails[0]).toMatchObject({ firstSequence: 5, lastSequence: 10 })
    expect(result.notes).toContain(
      `${trails[0]}: begins with sequence 5: older records are beyond what the topic keeps`,
    )
  })

  test('is broken where a trail begins late that is not the oldest', async () => {
    const result = await fromTopic(linesOf(first.slice(4), second.slice(3), third), 104)
    expect(result.first).toMatchObject({ kind: 'missing', trail: trails[1], sequence: 1, toSequence: 3, line: 110 })
  })

  test('is broken where a trail between two others is gone', async () => {
    const result = await fromTopic(linesOf(first.slice(4), third), 104)
    expect(result.first).toMatchObject({ kind: 'missing-trail', trail: trails[1] })
    expect(await fromTopic(linesOf(third), 104)).toMatchObject({ verdict: 'whole' })
  })

  test('is broken where it begins late, and nothing was removed', async () => {
    expect((await fromTopic(linesOf(first.slice(4)), 0)).first).toMatchObject({ kind: 'missing', toSequence: 4 })
  })

  test('is whole where the trail that begins late comes again from its beginning', async () => {
    const result = await fromTopic(linesOf(second.slice(3, 6), first.slice(7), second, third), 104)
    expect(result).toMatchObject({ verdict: 'whole' })
  })

  test('is compared with an earlier run as far as it is left', async () => {
    const expectations = new Expectations()
    const known = (records: readonly MadeRecord[], line: number): void => {
      const { trail, sequence, hash } = records.at(-1) as MadeRecord
      const place = { source: 'state', file: 'audit[0]', line } as const
      expectations.add(trail, { size: sequence, hash, from: 'state', by: 'an earlier run', place })
    }
    known(first, 9)
    known(second, 19)
    // What was removed is gone as agreed only up to the first place that is left.
    expect(await fromTopic(linesOf(second.slice(5), third), 15, { expectations })).toMatchObject({ verdict: 'whole' })
    const cut = await fromTopic(linesOf(third), 15, { expectations })
    expect(cut.first).toMatchObject({ kind: 'missing-trail', trail: trails[1] })
    const other = makeTrail({ trail: trails[1], atMs: 20_000, previous: asPrevious(first) }, decisions(9, 700))
    const rewritten = await fromTopic(linesOf(other.slice(5)), 15, { expectations })
    expect(rewritten.first).toMatchObject({ kind: 'rewritten', trail: trails[1] })
  })
})

describe('threads', () => {
  const lines = linesOf(first, second, third)
  const altered = lines.with(14, (lines[14] as string).replace('GET', 'PUT'))
  const swapped = lines.with(6, lines[7] as string).with(7, lines[6] as string)
  const forked = [...lines, ...linesOf(makeTrail({ trail: trails[2], atMs: 1 }, decisions(2, 700)))]

  test.each([
    ['whole', lines],
    ['altered', altered],
    ['missing', lines.toSpliced(12, 1)],
    ['reordered', swapped],
    ['forked', forked],
    ['torn', lines.with(29, (lines[29] as string).slice(0, 900))],
  ])(
    'find in lines that are %s what one thread finds',
    async (_, given) => {
      const pieceBytes = 3000
      const alone = await verifyParts([exported(given, pieceBytes)], { threads: 0 })
      expect(await verifyParts([exported(given, pieceBytes)], { threads: 2 })).toEqual(alone)
      expect(alone.totals.trails).toBe(3)
    },
    30_000,
  )
})
