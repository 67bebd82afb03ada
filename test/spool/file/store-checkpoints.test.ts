import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { rmSync } from 'node:fs'
import { openCheckpoint, parseVerifierKey } from '../../../src/audit/checkpoint.ts'
import { MerkleTree } from '../../../src/audit/merkle.ts'
import { encodeEvent, type EncodedEvent } from '../../../src/audit/record.ts'
import type { SpoolOpening } from '../../../src/spool/protocol.ts'
import { openDeliveryReader } from '../../../src/spool/reader.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { signer } from '../../cases/signing-key.ts'
import { toVersion1 } from '../first-version.ts'
import { cursorAt, type Kept, keptIn, newDecision, newFolder, openingIn } from '../opening.ts'

let dir: string
let clock: Date

beforeEach(() => {
  dir = newFolder()
  clock = new Date('2026-11-22T10:00:00Z')
})

afterEach(() => {
  rmSync(dir, { recursive: true, force: true })
})

function open(more: Partial<SpoolOpening> = {}): SpoolStore {
  return new SpoolStore(openingIn(dir, more), () => clock)
}

function every(everyRecords: number, everyMs: number): Partial<SpoolOpening> {
  return { checkpoints: { ...openingIn('').checkpoints, everyRecords, everyMs } }
}

function events(count: number): EncodedEvent[] {
  return Array.from({ length: count }, () => encodeEvent(newDecision().event))
}

const checkpointType = 'io.countersign.checkpoint.v1'

/** Sizes of the checkpoints of the only trail, each checked against all records before it. */
function checkedSizes(): number[] {
  const key = parseVerifierKey(signer.verifierKey)
  if (!key.ok) throw new Error(key.problem)
  const tree = MerkleTree.empty()
  const sizes: number[] = []
  for (const record of keptIn(dir) as (Kept & { hash: string })[]) {
    if (record.type === checkpointType) {
      const opened = openCheckpoint(String(record.data['note']), [key.value])
      if (!opened.ok) throw new Error(opened.problem)
      expect(opened.checkpoint).toEqual({ origin: record.trail, size: Number(record.sequence) - 1, root: tree.root() })
      sizes.push(opened.checkpoint.size)
    }
    tree.append(record.hash)
  }
  return sizes
}

describe('checkpoints', () => {
  test('sign all records before them, after so many records and at the end, and `opened` has the key', () => {
    const store = open(every(10, Infinity))
    for (let batch = 0; batch < 6; batch += 1) store.append(events(4), [])
    expect(store.state().checkpoint).toMatchObject({ size: 26 })
    store.seal(openingIn(dir).openedId)
    store.close()
    expect(checkedSizes()).toEqual([13, 26, 28])
    const records = keptIn(dir)
    expect(records[0]?.data['verifierKey']).toBe(signer.verifierKey)
    expect(records.slice(-2).map(({ type, data }) => data['change'] ?? type)).toEqual(['closed', checkpointType])
  })

  test('come by age too, while nothing is written and when the clock was put back', () => {
    const store = open(every(1000, 10_000))
    store.check()
    expect(store.state().checkpoint).toBeNull()
    clock = new Date(clock.getTime() + 10_000)
    store.check()
    clock = new Date(clock.getTime() + 9_999)
    store.check()
    expect(checkedSizes()).toEqual([1])
    clock = new Date(clock.getTime() - 3_600_000)
    store.check()
    store.check()
    store.close()
    expect(checkedSizes()).toEqual([1, 2])
  })

  test('stand behind the events of their batch, whose positions the store tells', () => {
    const store = open(every(3, Infinity))
    expect(store.append(events(5), [])).toBe(2)
    expect(store.append(events(1), [])).toBe(8)
    store.close()
    expect(keptIn(dir).map(({ type }) => type === checkpointType)).toEqual([
      ...[false, false, false, false, false, false, true],
      false,
    ])
  })

  test('of a batch that failed are forgotten with it', () => {
    const store = open(every(4, Infinity))
    store.append(events(2), [])
    expect(() => {
      store.append([...events(3), Symbol('no text') as unknown as EncodedEvent], [])
    }).toThrow()
    store.append(events(3), [])
    store.seal(openingIn(dir).openedId)
    store.close()
    expect(checkedSizes()).toEqual([6, 8])
  })
})

describe('records that are kept for replay alone', () => {
  test('make room for new ones, oldest first and ahead of their time, but never those that a sink lacks', () => {
    const store = open({ ...every(Infinity, Infinity), maxBytes: 100_000, sinks: ['archive'] })
    for (let batch = 0; batch < 30; batch += 1) {
      const { lastPosition } = store.state()
      store.append(events(10), [cursorAt('archive', lastPosition)])
      const { waitingBytes, retainedBytes } = store.state()
      expect(waitingBytes + retainedBytes).toBeLessThanOrEqual(100_000)
    }
    expect(store.state().retainedBytes).toBeGreaterThan(50_000)
    for (let batch = 0; batch < 20; batch += 1) store.append(events(10), [])
    expect(store.state()).toMatchObject({ waitingRecords: 210, retainedBytes: 0 })
    expect(keptIn(dir)).toHaveLength(210)
    store.close()
  })
})

describe('a cursor', () => {
  test('keeps the sink’s mark, and goes back where the sink says that it lost records', () => {
    const store = open(every(Infinity, Infinity))
    store.append(events(9), [])
    store.append([], [{ sink: 'archive', position: 8, mark: '3:41', rewound: false }])
    store.append([], [{ sink: 'archive', position: 5, mark: '3:30', rewound: true }])
    expect(store.state().waitingRecords).toBe(5)
    store.close()
    const reader = openDeliveryReader(dir)
    expect(reader?.cursor('archive')).toEqual({ position: 5, mark: '3:30' })
    reader?.close()
  })
})

describe('a file of version 1', () => {
  test('is brought up to this version with its records, cursors and the trail that the next one names', () => {
    const first = openingIn(dir, every(Infinity, Infinity))
    const store = new SpoolStore(first, () => clock)
    store.append(events(6), [cursorAt('archive', 3)])
    store.close()
    const before = keptIn(dir)
    toVersion1(dir)
    const again = open()
    expect(again.state()).toMatchObject({ waitingRecords: 5 })
    again.close()
    const records = keptIn(dir)
    expect(records.slice(0, before.length)).toEqual(before)
    expect(records.slice(before.length).map(({ data }) => data['change'])).toEqual(['opened'])
    expect(records.at(-1)?.data['previous']).toMatchObject({ trail: first.trail, sequence: '0000000000000007' })
    const reader = openDeliveryReader(dir)
    expect(reader?.after(0, 100)).toHaveLength(8)
    reader?.close()
  })
})
