import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { describeWith } from '../real/parts.ts'
import { count, figure, isLong, progress } from './form.ts'
import { quantile } from './load/ledger.ts'
import type { Pace } from './load/load.ts'
import { type Samples, watchMemory } from './load/memory.ts'
import { buildRig, type Rig } from './load/rig.ts'

const title = 'Kafka away under load'
/** Kafka is present before, between and after its absences. The first absence is the long one. */
const presentMs = count({ short: 3000, long: 60_000 })
const absencesMs = count({ short: [4000], long: [300_000, 60_000] })
/** 2,000 events a second: half of them decisions, half accesses. */
const pace: Pace = { kind: 'rate', perSecond: 1000, accessPerSecond: 1000 }
/** Left out at the beginning of each phase: a broker that starts or dies takes the processor, and connections are made anew. */
const settleMs = count({ short: 500, long: 5000 })

const memoryLimitMb = 300
/** What a flat line may seem to rise by, over the last half of an absence. */
const growthLimitMbPerMinute = 5
const drainLimit = 10_000
const slowerLimit = 1.5

interface Phase {
  readonly from: number
  readonly to: number
}

interface Drained {
  readonly records: number
  readonly perSecond: number
}

let rig: Rig

beforeEach(async () => {
  rig = await buildRig()
}, 120_000)

afterEach(async () => {
  await rig.remove()
}, 180_000)

describeWith('kafka', title, () => {
  test(
    'keeps everything, answers as fast, takes no more memory, and delivers it all afterwards',
    async () => {
      const { server, kafka } = rig
      await server.start()
      const load = rig.load(pace, 4)
      const phase = async (ms: number): Promise<Phase> => {
        await sleep(settleMs)
        const from = Date.now()
        await sleep(ms)
        return { from, to: Date.now() }
      }
      const [present, away, drains, memory]: [Phase[], Phase[], Drained[], Samples[]] = [[], [], [], []]
      await sleep(settleMs)
      present.push(await phase(presentMs))
      for (const ms of absencesMs) {
        await kafka.kill()
        progress(`Kafka is away for ${ms / 1000} s`)
        const watched = watchMemory(server)
        away.push(await phase(ms))
        memory.push(watched.stop())
        load.setPace({ kind: 'pause' })
        drains.push(await drain())
        load.setPace(pace)
        present.push(await phase(presentMs))
      }
      const { answered, access } = await load.stop()
      await server.delivered('kafka', 600_000)
      const exit = await server.stop()
      expect({ exit, output: exit === 0 ? '' : server.output() }).toEqual({ exit: 0, output: '' })

      const verdict = await rig.judge()
      const with99 = await quantile(rig.ledger, 0.99, present)
      const without99 = await quantile(rig.ledger, 0.99, away)
      const slower = without99.microseconds / with99.microseconds
      const limit = (text: string): string => (isLong ? text : '')
      figure(title, 'accepted decisions', verdict.accepted)
      figure(title, 'accepted accesses', access.ended)
      figure(title, 'lost decisions', verdict.lost.count, 0)
      figure(title, 'lost accesses', access.ended - verdict.accesses, 0)
      figure(title, 'Check p99 with Kafka', `${(with99.microseconds / 1000).toFixed(2)} ms of ${with99.answers}`)
      figure(title, 'Check p99 without', `${(without99.microseconds / 1000).toFixed(2)} ms of ${without99.answers}`)
      figure(title, 'the second over the first', slower.toFixed(2), limit(`at most ${slowerLimit}`))
      for (const { highestMb, growthMbPerMinute } of memory) {
        figure(title, 'resident memory', `${Math.round(highestMb)} MB`, limit(`below ${memoryLimitMb} MB`))
        const text = `${growthMbPerMinute.toFixed(2)} MB per minute over the last half`
        figure(title, 'its growth', text, limit(`at most ${growthLimitMbPerMinute}`))
      }
      for (const { records, perSecond } of drains) {
        figure(title, 'drained', `${records} at ${Math.round(perSecond)}/s`, limit(`at least ${drainLimit}/s`))
      }

      expect(verdict).toMatchObject({
        ...{ lost: none, contradicted: none, doubled: none, forks: none, holes: none, unrecordedAllows: none },
        ...{ gapDecisions: 0, gapAccesses: 0, refused: 0 },
        verified: verdict.verified.map(() => ({ status: 0, output: '' })),
      })
      expect(verdict.accepted).toBe(answered.allow + answered.deny)
      expect([access.broken, verdict.accesses]).toEqual([0, access.ended])
      if (!isLong) return
      expect(slower).toBeLessThanOrEqual(slowerLimit)
      for (const { highestMb, growthMbPerMinute } of memory.slice(0, 1)) {
        expect(highestMb).toBeLessThan(memoryLimitMb)
        expect(growthMbPerMinute).toBeLessThanOrEqual(growthLimitMbPerMinute)
      }
      expect(drains[0]?.perSecond).toBeGreaterThanOrEqual(drainLimit)
    },
    count({ short: 120_000, long: 25 * 60_000 }),
  )
})

/** Brings Kafka back, and measures how fast what waited is delivered, from the first delivery on. */
async function drain(): Promise<Drained> {
  const { server, kafka } = rig
  const lag = (): Promise<number> => server.metric('countersign_sink_lag_records{sink="kafka"}')
  await kafka.restart()
  const waiting = await lag()
  let records = waiting
  await until(
    'the first delivery',
    async () => {
      records = await lag()
      return records < waiting
    },
    60_000,
  )
  const began = performance.now()
  await server.delivered('kafka', 600_000)
  const perSecond = (records / (performance.now() - began)) * 1000
  progress(`${waiting} records waited for Kafka; delivered at ${Math.round(perSecond)}/s`)
  return { records: waiting, perSecond }
}

const none = { count: 0, first: [] }
