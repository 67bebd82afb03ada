import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../deploy/envoy/demo/processes.ts'
import { describeWith, whyMissing } from '../real/parts.ts'
import { count, figure, isLong, progress, randomFrom, seed } from './form.ts'
import { buildRig, type Rig } from './load/rig.ts'
import { mountSmallDisk, type SmallDisk } from './load/small-disk.ts'

const title = 'a disk that fills up with Kafka away'
const times = count({ short: 2, long: 20 })
/** Holds what all rounds record, twice: in the spool, which Kafka has nothing of, and in the archive. */
const megabytes = count({ short: 64, long: 512 })
const waitMs = 60_000

let disk: SmallDisk
let rig: Rig

beforeEach(async () => {
  if (whyMissing('namespaces') !== undefined) return
  disk = await mountSmallDisk(megabytes)
  rig = await buildRig({ disk })
}, 120_000)

afterEach(async () => {
  await rig.remove()
  await disk.remove()
}, 180_000)

describeWith('kafka', title, () => {
  describeWith('namespaces', 'and has room again', () => {
    test(
      'allows nothing unrecorded, loses nothing that it accepted, and recovers without a restart',
      async () => {
        const random = randomFrom(seed())
        const { server, kafka } = rig
        await server.start()
        const load = rig.load({ kind: 'rate', perSecond: 500, accessPerSecond: 50 }, 2)
        await load.reached(100, waitMs)
        await kafka.kill()
        for (let time = 1; time <= times; time += 1) {
          const { unavailable } = load.status().answered
          await disk.fill()
          await until('refusals', () => load.status().answered.unavailable >= unavailable + 20, waitMs)
          await until('readiness to go', async () => !(await server.ready()), waitMs)
          await sleep(random() * 500)
          await disk.free()
          await until('readiness', () => server.ready(), waitMs)
          await load.reached(load.accepted() + 100, waitMs)
          progress(`the disk was full ${time} times, ${load.accepted()} decisions accepted`)
        }
        const { answered, access } = await load.stop()
        await kafka.restart()
        await server.delivered('kafka', 300_000)
        await server.delivered('archive', 300_000)
        const exit = await server.stop()
        expect({ exit, output: exit === 0 ? '' : server.output() }).toEqual({ exit: 0, output: '' })

        const verdict = await rig.judge()
        figure(title, 'times full', times, isLong ? 20 : '')
        figure(title, 'accepted decisions', verdict.accepted)
        figure(title, 'lost', verdict.lost.count, 0)
        figure(
          title,
          'refused for want of a record',
          `${verdict.refused}, ${verdict.refusedUnrecorded} of them counted in gaps`,
        )
        figure(title, 'unrecorded allows', verdict.unrecordedAllows.count, 0)
        expect(verdict).toMatchObject({
          ...{ lost: none, contradicted: none, doubled: none, forks: none, holes: none, unrecordedAllows: none },
          verified: verdict.verified.map(() => ({ status: 0, output: '' })),
        })
        expect(verdict.accepted).toBe(answered.allow + answered.deny)
        expect(verdict.gapDecisions).toBe(verdict.refusedUnrecorded)
        expect(verdict.accesses + verdict.gapAccesses).toBe(access.ended)
      },
      count({ short: 180_000, long: 30 * 60_000 }),
    )
  })
})

const none = { count: 0, first: [] }
