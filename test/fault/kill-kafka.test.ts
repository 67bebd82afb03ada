import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeWith } from '../real/parts.ts'
import { count, figure, isLong, progress, randomFrom, seed } from './form.ts'
import { buildRig, type Rig } from './load/rig.ts'

const title = 'kill -9 under load with Kafka'
const kills = count({ short: 3, long: 50 })
const decisions = count({ short: 10_000, long: 1_000_000 })
/** Of start-ups, in milliseconds; judged in the long form alone, whose machine has nothing else to do. */
const readyLimitMs = 2000

let rig: Rig

beforeEach(async () => {
  rig = await buildRig()
}, 120_000)

afterEach(async () => {
  await rig.remove()
}, 180_000)

describeWith('kafka', title, () => {
  test(
    'loses and doubles nothing that was answered, and is ready again soon',
    async () => {
      const random = randomFrom(seed())
      const { server } = rig
      await server.start()
      const load = rig.load({ kind: 'closed', perConnection: 16, accessPerSecond: 100 }, 4)
      const readyMs: number[] = []
      for (let kill = 1; kill <= kills; kill += 1) {
        await load.reached((decisions * (kill - random() * 0.9)) / kills, 600_000)
        await sleep(random() * 100)
        await server.kill()
        readyMs.push(await server.start())
        if (kill % 5 === 0) progress(`${kill} kills, ${load.accepted()} decisions accepted`)
      }
      await load.reached(decisions, 600_000)
      const { failed, answered } = await load.stop()
      await server.delivered('kafka', 600_000)
      const exit = await server.stop()
      expect({ exit, output: exit === 0 ? '' : server.output() }).toEqual({ exit: 0, output: '' })

      const verdict = await rig.judge()
      const at95 = percentile(readyMs, 0.95)
      figure(title, 'kills', kills, isLong ? 50 : '')
      figure(title, 'accepted decisions', verdict.accepted, isLong ? 'at least 1000000' : '')
      figure(title, 'lost', verdict.lost.count, 0)
      figure(title, 'doubled after (trail, sequence, hash)', verdict.doubled.count, 0)
      figure(title, 'delivered more than once', verdict.redelivered)
      figure(title, 'calls cut off by a kill', failed)
      figure(title, 'ready again, p95', `${Math.round(at95)} ms`, isLong ? 'at most 2000 ms' : '')
      figure(title, 'ready again, slowest', `${Math.round(Math.max(...readyMs))} ms`)

      expect(verdict).toMatchObject({
        ...{ lost: none, contradicted: none, doubled: none, forks: none, holes: none, unrecordedAllows: none },
        verified: verdict.verified.map(() => ({ status: 0, output: '' })),
      })
      expect(verdict.accepted).toBe(answered.allow + answered.deny)
      expect(verdict.accepted).toBeGreaterThanOrEqual(decisions)
      expect(verdict.trails).toHaveLength(kills + 1)
      if (isLong) expect(at95).toBeLessThanOrEqual(readyLimitMs)
    },
    count({ short: 180_000, long: 40 * 60_000 }),
  )
})

const none = { count: 0, first: [] }

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.ceil(share * sorted.length) - 1] ?? NaN
}
