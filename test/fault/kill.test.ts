import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Countersign, runCountersign, startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import type { DecisionData, TrailData } from '../../src/audit/event-data.ts'
import { archivedLines, type TrailRecord } from '../e2e/mesh.ts'
import { expectValidRecord } from '../contract/event-schema.ts'
import { type Answered, openAsker } from './checks.ts'
import { count } from './form.ts'

const sources = { main: 'src/cli/main.ts' } as const
const kills = count({ short: 3, long: 25 })

let folder: string
let data: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-kill-'))
  data = join(folder, 'data')
})

afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('kill -9 under load with an archive alone', () => {
  test(
    'loses no answered decision, and the trails name each other',
    async () => {
      const answered: Answered[] = []
      for (let kill = 0; kill < kills; kill += 1) {
        const server = await startCountersign({ ...sources, data })
        answered.push(...(await loadUntilKilled(server, 300 + ((kill * 137) % 500))))
      }
      const last = await startCountersign({ ...sources, data })
      expect(await last.process.stop()).toBe(0)

      const { status, output } = await runCountersign(['verify', '--data', data], sources)
      expect({ status, output: status === 0 ? '' : output }).toEqual({ status: 0, output: '' })
      expect(answered.length).toBeGreaterThan(kills * 50)
      // The archive alone: what the spool still holds must not stand in for it.
      const records = archivedLines(data).map((line) => expectValidRecord(line) as unknown as TrailRecord)
      const effects = new Map<string, string>()
      for (const { type, data: decision } of records) {
        const { decisionId, effect } = decision as DecisionData
        // In order: a superseding record comes later, and counts.
        if (type === 'io.countersign.decision.v1') effects.set(decisionId, effect)
      }
      const lost = answered.filter(({ decisionId, effect }) => effects.get(decisionId) !== effect)
      expect(lost).toEqual([])

      const opened = records.map((record) => record.data as TrailData).filter((trail) => trail.change === 'opened')
      expect(opened).toHaveLength(kills + 1)
      expect(opened.map(({ previous }) => previous?.closed ?? null)).toEqual([
        null,
        ...Array.from({ length: kills }, () => false),
      ])
    },
    60_000 + kills * 20_000,
  )
})

/** Asks on eight lanes until the server is killed in the middle of it; returns what was answered. */
async function loadUntilKilled(server: Countersign, afterMs: number): Promise<Answered[]> {
  const answered: Answered[] = []
  const asker = openAsker(server.port)
  let killed = false
  const lane = async (number: number): Promise<void> => {
    for (let count = 0; !killed; count += 1) {
      try {
        answered.push(await asker.check(count % 5 === 0 ? '/admin/users' : `/orders/${number}-${count}`))
      } catch {
        return
      }
    }
  }
  const lanes = Array.from({ length: 8 }, (_, number) => lane(number))
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  server.process.signal('SIGKILL')
  await server.process.exited
  killed = true
  asker.close()
  await Promise.all(lanes)
  return answered
}
