import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../deploy/envoy/demo/processes.ts'
import type { Fault } from '../real/fault-proxy.ts'
import type { KafkaCluster } from '../real/kafka-cluster.ts'
import { describeWith } from '../real/parts.ts'
import { count, figure, isLong, progress } from './form.ts'
import { buildClusterRig, type ClusterRig, nothingWrong } from './load/cluster-rig.ts'
import { watchMemory } from './load/memory.ts'

const title = 'a bad network before Kafka'
const faults: readonly (readonly [Fault, ms: number])[] = [
  [{ kind: 'cut before the acknowledgement', every: 3 }, count({ short: 5000, long: 60_000 })],
  [{ kind: 'delay', ms: 500 }, count({ short: 5000, long: 60_000 })],
  [{ kind: 'black hole' }, count({ short: 5000, long: 60_000 })],
]
const cutsWanted = count({ short: 5, long: 50 })
const settleMs = count({ short: 2000, long: 30_000 })
/** What a flat line may seem to rise by, over the last half of a fault. */
const growthLimitMbPerMinute = 10
/** Until a new process has grown to its size under this load. */
const warmUpMs = count({ short: 2000, long: 120_000 })

let rig: ClusterRig

beforeEach(async () => {
  rig = await buildClusterRig()
}, 240_000)

afterEach(async () => {
  await rig.remove()
}, 180_000)

describeWith('kafka', title, () => {
  test(
    'loses nothing: resets before the acknowledgement, latency, a black hole',
    async () => {
      const { cluster, server } = rig
      const setAll = (fault: Fault): void => {
        for (const proxy of cluster.proxies.values()) proxy.set(fault)
      }
      await server.start()
      const load = rig.load({ kind: 'rate', perSecond: count({ short: 200, long: 500 }), accessPerSecond: 100 })
      await sleep(warmUpMs)
      for (const [fault, ms] of faults) {
        progress(`${fault.kind} for ${ms / 1000} s`)
        setAll(fault)
        const memory = watchMemory(server)
        await sleep(ms)
        if (fault.kind.startsWith('cut'))
          await until('acknowledgements to be cut off', () => cutOff(cluster) >= cutsWanted, 120_000)
        const { highestMb, growthMbPerMinute } = memory.stop()
        setAll({ kind: 'none' })
        figure(title, `${fault.kind}: memory`, `${Math.round(highestMb)} MB`)
        const growth = `${growthMbPerMinute.toFixed(1)} MB per minute over the last half`
        figure(title, `${fault.kind}: its growth`, growth, isLong ? `at most ${growthLimitMbPerMinute}` : '')
        if (isLong) expect(growthMbPerMinute).toBeLessThanOrEqual(growthLimitMbPerMinute)
        await sleep(settleMs)
      }
      const { failed, answered } = await load.stop()
      const cut = cutOff(cluster)
      const verdict = await rig.judge()
      figure(title, 'acknowledgements cut off', cut)
      figure(title, 'accepted decisions', verdict.accepted)
      figure(title, 'lost', verdict.lost.count, 0)
      figure(title, 'failed Checks', failed + answered.unavailable, 0)
      figure(title, 'delivered more than once', verdict.redelivered)

      expect(verdict).toMatchObject(nothingWrong)
      expect({ failed, unavailable: answered.unavailable }).toEqual({ failed: 0, unavailable: 0 })
      expect(verdict.accepted).toBe(answered.allow + answered.deny)
    },
    count({ short: 900_000, long: 30 * 60_000 }),
  )
})

function cutOff({ proxies }: KafkaCluster): number {
  return [...proxies.values()].reduce((sum, proxy) => sum + proxy.counts().cut, 0)
}
