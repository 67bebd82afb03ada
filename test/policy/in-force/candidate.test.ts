import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { PolicyData } from '../../../src/audit/event-data.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import { type Policies, type PoliciesOptions, startPolicies } from '../../../src/policy/in-force/policies.ts'
import { buildPolicy } from '../../../src/policy/load.ts'
import { expectValidRecord } from '../../contract/event-schema.ts'
import { recordLine } from '../../cases/place.ts'
import { modelText, temporaryFolder, until, writeFiles } from '../policies.ts'

let root = ''
let policies: Policies | undefined
let events: AuditEvent[] = []
let id = 0

beforeEach(() => {
  root = temporaryFolder()
  events = []
  put('policy', 'p, alice, /a, GET\np, bob, /a, GET\n')
})
afterEach(async () => {
  await policies?.stop()
  rmSync(root, { recursive: true, force: true })
})

function put(folder: 'policy' | 'candidate', csv: string): void {
  writeFiles(join(root, folder), { 'model.conf': modelText(), 'policy.csv': csv })
}

function remove(): void {
  rmSync(join(root, 'candidate'), { recursive: true })
}

async function start(options: Partial<PoliciesOptions> = {}): Promise<void> {
  await policies?.stop()
  policies = await startPolicies({
    dir: join(root, 'policy'),
    candidateDir: join(root, 'candidate'),
    keptDir: join(root, 'kept'),
    pollMs: 10,
    startMs: 3_600_000,
    retryMs: 3_600_000,
    build: (snapshot) => buildPolicy(snapshot, { compareWithCasbin: false }),
    record: (event) => {
      events.push(event)
      return Promise.resolve(true)
    },
    onChange: () => undefined,
    onCandidate: () => undefined,
    ids: () => `019aa5d5-76fb-7000-8000-${String((id += 1)).padStart(12, '0')}`,
    now: () => new Date(0),
    ...options,
  })
}

const request = { sub: 'alice', obj: '/a', act: 'GET' }
const loaded = () => policies?.status().candidate.loaded
const ofCandidate = () => events.map(({ data }) => data as PolicyData).filter(({ candidate }) => candidate)

test('a candidate is loaded beside the policy in force, and changes nothing of it', async () => {
  put('candidate', 'p, bob, /a, GET\np, carol, /a, GET\ng, dave, carol\n')
  await start()
  await until(() => loaded() !== null)
  expect(policies?.candidate()?.evaluate(request).effect).toBe('deny')
  expect(policies?.rulesInForce()?.evaluate(request).effect).toBe('allow')
  const inForce = policies?.rulesInForce()?.policyVersion
  await until(() => events.length === 2)
  expect(ofCandidate()).toMatchObject([
    {
      change: 'candidate-loaded',
      origin: 'folder',
      policyVersion: policies?.candidate()?.policyVersion,
      previousVersion: inForce,
      files: [{ name: 'model.conf' }, { name: 'policy.csv' }],
      rules: { added: 2, removed: 1, total: 3 },
      problems: [],
    },
  ])
})

test('a candidate that is refused is told, and touches neither the policy in force nor the candidate before it', async () => {
  put('candidate', 'p, carol, /a, GET')
  await start()
  await until(() => loaded() !== null)
  const before = policies?.candidate()
  put('candidate', 'nonsense')
  await until(() => policies?.status().candidate.refused !== null)
  expect(policies?.candidate()).toBe(before)
  expect(policies?.status()).toMatchObject({
    ...{ refused: null, inForce: { rules: 2 } },
    candidate: { loaded: { rules: 1 }, refused: { problems: [{ code: 'TYPE_UNKNOWN' }] } },
  })
  await until(() => ofCandidate().length === 2)
  expect(ofCandidate()[1]).toMatchObject({ change: 'rejected', rules: { added: 0, removed: 0, total: 2 } })
})

describe('a candidate that is removed', () => {
  test('is evaluated no more, and its removal is recorded once', async () => {
    put('candidate', 'p, carol, /a, GET')
    await start()
    await until(() => loaded() !== null)
    const version = loaded()?.policyVersion
    remove()
    await until(() => loaded() === null)
    expect(policies?.candidate()).toBeUndefined()
    await until(() => ofCandidate().length === 2)
    expect(ofCandidate()[1]).toMatchObject({
      ...{ change: 'candidate-removed', policyVersion: version, files: [], problems: [] },
      previousVersion: policies?.rulesInForce()?.policyVersion,
    })
    await start()
    await until(() => events.length === 4)
    expect(ofCandidate()).toHaveLength(2)
  })

  test('while it was refused takes the refusal away with it', async () => {
    put('candidate', 'nonsense')
    await start()
    await until(() => policies?.status().candidate.refused !== null)
    remove()
    await until(() => policies?.status().candidate.refused === null)
    expect(ofCandidate().map(({ change }) => change)).toEqual(['rejected'])
  })

  test.each([
    ['its folder', {}],
    ['its setting', { candidateDir: undefined }],
  ])('with %s between two runs is recorded by the next', async (_, options) => {
    put('candidate', 'p, carol, /a, GET')
    await start()
    await until(() => existsSync(join(root, 'kept/candidate')))
    const version = loaded()?.policyVersion
    await policies?.stop()
    remove()
    await start(options)
    await until(() => ofCandidate().length === 2)
    expect(ofCandidate()[1]).toMatchObject({ change: 'candidate-removed', policyVersion: version })
    await until(() => !existsSync(join(root, 'kept/candidate')))
  })

  test('and was never recorded as loaded is tried again until it is', async () => {
    put('candidate', 'p, carol, /a, GET')
    let full = true
    const record = (event: AuditEvent) => {
      if (!full) events.push(event)
      return Promise.resolve(!full)
    }
    await start({ record })
    await until(() => loaded() !== null)
    remove()
    await until(() => loaded() === null)
    full = false
    await until(() => ofCandidate().length === 2)
    expect(ofCandidate().map(({ change }) => change)).toEqual(['candidate-loaded', 'candidate-removed'])
  })
})

test('no folder of a candidate is no fault, and one that comes later is loaded', async () => {
  await start()
  expect(policies?.status().candidate).toEqual({ loaded: null, refused: null })
  put('candidate', 'p, carol, /a, GET')
  await until(() => loaded() !== null)
  expect(policies?.candidate()?.evaluate({ ...request, sub: 'carol' }).effect).toBe('allow')
})

test('nobody waits for a candidate: neither the start nor the stop', async () => {
  put('candidate', 'p, carol, /a, GET')
  await start({
    build: async (snapshot) => {
      if (snapshot.files.some(({ text }) => text.includes('carol'))) await new Promise(() => undefined)
      return buildPolicy(snapshot, { compareWithCasbin: false })
    },
  })
  expect(policies?.rulesInForce()?.evaluate(request).effect).toBe('allow')
  expect(policies?.candidate()).toBeUndefined()
  await policies?.stop()
})

test('every event of a candidate is a record of the contract', async () => {
  put('candidate', 'p, carol, /a, GET')
  await start()
  await until(() => loaded() !== null)
  put('candidate', 'nonsense')
  await until(() => ofCandidate().length === 2)
  remove()
  await until(() => ofCandidate().length === 3)
  for (const event of events) expectValidRecord(recordLine(event))
})
