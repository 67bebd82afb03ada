import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCountersign } from '../../deploy/envoy/demo/countersign.ts'
import { freePorts } from '../../deploy/envoy/demo/processes.ts'
import { encodeEvent } from '../../src/audit/record.ts'
import { SpoolStore } from '../../src/spool/file/store.ts'
import { openSpoolReader } from '../../src/spool/reader.ts'
import { archivedLines, recordsIn } from '../e2e/mesh.ts'
import { setAside } from '../../src/spool/rescue/set-aside.ts'
import { toVersion1 } from '../spool/first-version.ts'
import { cursorAt, newDecision, openingIn } from '../spool/opening.ts'
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

function takenAway(dir: string): void {
  renameSync(join(dir, 'spool.sqlite'), join(dir, 'rescue.sqlite'))
}

function copyAlone(dir: string): void {
  takenAway(dir)
  rmSync(join(dir, 'head'))
}

function beingSetAside(dir: string): void {
  setAside(dir, 'SPOOL_DAMAGED', 'for a try', new Date())
}

function notInPlace(dir: string): void {
  for (const name of ['spool.sqlite', 'head']) renameSync(join(dir, name), join(dir, `${name}.rescued`))
}

function firstPageDamaged(dir: string): void {
  const bytes = readFileSync(join(dir, 'spool.sqlite'))
  writeFileSync(join(dir, 'spool.sqlite'), bytes.fill('A', 0, 4096))
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

  test.each<readonly [string, (dir: string) => void]>([
    ['a rescue copy and the head', takenAway],
    ['a rescue copy alone', copyAlone],
    ['files that were being set aside', beingSetAside],
    ['new files that are not in their place yet', notInPlace],
    ['a file whose first page is damaged', firstPageDamaged],
  ])('delivers what can be saved of %s', async (_, harm) => {
    const dir = join(folder, 'spool')
    const store = new SpoolStore(openingIn(dir, { sinks: ['central'] }), () => new Date())
    store.append(
      Array.from({ length: 5 }, () => encodeEvent(newDecision().event)),
      [],
    )
    store.close()
    const before = spooledIn(folder)
    harm(dir)

    const forgotten = await drain(folder)
    expect(forgotten.output).toMatch(/CONFIG_INVALID: sinks: the spool in .* has records for central, which/)
    const config = join(folder, 'settings.yaml')
    writeFileSync(config, JSON.stringify({ sinks: { central: { type: 'archive' } } }))
    const { status, output } = await drain(dir, '--config', config)
    expect([status, output]).toEqual([0, expect.stringMatching(/test-1: everything is delivered\n$/)])
    expect(archivedLines(folder)).toEqual(expect.arrayContaining(before))
    expect(before.filter((line) => line.includes('io.countersign.decision.v1'))).toHaveLength(5)
  })

  test('replaces a file that is gone also where its head knows of nothing that waits', async () => {
    const dir = join(folder, 'spool')
    const store = new SpoolStore(openingIn(dir), () => new Date())
    store.append([], [cursorAt('archive', store.state().lastPosition)])
    store.close()
    rmSync(join(dir, 'spool.sqlite'))
    const { status, output } = await drain(folder)
    expect([status, output]).toEqual([0, expect.stringMatching(/test-1: everything is delivered\n$/)])
    const changes = (await recordsIn(folder)).map((record) => (record.data as { change?: string }).change)
    expect(changes).toEqual(expect.arrayContaining(['opened', 'gap', 'closed']))
  })

  test('does not guess the name of a replica that nothing tells any more', async () => {
    const dir = join(folder, 'spool')
    new SpoolStore(openingIn(dir), () => new Date()).close()
    copyAlone(dir)
    writeFileSync(join(dir, 'rescue.sqlite'), 'nothing of a spool')
    const { status, output } = await drain(folder)
    expect([status, output]).toEqual([
      1,
      expect.stringMatching(/^countersign: SPOOL_DAMAGED: neither a head nor a copy/),
    ])
    expect(readdirSync(dir)).toContain('rescue.sqlite')
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
