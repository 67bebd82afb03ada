import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { rmSync } from 'node:fs'
import { v7 as uuidv7 } from 'uuid'
import { createCheck } from '../../src/check/check.ts'
import { parseListenAddress } from '../../src/grpc/address.ts'
import { listen, type Listener } from '../../src/grpc/listener.ts'
import { Spool } from '../../src/spool/spool.ts'
import { acceptedDomains } from '../cases/access-requests.ts'
import { allowed, ruleSetThat } from '../cases/rule-sets.ts'
import { type FakeSpoolWorker, fakeSpoolWorker } from '../fakes/spool-worker.ts'
import { keptIn, newFolder, openingIn } from '../spool/opening.ts'
import { type Asker, openAsker } from './checks.ts'

let dir: string
let disk: FakeSpoolWorker
let spool: Spool
let listener: Listener
let asker: Asker

beforeEach(async () => {
  dir = newFolder()
  disk = fakeSpoolWorker(() => new Date())
  const context = { newId: () => uuidv7(), now: () => new Date(), startWorker: disk.start }
  spool = await Spool.open(openingIn(dir), { mode: 'strict', deadlineMs: 50, maxBytes: 1e9 }, context)
  listener = await listenFor(spool)
  asker = openAsker(listener.port)
})

afterEach(async () => {
  asker.close()
  await listener.drain(1000)
  rmSync(dir, { recursive: true, force: true })
})

function listenFor(auditLog: Spool): Promise<Listener> {
  const address = parseListenAddress('127.0.0.1:0')
  if (!address.ok) throw new Error(address.problem)
  const check = createCheck({
    rulesInForce: () => ruleSetThat(() => allowed),
    candidate: () => undefined,
    auditLog,
    reading: { trustDomains: acceptedDomains, allowedPaths: new Set(), now: () => new Date() },
    anonymous: 'deny',
    newId: () => uuidv7(),
    nowUs: () => performance.now() * 1000,
  })
  const settings = { insecure: false, maxConnectionAgeMs: 60_000, maxConcurrentStreams: 100, maxSessionMemoryMb: 64 }
  return listen(
    { listen: address.value, ...settings },
    {
      check: async (call) => (await check(call)).response,
      receive: () => Promise.resolve(),
      isListed: () => false,
      onRefused: () => undefined,
      onFault: (fault) => {
        throw fault
      },
    },
  )
}

describe('a disk that stalls', () => {
  test('gives every caller a denial, and leaves no record that is not superseded and says otherwise', async () => {
    const before = await asker.check('/orders/0')
    expect(before.allowed).toBe(true)

    disk.stall()
    // The first of these is in the batch that hangs; the others wait behind it.
    const late = await Promise.all([asker.check('/orders/1'), later('/orders/2'), later('/orders/3')])
    expect(late.map(({ allowed: isAllowed, reason }) => [isAllowed, reason])).toEqual(
      late.map(() => [false, 'AUDIT_UNAVAILABLE']),
    )
    disk.release()
    const after = await asker.check('/orders/4')
    expect(after.allowed).toBe(true)
    await spool.seal()
    await spool.close()

    const records = keptIn(dir)
    const said = (id: string): (readonly [unknown, unknown])[] =>
      records.filter(({ data }) => data.decisionId === id).map(({ data }) => [data.effect, data.supersedes] as const)
    expect(said(before.decisionId)).toEqual([['allow', false]])
    expect(said(after.decisionId)).toEqual([['allow', false]])
    const stories = late.map(({ decisionId }) => JSON.stringify(said(decisionId)))
    const superseded = JSON.stringify([
      ['allow', false],
      ['deny', true],
    ])
    const withdrawn = JSON.stringify([['deny', false]])
    expect(stories).toContain(superseded)
    expect(stories).toContain(withdrawn)
    expect(stories.filter((story) => story !== superseded && story !== withdrawn)).toEqual([])
  })
})

describe('a caller that gives up', () => {
  test('before its answer is durable leaves a record that it was denied, and one that was answered keeps its own', async () => {
    await listener.drain(1000)
    await spool.close()
    const context = { newId: () => uuidv7(), now: () => new Date(), startWorker: disk.start }
    spool = await Spool.open(openingIn(dir), { mode: 'strict', deadlineMs: 60_000, maxBytes: 1e9 }, context)
    listener = await listenFor(spool)
    asker.close()
    asker = openAsker(listener.port)
    const answered = await asker.check('/orders/1')
    disk.stall()
    await asker.giveUp('/orders/2', 50)
    await new Promise((resolve) => setTimeout(resolve, 100))
    disk.release()
    expect((await asker.check('/orders/3')).allowed).toBe(true)
    await spool.seal()
    await spool.close()

    const decisions = keptIn(dir).filter(({ data }) => data.decisionId !== undefined)
    const told = decisions.map(({ data }) => [data.resource?.path, data.effect, data.supersedes])
    expect(answered.allowed).toBe(true)
    expect(told).toEqual([
      ['/orders/1', 'allow', false],
      ['/orders/2', 'allow', false],
      ['/orders/2', 'deny', true],
      ['/orders/3', 'allow', false],
    ])
  })
})

async function later(path: string): ReturnType<Asker['check']> {
  await new Promise((resolve) => setTimeout(resolve, 20))
  return asker.check(path)
}
