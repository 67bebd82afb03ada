import { getEventListeners } from 'node:events'
import { mkdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import v8 from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { FollowedFolder, type FollowOptions } from '../../../src/policy/in-force/follow.ts'
import { pauseAfter } from '../../../src/policy/in-force/retry.ts'
import { buildPolicy } from '../../../src/policy/load.ts'
import type { Snapshot } from '../../../src/policy/source/source.ts'
import { modelText, swapConfigMap, temporaryFolder, until, writeFiles } from '../policies.ts'

let folder = ''
let followed: FollowedFolder | undefined
/** What was told: the rules' text of a version that was loaded, or the first problem's code. */
let told: string[] = []

beforeEach(() => {
  folder = temporaryFolder()
  told = []
})
afterEach(async () => {
  await followed?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const never = 3_600_000
const filesOf = (csv: string) => ({ 'model.conf': modelText(), 'policy.csv': csv })
const rule = (name: string) => `p, ${name}, /a, GET`
const textOf = ({ files }: Snapshot) => files.find(({ name }) => name === 'policy.csv')?.text.trim() ?? ''

function follow(options: Partial<FollowOptions> = {}, canBeEmpty = false): FollowedFolder {
  followed = new FollowedFolder(
    {
      dir: folder,
      pollMs: never,
      build: (snapshot) => buildPolicy(snapshot, { compareWithCasbin: false }),
      ...options,
    },
    {
      loaded: ({ snapshot }) => told.push(textOf(snapshot)),
      refused: ({ problems }) => told.push(problems[0]?.code ?? ''),
      back: () => told.push('back'),
      ...(canBeEmpty ? { empty: () => told.push('empty') } : {}),
    },
  )
  return followed
}

/** Builds that wait until the test lets them go on. */
function heldBuilds() {
  const started: { readonly text: string; readonly signal: AbortSignal; readonly goOn: () => void }[] = []
  const build: FollowOptions['build'] = async (snapshot, signal) => {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    started.push({
      text: textOf(snapshot),
      signal,
      goOn: () => {
        resolve(undefined)
      },
    })
    await promise
    return buildPolicy(snapshot, { compareWithCasbin: false })
  }
  return { started, build }
}

// Each kind of folder: how a version gets there, as `kubectl apply` or an administrator does it.
const kinds: [kind: string, put: (version: number, name: string) => void][] = [
  ['a mounted ConfigMap', (version, name) => swapConfigMap(folder, version, filesOf(rule(name)))],
  [
    'several ConfigMaps that are projected into one volume',
    (version, name) => {
      // The kubelet writes all sources of a projected volume into one folder behind one link; each file is a link through it.
      swapConfigMap(folder, version, {
        'model.conf': modelText(),
        'policy.csv': rule(name),
        'roles.csv': `g, x, ${name}`,
      })
      for (const file of ['model.conf', 'policy.csv', 'roles.csv']) {
        rmSync(join(folder, file), { force: true })
        symlinkSync(`..data/${file}`, join(folder, file))
      }
    },
  ],
  ['a plain folder whose files are written', (_, name) => writeFiles(folder, filesOf(rule(name)))],
  [
    'a plain folder that another is renamed over',
    (version, name) => {
      writeFiles(`${folder}-${String(version)}`, filesOf(rule(name)))
      rmSync(folder, { recursive: true, force: true })
      renameSync(`${folder}-${String(version)}`, folder)
    },
  ],
  [
    'a link that is pointed to another folder',
    (version, name) => {
      writeFiles(join(`${folder}-real`, String(version)), filesOf(rule(name)))
      symlinkSync(join(`${folder}-real`, String(version)), `${folder}-link`)
      rmSync(folder, { recursive: true, force: true })
      renameSync(`${folder}-link`, folder)
    },
  ],
]

describe.each(kinds)('%s', (_, put) => {
  afterEach(() => {
    rmSync(`${folder}-real`, { recursive: true, force: true })
  })

  test('is loaded, and its change at the next look, once', async () => {
    put(1, 'alice')
    await follow().check()
    put(2, 'bob')
    await followed?.check()
    await followed?.check()
    expect(told).toEqual([rule('alice'), rule('bob')])
  })

  // With the server's poll of one second, a change is so noticed within two.
  test('needs no more than one poll for a change to be noticed, where nothing announces it', async () => {
    put(1, 'alice')
    let looks = 0
    await follow({ pollMs: 50 }).check()
    followed?.watch(() => {
      looks += 1
      return followed?.check() ?? Promise.resolve()
    })
    await until(() => looks > 1)
    put(2, 'bob')
    const before = looks
    await until(() => looks > before)
    await followed?.check()
    expect(told).toEqual([rule('alice'), rule('bob')])
  })
})

describe.each(kinds.slice(0, 3))('%s', (_, put) => {
  test('announces its change', async () => {
    put(1, 'alice')
    await follow().check()
    followed?.watch(() => followed?.check() ?? Promise.resolve())
    put(2, 'bob')
    await until(() => told.length === 2)
    expect(told[1]).toBe(rule('bob'))
  })
})

describe('while a version is being loaded', () => {
  test('and newer ones appear, only the newest is told', async () => {
    const { started, build } = heldBuilds()
    writeFiles(folder, filesOf(rule('first')))
    const done = follow({ build }).check()
    for (const name of ['second', 'third']) {
      const so_far = started.length
      await until(() => started.length > so_far - 1 && started.at(-1)?.signal.aborted === false)
      writeFiles(folder, filesOf(rule(name)))
      const [current] = started.slice(-1)
      void followed?.check()
      await until(() => current?.signal.aborted === true)
      await until(() => started.at(-1)?.text === rule(name))
    }
    for (const { goOn } of started) goOn()
    await done
    await followed?.check()
    expect(told).toEqual([rule('third')])
  })

  test('it is not given up for a look that finds nothing new', async () => {
    const { started, build } = heldBuilds()
    writeFiles(folder, filesOf(rule('first')))
    const done = follow({ build }).check()
    await until(() => started.length === 1)
    void followed?.check()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(started[0]?.signal.aborted).toBe(false)
    started[0]?.goOn()
    await done
    expect(told).toEqual([rule('first')])
    expect(started).toHaveLength(1)
  })

  test('a folder that never rests gets a version in force all the same', async () => {
    const { started, build } = heldBuilds()
    writeFiles(folder, filesOf(rule('v0')))
    const done = follow({ build }).check()
    for (let version = 1; version <= 3; version += 1) {
      await until(() => started.at(-1)?.text === rule(`v${String(version - 1)}`))
      writeFiles(folder, filesOf(rule(`v${String(version)}`)))
      const current = started.at(-1)
      void followed?.check()
      await until(() => current?.signal.aborted === true)
    }
    await until(() => started.at(-1)?.text === rule('v3'))
    writeFiles(folder, filesOf(rule('v4')))
    void followed?.check()
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(started.at(-1)?.signal.aborted).toBe(false)
    started.at(-1)?.goOn()
    await until(() => told.length === 1)
    await until(() => started.at(-1)?.text === rule('v4'))
    started.at(-1)?.goOn()
    await done
    expect(told).toEqual([rule('v3'), rule('v4')])
  })

  test('a stop ends it at once, and nothing is told any more', async () => {
    const { started, build } = heldBuilds()
    writeFiles(folder, filesOf(rule('first')))
    const done = follow({ build }).check()
    await until(() => started.length === 1)
    await followed?.stop()
    expect(started[0]?.signal.aborted).toBe(true)
    await done
    started[0]?.goOn()
    await new Promise((resolve) => setImmediate(resolve))
    expect(told).toEqual([])
  })

  test('a real load of many rules ends early too', async () => {
    const rules = Array.from({ length: 100_000 }, (_, index) => `p, role-${String(index)}, /a/${String(index)}, GET`)
    writeFiles(folder, filesOf(rules.join('\n')))
    let begun = false
    let ended: Promise<unknown> = Promise.resolve()
    const build: FollowOptions['build'] = (snapshot, signal) => {
      const outcome = buildPolicy(snapshot, { signal, compareWithCasbin: false })
      ended = outcome.catch((fault: unknown) => fault)
      begun = true
      return outcome
    }
    const done = follow({ build }).check()
    await until(() => begun)
    await followed?.stop()
    await done
    expect(await ended).toMatchObject({ name: 'AbortError' })
    expect(told).toEqual([])
  })
})

describe('a version that has been told', () => {
  test.each([
    ['loaded', rule('alice')],
    ['refused', 'bad'],
  ])('leaves nothing on the signal of its load, which would keep it for ever: %s', async (_, csv) => {
    const signals: AbortSignal[] = []
    const build: FollowOptions['build'] = (snapshot, signal) => {
      signals.push(signal)
      return buildPolicy(snapshot, { compareWithCasbin: false, signal })
    }
    follow({ build })
    for (const more of ['', '# more', '# and more']) {
      writeFiles(folder, filesOf(`${csv}\n${more}`))
      await followed?.check()
    }
    expect(told).toHaveLength(3)
    expect(signals.map((signal) => getEventListeners(signal, 'abort'))).toEqual([[], [], []])
  })

  test('is no longer held once another one has taken its place', async () => {
    v8.setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const built: WeakRef<object>[] = []
    const build: FollowOptions['build'] = async (snapshot, signal) => {
      const outcome = await buildPolicy(snapshot, { compareWithCasbin: false, signal })
      if (outcome.ok) built.push(new WeakRef(outcome.ruleSet))
      return outcome
    }
    follow({ build })
    for (let version = 0; version < 10; version += 1) {
      writeFiles(folder, filesOf(rule(`v${String(version)}`)))
      await followed?.check()
    }
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    expect(told).toHaveLength(10)
    expect(built.slice(0, 8).filter((ref) => ref.deref() !== undefined)).toEqual([])
  })
})

describe('a load that fails inside', () => {
  test('is a refusal, and the folder is followed on', async () => {
    writeFiles(folder, filesOf(rule('first')))
    const build: FollowOptions['build'] = (snapshot) => {
      if (textOf(snapshot) === rule('first')) throw new Error('broken')
      return buildPolicy(snapshot, { compareWithCasbin: false })
    }
    await follow({ build }).check()
    writeFiles(folder, filesOf(rule('second')))
    await followed?.check()
    expect(told).toEqual(['LOAD_FAILED', rule('second')])
  })
})

describe('a load that failed inside is tried again, although nobody touched the folder', () => {
  /** Builds that fail so many times. */
  function failing(times: number) {
    const builds: string[] = []
    const build: FollowOptions['build'] = (snapshot) => {
      builds.push(textOf(snapshot))
      if (builds.length <= times) throw new Error('no thread is left')
      return buildPolicy(snapshot, { compareWithCasbin: false })
    }
    return { builds, build, firstRetryMs: 5 }
  }

  test.each([
    ['a plain folder', () => writeFiles(folder, filesOf(rule('alice')))],
    ['a mounted ConfigMap', () => swapConfigMap(folder, 1, filesOf(rule('alice')))],
  ])('until it is loaded; the refusal is told once: %s', async (_, put) => {
    put()
    const { builds, ...options } = failing(3)
    await follow(options).check()
    expect(told).toEqual(['LOAD_FAILED'])
    await until(() => told.length > 1)
    await followed?.check()
    expect(told).toEqual(['LOAD_FAILED', rule('alice')])
    expect(builds).toHaveLength(4)
  })

  test('until something else stands there', async () => {
    writeFiles(folder, filesOf(rule('first')))
    const { builds, ...options } = failing(2)
    await follow(options).check()
    await until(() => builds.length > 1)
    writeFiles(folder, filesOf('bad'))
    await until(() => told.length > 1)
    expect(told.slice(0, 2)).toEqual(['LOAD_FAILED', 'TYPE_UNKNOWN'])
    const so_far = builds.length
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(builds).toHaveLength(so_far)
  })

  test('but not by looks that come before its time, and not after the stop', async () => {
    writeFiles(folder, filesOf(rule('first')))
    const { builds, build } = failing(1)
    await follow({ build, firstRetryMs: 200 }).check()
    for (let look = 0; look < 3; look += 1) await followed?.check()
    expect(builds).toHaveLength(1)
    await followed?.stop()
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(builds).toHaveLength(1)
  })

  test('after a second, then after twice as long each time, at most a minute', () => {
    const pauses = [1, 2, 3, 4, 5, 6, 7, 8, 5000].map((failures) => pauseAfter(failures))
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000))
  })
})

describe('a folder without a policy', () => {
  test.each([
    ['is missing', () => rmSync(folder, { recursive: true })],
    ['is empty', () => undefined],
    ['holds other files alone', () => writeFiles(folder, { 'README.md': 'x' })],
    ['is an empty ConfigMap', () => swapConfigMap(folder, 1, {})],
  ])('where it %s is empty, and told once', async (_, make) => {
    make()
    await follow({}, true).check()
    await followed?.check()
    expect(told).toEqual(['empty'])
  })

  test('may come, go and come back', async () => {
    await follow({}, true).check()
    for (const put of [rule('alice'), null, rule('alice'), 'bad', null]) {
      rmSync(folder, { recursive: true, force: true })
      if (put !== null) writeFiles(folder, filesOf(put))
      await followed?.check()
    }
    expect(told).toEqual(['empty', rule('alice'), 'empty', rule('alice'), 'TYPE_UNKNOWN', 'empty'])
  })

  test('is not one that cannot be read, nor one that lacks a file', async () => {
    writeFiles(folder, { 'policy.csv': rule('alice') })
    await follow({}, true).check()
    rmSync(folder, { recursive: true })
    writeFileSync(folder, 'no folder')
    await followed?.check()
    expect(told).toEqual(['MODEL_MISSING', 'FOLDER_UNREADABLE'])
  })
})

test('a file that is written again with the same size and time is seen', async () => {
  const old = new Date(1_000_000_000_000)
  const put = (name: string) => {
    writeFiles(folder, filesOf(rule(name)))
    utimesSync(join(folder, 'policy.csv'), old, old)
  }
  put('alice')
  await follow().check()
  put('carol')
  await followed?.check()
  expect(told).toEqual([rule('alice'), rule('carol')])
})

test('a file that could not be read is read again, although nobody touched it', async () => {
  writeFiles(folder, filesOf(rule('alice')))
  mkdirSync(join(folder, 'more.csv'))
  await follow().check()
  rmSync(join(folder, 'more.csv'), { recursive: true })
  await followed?.check()
  expect(told).toEqual(['FILE_UNREADABLE', rule('alice')])
})
