import { beforeAll, describe, expect, test } from '@jest/globals'
import { parseVerifierKey } from '../../../src/audit/checkpoint.ts'
import { checkpointEvent } from '../../../src/audit/event.ts'
import { MerkleTree } from '../../../src/audit/merkle.ts'
import { encodeEvent, firstPrevHash, sealRecord } from '../../../src/audit/record.ts'
import { Expectations } from '../../../src/readers/verify/expectation.ts'
import { verifyParts, type Verification, type VerifyOptions } from '../../../src/readers/verify/verify.ts'
import { asPrevious, decisions, idOf, makeTrail, timeAt, type MadeRecord } from '../../archive/trails.ts'
import { signer } from '../../cases/signing-key.ts'
import { exported } from './parts.ts'

const trails = [1, 2, 3].map((number) => `web-0-${idOf(number)}`) as [string, string, string]
const key = parseVerifierKey(signer.verifierKey)
const keys = key.ok ? [key.value] : []
/** Far more than a server leaves unsigned. */
const many = 10_100
let longTrail: readonly MadeRecord[]

beforeAll(() => {
  longTrail = makeTrail({ trail: trails[0], stepMs: 1 }, decisions(many))
})

/** The records with a checkpoint behind them, at the time of the last. */
function signed(records: readonly MadeRecord[], by = signer): readonly MadeRecord[] {
  const tree = MerkleTree.empty()
  for (const { hash } of records) tree.append(hash)
  const { trail, sequence, position, hash: prevHash, line } = records.at(-1) as MadeRecord
  const recordedAt = new Date((JSON.parse(line) as { recordedat: string }).recordedat)
  const note = by.sign({ origin: trail, size: sequence, root: tree.root() })
  const event = encodeEvent(checkpointEvent(idOf(500_000), recordedAt, { note }))
  const sealed = sealRecord(event, { trail, sequence: sequence + 1, prevHash, recordedAt })
  return [...records, { position: position + 1, trail, sequence: sequence + 1, ...sealed }]
}

function verified(records: readonly MadeRecord[], options: VerifyOptions = { keys }): Promise<Verification> {
  return verifyParts([exported(records.map(({ line }) => line))], { threads: 0, ...options })
}

describe('a trail that nobody signed', () => {
  test('is broken where more than 10,000 of its records are covered by nothing', async () => {
    expect(await verified(longTrail)).toMatchObject({
      verdict: 'broken',
      first: { kind: 'unsigned', trail: trails[0], sequence: 1, toSequence: many + 1, line: 1 },
      trails: [{ whole: false }],
    })
  })

  test('is broken where it is short, and went on for longer than ten minutes', async () => {
    const slow = makeTrail({ trail: trails[0], stepMs: 61_000 }, decisions(10))
    expect((await verified(slow)).first).toMatchObject({ kind: 'unsigned', sequence: 1, toSequence: 11 })
  })

  test('is broken where its times cannot be read', async () => {
    const { trail, position } = longTrail[0] as MadeRecord
    const event = encodeEvent(checkpointEvent(idOf(1), timeAt(0), { note: '' }))
    const timeless = sealRecord(event, { trail, sequence: 1, prevHash: firstPrevHash, recordedAt: timeAt(0) })
    const line = timeless.line.replace('2026-11-22T10:00:00.000Z","trail', 'when it was done at last","trail')
    expect((await verified([{ trail, position, sequence: 1, line, hash: '' }])).verdict).toBe('broken')
  })

  test('is whole as far as anybody can tell where no key is known', async () => {
    expect(await verified(longTrail, {})).toMatchObject({ verdict: 'whole' })
  })

  test('is whole where it is what a server leaves that is killed before its first checkpoint', async () => {
    const left = makeTrail({ trail: trails[0], stepMs: 10 }, decisions(999))
    expect(await verified(left)).toMatchObject({ verdict: 'whole' })
  })

  test('is broken behind its last checkpoint, too', async () => {
    const start = signed(longTrail.slice(0, 3))
    const { sequence, hash } = start.at(-1) as MadeRecord
    let prevHash = hash
    const rest = Array.from({ length: many }, (_, index) => {
      const [event] = decisions(1, 20_000 + index)
      if (event === undefined) throw new Error('one event')
      const place = { trail: trails[0], sequence: sequence + 1 + index, prevHash, recordedAt: timeAt(10 + index) }
      const sealed = sealRecord(encodeEvent(event), place)
      prevHash = sealed.hash
      return { trail: trails[0], position: place.sequence, sequence: place.sequence, ...sealed }
    })
    expect(await verified([...start, ...rest.slice(0, 900)])).toMatchObject({ verdict: 'whole' })
    expect((await verified([...start, ...rest])).first).toMatchObject({ kind: 'unsigned', sequence: 5, line: 5 })
  })
})

describe('the records of a trail are vouched for', () => {
  test('by a checkpoint of the trail behind the one that follows it', async () => {
    const second = makeTrail({ trail: trails[1], atMs: 20_000, previous: asPrevious(longTrail) }, decisions(3, 30_000))
    const third = makeTrail({ trail: trails[2], atMs: 40_000, previous: asPrevious(second) }, decisions(3, 40_000))
    expect((await verified([...longTrail, ...second, ...third])).first).toMatchObject({ kind: 'unsigned', sequence: 1 })
    expect(await verified([...longTrail, ...second, ...signed(third)])).toMatchObject({ verdict: 'whole' })
  })

  test('by an earlier run', async () => {
    const expectations = new Expectations()
    const { sequence: size, hash } = longTrail.at(-1) as MadeRecord
    expectations.add(trails[0], { size, hash, from: 'state', by: 'an earlier run' })
    expect(await verified(longTrail, { keys, expectations })).toMatchObject({ verdict: 'whole' })
  })

  test('not by trails that follow each other, none of them signed, however short each is', async () => {
    const halves: MadeRecord[][] = []
    for (const [index, trail] of trails.entries()) {
      const before = halves.at(-1)
      const previous = before === undefined ? null : asPrevious(before)
      const writing = { trail, atMs: 9000 * index, stepMs: 1, previous }
      halves.push(makeTrail(writing, decisions(4000, 10_000 * index)))
    }
    expect((await verified(halves.flat())).first).toMatchObject({ kind: 'unsigned', trail: trails[0], sequence: 1 })
    expect(await verified(halves.slice(0, 2).flat())).toMatchObject({ verdict: 'whole' })
  })
})
