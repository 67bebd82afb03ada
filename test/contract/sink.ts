import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { firstPrevHash, sealRecord, type EncodedEvent } from '../../src/audit/record.ts'
import { CountersignError } from '../../src/errors.ts'
import type { SpooledRecord } from '../../src/spool/spooled-record.ts'
import type { Sink } from '../../src/sinks/sink.ts'

/** A sink with a view of what arrived. */
export interface SinkUnderTest {
  readonly sink: Sink
  /** The lines at the destination, in its order, duplicates and all. */
  delivered(): Promise<readonly string[]>
  /** Makes the destination refuse; the returned function makes it well again. */
  fail(): Promise<() => Promise<void>>
  /** Removes what was made for the test. The sink is closed already. */
  dispose(): Promise<void>
}

/** Tests of what every Sink promises (src/sinks/sink.ts). `make` is called once per test. */
export function describeSink(name: string, make: () => Promise<SinkUnderTest>): void {
  describe(`${name} keeps the promises of a sink`, () => {
    let tested: SinkUnderTest

    beforeEach(async () => {
      tested = await make()
    })

    afterEach(async () => {
      await tested.sink.close()
      await tested.dispose()
    })

    test('delivers records in order, byte for byte', async () => {
      const records = makeRecords(100)
      await tested.sink.deliver(records)
      expect(await tested.delivered()).toEqual(lines(records))
    })

    test('continues where the delivery before it ended', async () => {
      const records = makeRecords(30)
      for (const from of [0, 10, 20]) await tested.sink.deliver(records.slice(from, from + 10))
      expect(await tested.delivered()).toEqual(lines(records))
    })

    test('leaves nothing out of a delivery of several megabytes', async () => {
      const records = makeRecords(60, { bytes: 50_000 })
      await tested.sink.deliver(records)
      expect(await tested.delivered()).toEqual(lines(records))
    })

    test('keeps text beyond ASCII and escaped characters as they are', async () => {
      const records = makeRecords(3, { text: 'größer 日本 \u{1f511} "\\ \u2028 \t\n' })
      await tested.sink.deliver(records)
      expect(await tested.delivered()).toEqual(lines(records))
    })

    test('takes the records of several trails in the order given', async () => {
      const first = makeRecords(5, { trail: 'web-0-first' })
      const second = makeRecords(5, { trail: 'web-0-second', position: 6 })
      await tested.sink.deliver([...first, ...second])
      expect(await tested.delivered()).toEqual(lines([...first, ...second]))
    })

    test('has nothing to do for an empty delivery', async () => {
      await tested.sink.deliver([])
      expect(await tested.delivered()).toEqual([])
    })

    test('takes the same records again, and loses none that follow', async () => {
      const records = makeRecords(20)
      await tested.sink.deliver(records.slice(0, 10))
      await tested.sink.deliver(records)
      expect([...new Set(await tested.delivered())]).toEqual(lines(records))
    })

    test('rejects while the destination refuses, and delivers the same records afterwards', async () => {
      const records = makeRecords(20)
      await tested.sink.deliver(records.slice(0, 5))
      const heal = await tested.fail()
      const fault = await tested.sink.deliver(records.slice(5)).catch((thrown: unknown) => thrown)
      expect(fault).toBeInstanceOf(CountersignError)
      expect(fault).toMatchObject({ retryable: true })
      await heal()
      await tested.sink.deliver(records.slice(5))
      expect([...new Set(await tested.delivered())]).toEqual(lines(records))
    })

    test('may be closed twice', async () => {
      await tested.sink.deliver(makeRecords(1))
      await tested.sink.close()
      await expect(tested.sink.close()).resolves.toBeUndefined()
    })
  })
}

export interface RecordsWanted {
  readonly trail?: string
  /** Of the first record; the others follow. */
  readonly position?: number
  /** Size of each record, about. */
  readonly bytes?: number
  readonly text?: string
}

/** Records of a trail, with true hashes and chain. */
export function makeRecords(count: number, wanted: RecordsWanted = {}): readonly SpooledRecord[] {
  const { trail = 'web-0-01980000-0000-7000-8000-000000000000', position = 1, bytes = 600, text = '' } = wanted
  const recordedAt = new Date('2026-11-22T10:00:00.123Z')
  const padding = 'x'.repeat(bytes)
  let prevHash = firstPrevHash
  return Array.from({ length: count }, (_, index) => {
    const id = `01980000-0000-7000-8000-${String(position + index).padStart(12, '0')}`
    const event = encode({ id, time: recordedAt.toISOString(), data: { text, padding } })
    const sealed = sealRecord(event, { trail, sequence: index + 1, prevHash, recordedAt })
    prevHash = sealed.hash
    return { position: position + index, trail, sequence: index + 1, line: sealed.line }
  })
}

/** As `encodeEvent` does, but of any size. */
function encode({ id, time, data }: { id: string; time: string; data: object }): EncodedEvent {
  const type = 'io.countersign.access.v1'
  const json = JSON.stringify({ specversion: '1.0', id, type, time, datacontenttype: 'application/json', data })
  return json.slice(0, -1) as EncodedEvent
}

function lines(records: readonly SpooledRecord[]): readonly string[] {
  return records.map(({ line }) => line)
}
