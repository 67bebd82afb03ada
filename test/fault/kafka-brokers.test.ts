import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeWith } from '../real/parts.ts'
import { count, figure, isLong, progress, randomFrom, seed } from './form.ts'
import { buildClusterRig, type ClusterRig, nothingWrong, topic } from './load/cluster-rig.ts'

const title = 'three brokers that end and change leaders'
/** Restarts, and as many leader changes; every other one by kill -9. */
const rounds = count({ short: 2, long: 10 })

let rig: ClusterRig

beforeEach(async () => {
  rig = await buildClusterRig()
}, 240_000)

afterEach(async () => {
  await rig.remove()
}, 180_000)

describeWith('kafka', title, () => {
  test(
    'lose nothing, and no Check hears of it',
    async () => {
      const { cluster, server } = rig
      const random = randomFrom(seed())
      await server.start()
      const load = rig.load({ kind: 'rate', perSecond: count({ short: 200, long: 500 }), accessPerSecond: 50 })
      for (let round = 0; round < rounds; round += 1) {
        const isKill = round % 2 === 0
        await restart(1 + Math.floor(random() * 3), isKill)
        const leader = await cluster.leaderOf(topic, 0)
        if (isKill) await cluster.moveLeader(topic, 0)
        else await restart(leader, true)
        progress(`${round + 1} restarts, ${round + 1} leader changes, ${load.accepted()} decisions accepted`)
      }
      const { failed, answered } = await load.stop()
      const verdict = await rig.judge()
      const limit = (text: string | number) => (isLong ? text : '')
      figure(title, 'restarts, and leader changes', rounds, limit(10))
      figure(title, 'accepted decisions', verdict.accepted)
      figure(title, 'lost', verdict.lost.count, 0)
      figure(title, 'failed Checks', failed + answered.unavailable, 0)
      figure(title, 'delivered more than once', verdict.redelivered)
      figure(title, 'checkpoints', `${verdict.checkpoints}, of which the second topic lacks ${verdict.missingInTopic}`)

      expect(verdict).toMatchObject(nothingWrong)
      expect({ failed, unavailable: answered.unavailable }).toEqual({ failed: 0, unavailable: 0 })
      expect(verdict.accepted).toBe(answered.allow + answered.deny)
      expect(verdict.accepted).toBeGreaterThan(rounds * 100)
      expect(verdict.checkpoints).toBeGreaterThan(rounds)

      async function restart(node: number, isKilled: boolean): Promise<void> {
        await (isKilled ? cluster.kill(node) : cluster.shutDown(node))
        await sleep(1000 + random() * 4000)
        await cluster.start(node)
        await cluster.inSync(topic)
      }
    },
    count({ short: 900_000, long: 60 * 60_000 }),
  )
})
