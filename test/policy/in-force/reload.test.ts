import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { PolicyData } from '../../../src/audit/event-data.ts'
import type { AuditEvent } from '../../../src/audit/event.ts'
import type { RuleSet } from '../../../src/decision/rule-set.ts'
import { PolicyInForce } from '../../../src/policy/in-force/in-force.ts'
import { buildPolicy } from '../../../src/policy/load.ts'
import {
  startReload,
  type PolicyReload,
  type PolicyStatus,
  type ReloadOptions,
} from '../../../src/policy/in-force/reload.ts'
import { modelText, swapConfigMap, temporaryFolder, until, writeFiles } from '../policies.ts'

let folder = ''
let kept = ''
let reload: PolicyReload | undefined
let events: AuditEvent[] = []
let inForce = new PolicyInForce()

beforeEach(() => {
  folder = temporaryFolder()
  kept = temporaryFolder()
  events = []
  inForce = new PolicyInForce()
})
afterEach(async () => {
  await reload?.stop()
  for (const path of [folder, kept]) rmSync(path, { recursive: true, force: true })
})

/** A long poll: what is not announced is not seen, unless the test asks for it. */
async function start(options: Partial<ReloadOptions> = {}): Promise<PolicyReload> {
  let id = 0
  reload = await startReload({
    dir: folder,
    pollMs: 3_600_000,
    build: (snapshot) => buildPolicy(snapshot, { compareWithCasbin: false }),
    lastGood: { dir: kept, retryMs: 3_600_000 },
    startMs: 3_600_000,
    inForce,
    record: (event) => {
      events.push(event)
      return Promise.resolve(true)
    },
    ids: () => `id-${String((id += 1))}`,
    now: () => new Date(1_000 * id),
    ...options,
  })
  return reload
}

const dataOf = (event: AuditEvent | undefined) => event?.data as PolicyData
const model = modelText()
const good = { 'model.conf': model, 'policy.csv': 'p, alice, /a, GET\np, bob, /a, GET\n' }
const request = { sub: 'alice', obj: '/a', act: 'GET' }

describe('a policy folder that is followed', () => {
  test('is in force after the start, and recorded once', async () => {
    writeFiles(folder, good)
    await start()
    await reload?.check()
    expect(inForce.rules?.evaluate(request).effect).toBe('allow')
    const policyVersion = inForce.rules?.policyVersion
    expect(reload?.status()).toEqual({
      inForce: {
        ...{ policyVersion, rules: 2, since: new Date(0), origin: 'folder' },
        warnings: reload?.loaded()?.warnings.length,
        tookMs: expect.any(Number) as unknown,
      },
      refused: null,
      copyProblem: null,
    })
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({
      id: 'id-1',
      type: 'io.countersign.policy.v1',
      data: {
        change: 'loaded',
        policyVersion,
        previousVersion: null,
        files: [{ name: 'model.conf' }, { name: 'policy.csv' }],
        rules: { added: 2, removed: 0, total: 2 },
        problems: [],
      },
    })
  })

  test('has no policy in force while it has been unusable from the start, and reports that once', async () => {
    writeFiles(folder, { ...good, 'policy.csv': 'nonsense' })
    await start()
    await reload?.check()
    expect(inForce.rules).toBeUndefined()
    expect(reload?.status()).toMatchObject({ inForce: null, refused: { problems: [{ code: 'TYPE_UNKNOWN' }] } })
    expect(events.map((event) => dataOf(event).change)).toEqual(['rejected'])
  })

  test('may be missing at the start and come later', async () => {
    rmSync(folder, { recursive: true })
    await start({ pollMs: 10 })
    expect(reload?.status().refused).toMatchObject({ policyVersion: null, problems: [{ code: 'FOLDER_UNREADABLE' }] })
    writeFiles(`${folder}-new`, good)
    renameSync(`${folder}-new`, folder)
    await until(() => inForce.rules !== undefined)
    expect(reload?.status().refused).toBeNull()
    expect(events.map((event) => dataOf(event).change)).toEqual(['rejected', 'loaded'])
  })

  test('keeps the last good version in force when a new one is bad, and says so', async () => {
    writeFiles(folder, good)
    await start()
    const before = inForce.rules
    writeFiles(folder, { 'policy.csv': Array.from({ length: 80 }, () => 'p, alice').join('\n') })
    await reload?.check()
    expect(inForce.rules).toBe(before)
    const status = reload?.status()
    expect(status?.inForce?.policyVersion).toBe(before?.policyVersion)
    expect(status?.refused?.problems).toHaveLength(80)
    expect(dataOf(events[1])).toMatchObject({
      change: 'rejected',
      policyVersion: status?.refused?.policyVersion,
      previousVersion: before?.policyVersion,
      rules: { added: 0, removed: 0, total: 2 },
    })
    expect(dataOf(events[1]).problems).toHaveLength(50)
    expect(dataOf(events[1]).problems[0]).toMatchObject({ file: 'policy.csv', line: 1, code: 'ROW_TOO_SHORT' })
  })

  test('reports a bad version once while it stands there, and again when it comes back', async () => {
    writeFiles(folder, good)
    const statuses: PolicyStatus[] = []
    await start({ onChange: (status) => void statuses.push(status) })
    for (const csv of ['bad', good['policy.csv'], 'bad']) {
      writeFiles(folder, { 'policy.csv': csv })
      await reload?.check()
      await reload?.check()
    }
    expect(events.map((event) => dataOf(event).change)).toEqual(['loaded', 'rejected', 'rejected'])
    expect(statuses.map(({ refused }) => refused === null)).toEqual([true, false, true, false])
  })

  test('counts the rules that were added and removed, wherever they stand', async () => {
    writeFiles(folder, good)
    await start()
    rmSync(join(folder, 'policy.csv'))
    writeFiles(folder, { 'other.csv': '# moved\np, bob, /a, GET\np, carol, /a, GET\ng, dave, carol\n' })
    await reload?.check()
    expect(dataOf(events[1])).toMatchObject({ change: 'loaded', rules: { added: 2, removed: 1, total: 3 } })
    expect(inForce.rules?.evaluate(request).effect).toBe('deny')
  })

  test('is looked at when it announces a change', async () => {
    writeFiles(folder, good)
    await start()
    writeFileSync(join(folder, 'policy.csv'), 'p, carol, /a, GET')
    await until(() => inForce.rules?.evaluate({ ...request, sub: 'carol' }).effect === 'allow')
  })

  test('is polled, for a watch that has gone deaf', async () => {
    writeFiles(folder, good)
    await start({ pollMs: 10 })
    renameSync(folder, `${folder}-old`)
    writeFiles(folder, { ...good, 'policy.csv': 'p, carol, /a, GET' })
    await until(() => inForce.rules?.evaluate({ ...request, sub: 'carol' }).effect === 'allow')
    rmSync(`${folder}-old`, { recursive: true })
  })

  test('hands an event over again that could not be kept, in order and with the same id', async () => {
    writeFiles(folder, good)
    let full = true
    const refused: string[] = []
    const record = (event: AuditEvent) => {
      if (full) refused.push(event.id)
      else events.push(event)
      return Promise.resolve(!full)
    }
    await start({ record })
    writeFiles(folder, { 'policy.csv': 'bad' })
    await reload?.check()
    full = false
    await reload?.check()
    await until(() => events.length === 2)
    expect(events.map(({ id }) => id)).toEqual(['id-1', 'id-2'])
    expect(new Set(refused)).toEqual(new Set(['id-1']))
  })

  test('is put in force although its event waits for a slow disk', async () => {
    writeFiles(folder, good)
    await start({ record: () => new Promise(() => undefined) })
    writeFiles(folder, { 'policy.csv': '# nobody' })
    await reload?.check()
    expect(inForce.rules?.evaluate(request).effect).toBe('deny')
  })

  test('is left alone after the stop', async () => {
    writeFiles(folder, good)
    await start({ pollMs: 5 })
    await reload?.stop()
    writeFiles(folder, { 'policy.csv': 'p, carol, /a, GET' })
    await reload?.check()
    expect(inForce.rules?.evaluate(request).effect).toBe('allow')
  })
})

describe('the last good policy', () => {
  const bad = { ...good, 'policy.csv': 'nonsense' }
  const restart = async (files: Record<string, string>, options: Partial<ReloadOptions> = {}) => {
    await reload?.stop()
    inForce = new PolicyInForce()
    events = []
    rmSync(folder, { recursive: true })
    if (Object.keys(files).length > 0) writeFiles(folder, files)
    return start(options)
  }
  const origins = () => events.map((event) => [dataOf(event).change, dataOf(event).origin])

  test.each([
    ['is refused', bad, 'TYPE_UNKNOWN'],
    ['is gone', {}, 'FOLDER_UNREADABLE'],
  ])('is in force again after a restart where the folder’s version %s, and says so', async (_, files, code) => {
    writeFiles(folder, good)
    const version = (await start()).status().inForce?.policyVersion
    await restart(files)
    expect(inForce.rules?.policyVersion).toBe(version)
    expect(inForce.rules?.evaluate(request).effect).toBe('allow')
    expect(reload?.status()).toMatchObject({
      inForce: { policyVersion: version, origin: 'last-good' },
      refused: { problems: [{ code }] },
      copyProblem: null,
    })
    expect(origins()).toEqual([
      ['rejected', 'folder'],
      ['loaded', 'last-good'],
    ])
  })

  test('is left as soon as the folder has a good version', async () => {
    writeFiles(folder, good)
    await start()
    await restart(bad)
    writeFiles(folder, { 'policy.csv': 'p, carol, /a, GET' })
    await reload?.check()
    expect(reload?.status()).toMatchObject({ inForce: { origin: 'folder', rules: 1 }, refused: null })
    expect(dataOf(events[2])).toMatchObject({ change: 'loaded', origin: 'folder', rules: { added: 1, removed: 2 } })
    await restart(bad)
    expect(inForce.rules?.evaluate({ ...request, sub: 'carol' }).effect).toBe('allow')
  })

  test('is what the folder holds again where its own files come back, which is no change', async () => {
    writeFiles(folder, good)
    await start()
    await restart(bad)
    const rules = inForce.rules
    writeFiles(folder, good)
    await reload?.check()
    expect(reload?.status()).toMatchObject({ inForce: { origin: 'folder' }, refused: null })
    expect(inForce.rules).toBe(rules)
    expect(events).toHaveLength(2)
  })

  test('is not put in force beside a good folder', async () => {
    writeFiles(folder, good)
    await start()
    await restart({ ...good, 'policy.csv': 'p, carol, /a, GET' })
    expect(inForce.rules?.evaluate(request).effect).toBe('deny')
    expect(origins()).toEqual([['loaded', 'folder']])
  })

  test('gives way before another version is in force, and stays where it is of that version', async () => {
    const stood: boolean[] = []
    class Watched extends PolicyInForce {
      override swap(rules: RuleSet): void {
        stood.push(existsSync(join(kept, 'last-good')))
        super.swap(rules)
      }
    }
    writeFiles(folder, good)
    await start({ inForce: new Watched() })
    await until(() => existsSync(join(kept, 'last-good')))
    await restart(good, { inForce: new Watched() })
    writeFiles(folder, { 'policy.csv': 'p, bob, /a, GET' })
    await reload?.check()
    expect(stood).toEqual([false, true, false])
  })

  test('does not bring back what was revoked where the process died before the new one was kept', async () => {
    const dies = new Error('the process dies here')
    class Dying extends PolicyInForce {
      override swap(): void {
        throw dies
      }
    }
    writeFiles(folder, good)
    await start()
    await restart({ ...good, 'policy.csv': 'p, bob, /a, GET' }, { inForce: new Dying() }).catch((fault: unknown) => {
      expect(fault).toBe(dies)
    })
    expect(readdirSync(kept)).not.toContain('last-good')
    await restart(bad)
    expect(inForce.rules).toBeUndefined()
    expect(reload?.status()).toMatchObject({ inForce: null, copyProblem: null })
  })

  test('is refused where its copy is damaged, and says so', async () => {
    writeFiles(folder, good)
    await start()
    await reload?.stop()
    writeFileSync(join(kept, 'last-good/policy.csv'), 'p, mallory, /a, GET')
    await restart(bad)
    expect(inForce.rules).toBeUndefined()
    expect(reload?.status()).toMatchObject({
      inForce: null,
      copyProblem: expect.stringMatching(/^the copy of the last good policy is damaged .*sha256:/) as unknown,
    })
    expect(dataOf(events[1])).toMatchObject({
      change: 'rejected',
      origin: 'last-good',
      problems: [{ code: 'LAST_GOOD_DAMAGED' }],
    })
  })

  test('is checked like any other: one that is not allowed any more is refused', async () => {
    writeFiles(folder, good)
    await start()
    await restart(bad, {
      build: (snapshot) => buildPolicy(snapshot, { requireSignature: true, compareWithCasbin: false }),
    })
    expect(inForce.rules).toBeUndefined()
    expect(dataOf(events[1])).toMatchObject({
      ...{ change: 'rejected', origin: 'last-good' },
      problems: [{ code: 'SIGNATURE_MISSING' }],
    })
  })

  test('that cannot be kept is a word of the status, and tried again', async () => {
    writeFiles(folder, good)
    rmSync(kept, { recursive: true })
    writeFileSync(kept, 'no folder')
    const statuses: PolicyStatus[] = []
    await start({ lastGood: { dir: kept, retryMs: 10 }, onChange: (status) => void statuses.push(status) })
    expect(inForce.rules?.evaluate(request).effect).toBe('allow')
    await until(() => reload?.status().copyProblem !== null)
    expect(reload?.status().copyProblem).toMatch(/^the policy in force could not be kept as the last good one: E/)
    const times = statuses.length
    rmSync(kept)
    await until(() => reload?.status().copyProblem === null)
    expect(statuses.slice(times)).toHaveLength(1)
    await restart(bad)
    expect(inForce.rules?.evaluate(request).effect).toBe('allow')
  })

  test('is what the folder holds where that took too long to load, which is no change', async () => {
    writeFiles(folder, good)
    await start()
    let builds = 0
    const slow = Promise.withResolvers<undefined>()
    await restart(good, {
      startMs: 1000,
      build: async (snapshot) => {
        builds += 1
        if (builds === 1) await slow.promise
        return buildPolicy(snapshot)
      },
    })
    await until(() => reload?.status().inForce?.origin === 'last-good')
    const rules = inForce.rules
    slow.resolve(undefined)
    await until(() => reload?.status().inForce?.origin === 'folder')
    expect(inForce.rules).toBe(rules)
    expect(origins()).toEqual([['loaded', 'last-good']])
  })

  test('is not put in force once the folder, which took too long, is loaded before it', async () => {
    writeFiles(folder, good)
    await start()
    const [ofFolder, ofCopy] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()]
    let copies = 0
    await restart(
      { ...good, 'policy.csv': 'p, carol, /a, GET' },
      {
        startMs: 100,
        build: async (snapshot, signal) => {
          const newer = snapshot.files.some(({ text }) => text.includes('carol'))
          if (!newer) copies += 1
          await (newer ? ofFolder : ofCopy).promise
          return buildPolicy(snapshot, { signal })
        },
      },
    )
    await until(() => copies === 1)
    ofFolder.resolve(undefined)
    await until(() => inForce.rules !== undefined)
    const rules = inForce.rules
    ofCopy.resolve(undefined)
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(inForce.rules).toBe(rules)
    expect(origins()).toEqual([['loaded', 'folder']])
  })

  test('is put in force where the folder takes too long, until that is loaded', async () => {
    writeFiles(folder, good)
    await start()
    const slow = Promise.withResolvers<undefined>()
    const newer = { ...good, 'policy.csv': 'p, carol, /a, GET' }
    await restart(newer, {
      startMs: 100,
      build: async (snapshot) => {
        if (snapshot.files.some(({ text }) => text.includes('carol'))) await slow.promise
        return buildPolicy(snapshot, { compareWithCasbin: false })
      },
    })
    await until(() => reload?.status().inForce?.origin === 'last-good')
    expect(reload?.status()).toMatchObject({ inForce: { rules: 2 }, refused: null })
    slow.resolve(undefined)
    await until(() => reload?.status().inForce?.origin === 'folder')
    expect(inForce.rules?.evaluate({ ...request, sub: 'carol' }).effect).toBe('allow')
  })
})

test('200 swaps of a ConfigMap under load give only decisions of one whole version', async () => {
  // A mixture of two versions would give alice a role that no rule knows: a denial.
  const files = (version: number) => ({
    'model.conf': model,
    'policy.csv': `p, role-${String(version)}, /a, GET`,
    'roles.csv': `g, alice, role-${String(version)}`,
  })
  swapConfigMap(folder, 0, files(0))
  await start()
  const seen = [0]
  let version = 0
  let swapping = true
  const decide = async () => {
    while (swapping) {
      await new Promise((resolve) => setImmediate(resolve))
      const evaluation = inForce.rules?.evaluate(request)
      const role = evaluation?.roles[0] ?? ''
      expect(evaluation).toMatchObject({ effect: 'allow', rule: { text: `p, ${role}, /a, GET` } })
      const decided = Number(role.slice('role-'.length))
      expect(decided).toBeGreaterThanOrEqual(seen.at(-1) ?? 0)
      expect(decided).toBeLessThanOrEqual(version)
      if (decided !== seen.at(-1)) seen.push(decided)
    }
  }
  const load = [decide(), decide()]
  while (version < 200) {
    version += 1
    swapConfigMap(folder, version, files(version))
    // As the kubelet does, also while somebody is still reading there.
    rmSync(join(folder, `..v${String(version - 1)}`), { recursive: true })
    if (version % 4 === 0) await reload?.check()
    else await new Promise((resolve) => setImmediate(resolve))
  }
  await reload?.check()
  swapping = false
  await Promise.all(load)
  expect(inForce.rules?.evaluate(request).roles).toEqual(['role-200'])
  expect(seen.length).toBeGreaterThan(20)
  expect(events.filter((event) => dataOf(event).change === 'rejected')).toEqual([])
}, 180_000)
