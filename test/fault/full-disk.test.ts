import { expect, test } from '@jest/globals'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCountersign, startCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { answers, start, until } from '../../deploy/envoy/demo/processes.ts'
import type { DecisionData, TrailData } from '../../src/audit/event-data.ts'
import { recordsIn } from '../e2e/mesh.ts'
import { describeWith } from '../real/parts.ts'
import { type Answered, openAsker } from './checks.ts'

const sources = { main: 'src/cli/main.ts' } as const

describeWith('namespaces', 'a disk that fills up', () => {
  test('denies what it cannot record, says so, loses nothing, and goes on when there is room again', async () => {
    const disk = mkdtempSync(join(tmpdir(), 'countersign-disk-'))
    const data = join(disk, 'data')
    // A disk of its own, which goes with the process.
    const mount = ['unshare', '--mount', 'sh', '-c', `mount -t tmpfs -o size=8m tmpfs ${disk} && exec "$@"`, 'sh']
    const server = await startCountersign({ ...sources, data, within: mount })
    const within = ['nsenter', `--target=${server.process.pid}`, '--mount', '--']
    const inside = (command: string): Promise<number | null> =>
      start('nsenter', [...within.slice(1), 'sh', '-c', command]).exited
    const asker = openAsker(server.port)
    try {
      const answered: Answered[] = [await asker.check('/orders/1')]
      expect(answered[0]?.allowed).toBe(true)

      await inside(`dd if=/dev/zero of=${disk}/filler bs=64k 2>/dev/null`)
      while (answered.at(-1)?.reason !== 'AUDIT_UNAVAILABLE' && answered.length < 20_000) {
        answered.push(await asker.check(`/orders/${answered.length}`))
      }
      for (let count = 0; count < 20; count += 1) answered.push(await asker.check('/orders/1'))
      expect(answered.slice(-20).map(({ reason }) => reason)).toEqual(
        Array.from({ length: 20 }, () => 'AUDIT_UNAVAILABLE'),
      )
      const ready = await fetch(`http://127.0.0.1:${server.adminPort}/readyz`)
      expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining('SPOOL_FULL')])

      await inside(`rm ${disk}/filler`)
      await until('the server to be ready again', () => answers(`http://127.0.0.1:${server.adminPort}/readyz`))
      answered.push(await asker.check('/orders/1'))
      expect(answered.at(-1)?.allowed).toBe(true)

      await expectAccountedFor(answered, data, within)
    } finally {
      asker.close()
      await server.process.stop()
      rmSync(disk, { recursive: true, force: true })
    }
  }, 120_000)
})

/** Every answer stands in the trail as it was given; refusals for want of a record stand there, or in a gap's count. */
async function expectAccountedFor(
  answered: readonly Answered[],
  data: string,
  within: readonly string[],
): Promise<void> {
  const { status, output } = await runCountersign(['verify', '--data', data], { ...sources, within })
  expect({ status, output: status === 0 ? '' : output }).toEqual({ status: 0, output: '' })
  const records = await recordsIn(data, within)
  const effects = new Map(
    records
      .filter(({ type }) => type === 'io.countersign.decision.v1')
      .map(({ data: decision }) => [(decision as DecisionData).decisionId, (decision as DecisionData).effect]),
  )
  const unrecorded = answered.filter(({ decisionId, effect }) => effects.get(decisionId) !== effect)
  expect(unrecorded.filter(({ reason }) => reason !== 'AUDIT_UNAVAILABLE')).toEqual([])
  const gaps = records.map((record) => record.data as TrailData).filter((trail) => trail.change === 'gap')
  expect(gaps.reduce((sum, { count }) => sum + count, 0)).toBe(unrecorded.length)
  expect(new Set(gaps.map(({ reason }) => reason))).toEqual(new Set(['SPOOL_FULL']))
}
