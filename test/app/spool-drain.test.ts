import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { freePorts } from '../../deploy/envoy/demo/processes.ts'
import { openSpoolReader } from '../../src/spool/reader.ts'
import { archivedLines, recordsIn } from '../e2e/mesh.ts'
import { toVersion1 } from '../spool/first-version.ts'
import { allowedCheck, serve, type Served } from './served.ts'

const sources = { main: 'src/cli/main.ts' } as const

let folder: string
let served: Served | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-drain-'))
})

afterEach(async () => {
  await served?.stop()
  served = undefined
  rmSync(folder, { recursive: true, force: true })
})

function drain(...args: readonly string[]): Promise<{ readonly status: number | null; readonly output: string }> {
  return runCountersign(['spool', 'drain', ...args], sources)
}

async function serveWith(sinks: object): Promise<Served> {
  served = await serve({ settings: () => ({ replica: 'gone-1', shutdown: { graceMs: 1 }, sinks }) })
  return served
}

function spooledIn(data: string): string[] {
  const reader = openSpoolReader(join(data, 'spool'))
  const lines = (reader?.after(0, 1000) ?? []).map(({ line }) => line)
  reader?.close()
  return lines
}

describe('spool drain', () => {
  test('delivers what a removed replica left, under its name, and ends the trail', async () => {
    const [port = 0] = await freePorts(1)
    const central = { type: 'kafka', brokers: [`127.0.0.1:${port}`] }
    const { pep, data, server } = await serveWith({ central })
    for (let count = 0; count < 3; count += 1) expect((await pep.check(allowedCheck)).status?.code).toBe(0)
    pep.close()
    await server.process.stop()

    // The sink that lacks everything must not be forgotten.
    const forgotten = await drain(data)
    expect(forgotten.output).toMatch(
      /CONFIG_INVALID: sinks: the spool in .* has records for central, which the settings/,
    )
    expect(forgotten.status).toBe(2)

    const config = join(folder, 'settings.yaml')
    writeFileSync(config, JSON.stringify({ sinks: { central }, shutdown: { graceMs: 1 } }))
    const vain = await drain(data, '--config', config, '--give-up-after', '1')
    expect(vain.output).toMatch(/central: .*\n/)
    expect(vain.output).toMatch(/gone-1: \d+ records stay in the spool\n$/)
    expect(vain.status).toBe(75)

    // The same name, but where it can be delivered to.
    writeFileSync(config, JSON.stringify({ sinks: { central: { type: 'archive' } } }))
    const done = await drain(join(data, 'spool'), '--config', config)
    expect(done.output).toMatch(/gone-1: everything is delivered\n$/)
    expect(done.status).toBe(0)
    const records = await recordsIn(data)
    const trails = new Set(records.map((record) => (record as unknown as { trail: string }).trail))
    expect([...trails].every((trail) => trail.startsWith('gone-1-'))).toBe(true)
    expect(trails.size).toBe(3)
    expect(records.filter(({ type }) => type === 'io.countersign.decision.v1')).toHaveLength(3)

    const again = await drain(data, '--config', config)
    expect([again.status, again.output]).toEqual([0, 'gone-1: everything is delivered\n'])
    expect(await recordsIn(data)).toHaveLength(records.length)
  })

  test('delivers what an earlier version left', async () => {
    const [port = 0] = await freePorts(1)
    const central = { type: 'kafka', brokers: [`127.0.0.1:${port}`] }
    const { pep, data, server } = await serveWith({ central })
    for (let count = 0; count < 3; count += 1) expect((await pep.check(allowedCheck)).status?.code).toBe(0)
    pep.close()
    await server.process.stop()
    const before = spooledIn(data)
    toVersion1(join(data, 'spool'))

    const config = join(folder, 'settings.yaml')
    writeFileSync(config, JSON.stringify({ sinks: { central: { type: 'archive' } } }))
    const { status, output } = await drain(data, '--config', config)
    expect([status, output]).toEqual([0, expect.stringMatching(/gone-1: everything is delivered\n$/)])
    expect(archivedLines(data)).toEqual(expect.arrayContaining(before))
    expect(before.filter((line) => line.includes('io.countersign.decision.v1'))).toHaveLength(3)
    // Nothing was taken for lost.
    const changes = (await recordsIn(data)).map((record) => (record.data as { change?: string }).change)
    expect(changes.filter((change) => change === 'gap')).toEqual([])
  })

  test('says that there is no spool', async () => {
    const { status, output } = await drain(folder)
    expect(output).toBe(
      `countersign: USAGE: there is no spool in ${folder}: give the data folder of the replica that is gone\n`,
    )
    expect(status).toBe(2)
  })

  test('leaves a spool alone that a server holds', async () => {
    const [port = 0] = await freePorts(1)
    const central = { type: 'kafka', brokers: [`127.0.0.1:${port}`] }
    const { data, pep } = await serveWith({ central })
    const config = join(folder, 'settings.yaml')
    writeFileSync(config, JSON.stringify({ sinks: { central } }))
    const { status, output } = await drain(data, '--config', config)
    expect(output).toMatch(/^countersign: SPOOL_IN_USE: /)
    expect(status).toBe(1)
    expect((await pep.check(allowedCheck)).status?.code).toBe(0)
  })
})
