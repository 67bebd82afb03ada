import { describe, expect, test } from '@jest/globals'
import { CountersignError } from '../../src/errors.ts'
import { deliver, type Lane } from '../../src/sinks/deliver.ts'
import type { Sink } from '../../src/sinks/sink.ts'
import type { SpooledRecord } from '../../src/spool/spooled-record.ts'
import { makeRecords } from '../contract/sink.ts'

const perRead = 3

/** A spool, a sink that fails as often as it is told to, and what the lane said of both. */
class Scene {
  readonly records: SpooledRecord[] = []
  readonly given: (readonly number[])[] = []
  readonly told: [position: number, records: number, mark: string | null][] = []
  readonly lost: string[] = []
  /** The delivery that the sink answers with a loss, counted from 1. */
  losesAt: number | undefined
  readonly troubles: unknown[] = []
  readonly tries: number[] = []
  failures = 0
  closed = 0
  wanted: (record: SpooledRecord) => boolean = () => true
  readonly sink: Sink = {
    deliver: async (records) => {
      this.given.push(records.map(({ position }) => position))
      if (this.failures > 0) {
        this.failures -= 1
        throw new CountersignError('KAFKA_UNAVAILABLE', 'no broker answered', { retryable: true })
      }
      if (this.given.length === this.losesAt) return { kind: 'lost', what: 'the topic was made anew' }
      return { kind: 'kept', mark: `mark-${String(records.at(-1)?.position)}` }
    },
    close: async () => {
      this.closed += 1
    },
  }
  readonly lane: Lane

  constructor(position = 0) {
    this.records.push(...makeRecords(7))
    this.lane = {
      name: 'test',
      sink: this.sink,
      position,
      file: 0,
      lost: undefined,
      stopped: false,
      read: async (after) => {
        const records = this.records.filter((record) => record.position > after).slice(0, perRead)
        return { records: records.filter(this.wanted), upTo: records.at(-1)?.position ?? after }
      },
      delivered: (at, records, mark) => this.told.push([at, records, mark]),
      goBack: async (lost) => {
        this.lost.push(lost)
        return 1
      },
      troubled: (fault) => this.troubles.push(fault),
      // Everything is delivered: the story is over.
      moreToRead: async () => {
        this.lane.stopped = true
      },
      nextTry: async (failures) => void this.tries.push(failures),
    }
  }
}

describe('delivery to one sink', () => {
  test('gives every record, in order, and tells of each step after it', async () => {
    const scene = new Scene()
    await deliver(scene.lane)
    expect(scene.given).toEqual([[1, 2, 3], [4, 5, 6], [7]])
    expect(scene.told).toEqual([
      [3, 3, 'mark-3'],
      [6, 3, 'mark-6'],
      [7, 1, 'mark-7'],
    ])
    expect(scene.closed).toBe(1)
  })

  test('goes back where the sink lost what it had, and says nothing of what was not taken', async () => {
    const scene = new Scene()
    scene.losesAt = 3
    await deliver(scene.lane)
    expect(scene.lost).toEqual(['the topic was made anew'])
    expect(scene.given).toEqual([[1, 2, 3], [4, 5, 6], [7], [2, 3, 4], [5, 6, 7]])
    expect(scene.told.map(([at]) => at)).toEqual([3, 6, 4, 7])
    expect(scene.troubles).toEqual([])
  })

  test('gives nothing more until it has gone back for what was lost, however often that fails', async () => {
    const scene = new Scene()
    scene.losesAt = 2
    const { goBack } = scene.lane
    let inVain = 2
    const goBackLate: Lane['goBack'] = async (lost) => {
      if (inVain === 0) return await goBack(lost)
      inVain -= 1
      throw new CountersignError('SPOOL_FAILED', 'the spool is being opened anew')
    }
    await deliver(Object.assign(scene.lane, { goBack: goBackLate }))
    expect(scene.lost).toEqual(['the topic was made anew'])
    expect(scene.given).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [2, 3, 4],
      [5, 6, 7],
    ])
    expect(scene.troubles).toHaveLength(2)
    expect(scene.tries).toEqual([1, 2])
  })

  test('passes over what is not for the sink, and the cursor with it', async () => {
    const scene = new Scene()
    scene.wanted = ({ position }) => position === 5
    await deliver(scene.lane)
    expect(scene.given).toEqual([[], [5], []])
    expect(scene.told.map(([at, records]) => [at, records])).toEqual([
      [3, 0],
      [6, 1],
      [7, 0],
    ])
  })

  test('begins after the cursor', async () => {
    const scene = new Scene(5)
    await deliver(scene.lane)
    expect(scene.given).toEqual([[6, 7]])
  })

  test('gives the same records until the sink has taken them, and moves the cursor only then', async () => {
    const scene = new Scene()
    scene.failures = 3
    await deliver(scene.lane)
    expect(scene.given).toEqual([[1, 2, 3], [1, 2, 3], [1, 2, 3], [1, 2, 3], [4, 5, 6], [7]])
    expect(scene.told[0]).toEqual([3, 3, 'mark-3'])
    expect(scene.troubles).toHaveLength(3)
  })

  test('goes on from where the new file needs it, where the spool’s file was replaced during a delivery', async () => {
    const scene = new Scene()
    const take = scene.sink.deliver.bind(scene.sink)
    scene.sink.deliver = async (records) => {
      const outcome = await take(records)
      if (scene.given.length === 2) Object.assign(scene.lane, { file: 1, position: 2 })
      return outcome
    }
    await deliver(scene.lane)
    expect(scene.given).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [3, 4, 5],
      [6, 7],
    ])
    expect(scene.told.map(([at]) => at)).toEqual([3, 5, 7])
  })

  test('counts failures in a row for the next try, and begins anew after a success', async () => {
    const scene = new Scene()
    scene.failures = 2
    const delivered: Lane['delivered'] = (at) => void (scene.failures = at === 3 ? 1 : 0)
    await deliver(Object.assign(scene.lane, { delivered }))
    expect(scene.tries).toEqual([1, 2, 1])
  })

  test('goes on after the spool could not be read', async () => {
    const scene = new Scene()
    const { read } = scene.lane
    let broken = true
    const readOnceInVain: Lane['read'] = async (after) => {
      if (!broken) return await read(after)
      broken = false
      throw new CountersignError('SPOOL_FAILED', 'busy')
    }
    await deliver(Object.assign(scene.lane, { read: readOnceInVain }))
    expect(scene.troubles).toHaveLength(1)
    expect(scene.told.at(-1)).toEqual([7, 1, 'mark-7'])
  })

  test('ends when it is stopped, also between two tries', async () => {
    const scene = new Scene()
    scene.failures = 5
    const nextTry: Lane['nextTry'] = async () => {
      scene.lane.stopped = true
    }
    await deliver(Object.assign(scene.lane, { nextTry }))
    expect(scene.given).toEqual([[1, 2, 3]])
    expect(scene.told).toEqual([])
    expect(scene.closed).toBe(1)
  })

  test('ends also where the sink cannot be closed', async () => {
    const scene = new Scene()
    scene.sink.close = () => Promise.reject(new Error('stuck'))
    await deliver(scene.lane)
    expect(scene.troubles).toEqual([new Error('stuck')])
  })
})
