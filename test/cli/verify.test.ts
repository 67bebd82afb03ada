import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { verifyCommand } from '../../src/cli/commands/verify.ts'
import { asPrevious, decisions, idOf, makeTrail } from '../archive/trails.ts'
import { signer } from '../cases/signing-key.ts'
import { replicaLines } from '../fault/tampering/dump.ts'
import { TestData } from '../readers/data-folder.ts'
import { runCommand, type Ran } from './run-command.ts'

const trails = [1, 2].map((number) => `web-0-${idOf(number)}`) as [string, string]
const first = makeTrail({ trail: trails[0] }, decisions(4))
const second = makeTrail({ trail: trails[1], atMs: 60_000, previous: asPrevious(first) }, decisions(2))
const file = `archive/2026-11-22/${trails[0]}.0000000000000001.ndjson`
let data: TestData

beforeEach(async () => {
  data = new TestData()
  await data.archive([...first, ...second])
})

afterEach(() => {
  data[Symbol.dispose]()
})

function run(args: readonly string[] = [], columns?: number): Promise<Ran> {
  return runCommand(verifyCommand, ['--data', data.dir, ...args], columns)
}

function alter(): void {
  const path = join(data.dir, file)
  writeFileSync(path, readFileSync(path, 'utf8').replace('"/orders/1"', '"/orders/2"'))
}

describe('verify', () => {
  test('prints the trails and the verdict in words, status 0, when all is whole', async () => {
    const { out, err, exitCode } = await run()
    expect({ err, exitCode }).toEqual({ err: '', exitCode: 0 })
    expect(out).toBe(
      `
TRAIL                                       RECORDS  FROM              TO                SIGNED  END
${trails[0]}        5  2026-11-22 10:00  2026-11-22 10:00       -  named
${trails[1]}        3  2026-11-22 10:01  2026-11-22 10:01       -  open

Note: signatures were not checked: no key is known; --keys takes those that you trust
Note: ${trails[0]}: end not proven: the trail that follows names it; no checkpoint signs any of it
Note: ${trails[1]}: end not proven: it is still being written, or nothing says what its last record was; no checkpoint signs any of it
Whole: 8 records in 2 trails; every hash, sequence and link holds; no checkpoint signs any of it.
`.trimStart(),
    )
  })

  test('names file and line of the first bad place, status 1', async () => {
    alter()
    const { out, exitCode } = await run()
    expect(exitCode).toBe(1)
    expect(out).toContain(
      `BROKEN: altered: trail ${trails[0]}, sequence 3, at ${file}:3: the bytes of the record do not have the hash that it carries`,
    )
  })

  test('prints one JSON object with --json', async () => {
    alter()
    const { out, exitCode } = await run(['--json'])
    expect(exitCode).toBe(1)
    expect(JSON.parse(out)).toMatchObject({
      verdict: 'broken',
      first: { trail: trails[0], sequence: 3, file, line: 3 },
      totals: { trails: 2, segments: 2 },
    })
  })

  test('keeps its table within 80 columns', async () => {
    const { out } = await run([], 80)
    for (const line of out.split('\n').slice(0, 3)) expect(line.length).toBeLessThanOrEqual(80)
  })

  test('writes nothing', async () => {
    const before = readdirSync(data.dir, { recursive: true }).sort()
    await run()
    expect(readdirSync(data.dir, { recursive: true }).sort()).toEqual(before)
    expect(existsSync(join(data.dir, 'spool'))).toBe(false)
  })

  test('is neither whole nor broken, status 2, where there is nothing', async () => {
    using empty = new TestData()
    const { out, exitCode } = await runCommand(verifyCommand, ['--data', empty.dir])
    expect({ out, exitCode }).toEqual({
      out: 'Note: signatures were not checked: no key is known; --keys takes those that you trust\nNothing to verify: there is no record.\n',
      exitCode: 2,
    })
  })

  test('says what to do, status 2, where there is no data folder', async () => {
    const { err, exitCode } = await runCommand(verifyCommand, ['--data', join(data.dir, 'nowhere')])
    expect(exitCode).toBe(2)
    expect(err).toMatch(/^ARCHIVE_UNREADABLE: .*nowhere does not exist\. Give --data the folder/)
  })
})

describe('verify of exported files, as a real spool wrote them', () => {
  const lines = replicaLines('web-0', 1, [40, 30]).map(({ line }) => line)
  const place = (name: string): string => join(data.dir, name)

  function exported(texts: readonly string[], ...args: string[]): Promise<Ran> {
    writeFileSync(place('export.ndjson'), texts.map((line) => `${line}\n`).join(''))
    writeFileSync(place('keys.pub'), `# of web-0\n${signer.verifierKey}\n`)
    return runCommand(verifyCommand, [place('export.ndjson'), '--keys', place('keys.pub'), ...args])
  }

  test('remembers the end of each trail with --state, and proves it in the next run', async () => {
    const state = place('state.json')
    expect(await exported(lines, '--state', state)).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining('end not proven'),
    })
    expect(statSync(state).mode & 0o777).toBe(0o600)
    const { exitCode, out } = await exported(lines, '--state', state)
    expect(exitCode).toBe(0)
    expect(out).not.toContain('end not proven')
    expect(out.match(/ proven$/gm)).toHaveLength(2)
  })

  test('finds by --state what was cut off since, and keeps what it knows', async () => {
    const state = place('state.json')
    await exported(lines, '--state', state)
    const known = trailsIn(state)
    const { exitCode, out } = await exported(lines.slice(0, -3), '--state', state)
    expect(exitCode).toBe(1)
    expect(out).toContain('BROKEN: rolled-back: trail ')
    expect(trailsIn(state)).toEqual(known)
  })

  function trailsIn(state: string): unknown {
    return (JSON.parse(readFileSync(state, 'utf8')) as { trails: unknown }).trails
  }

  test('says that a state file is not there yet, and that a file of checkpoints has none', async () => {
    writeFileSync(place('none.ndjson'), '')
    const known = ['--state', place('new.json'), '--checkpoints', place('none.ndjson')]
    const { exitCode, out } = await exported(lines, ...known)
    expect(exitCode).toBe(0)
    expect(out).toContain(`Note: --state: there is no ${place('new.json')} yet: this run is the first`)
    expect(out).toContain(`Note: --checkpoints: ${place('none.ndjson')} holds no checkpoint that is trusted`)
    expect((await exported(lines, '--state', place('new.json'))).out).not.toContain('--state: ')
  })

  test('names the line of an outside checkpoint whose trail is not there', async () => {
    const checkpoints = lines.filter((line) => line.includes('"type":"io.countersign.checkpoint.v1"'))
    writeFileSync(place('outside.ndjson'), checkpoints.map((line) => `${line}\n`).join(''))
    const trailOf = (line = ''): string => (JSON.parse(line) as { trail: string }).trail
    const first = lines.filter((line) => trailOf(line) === trailOf(lines[0]))
    const { out } = await exported(first, '--checkpoints', place('outside.ndjson'))
    expect(out).toContain(` at ${place('outside.ndjson')}:${String(checkpoints.length)}: the trail is missing`)
  })

  test.each(['', '{}', '{"version":2,"trails":{}}', '{"version":1,"trails":{"a":{"sequence":1}}}'])(
    'refuses the state file %j, status 2',
    async (text) => {
      writeFileSync(place('state.json'), text)
      const { exitCode, err } = await exported(lines, '--state', place('state.json'))
      expect(exitCode).toBe(2)
      expect(err).toMatch(/^INPUT_UNREADABLE: --state: .*state\.json /)
    },
  )

  test('compares with checkpoints that were kept outside', async () => {
    const outside = place('outside.ndjson')
    writeFileSync(
      outside,
      lines
        .filter((line) => line.includes('.checkpoint.v1"'))
        .map((line) => `${line}\n`)
        .join(''),
    )
    expect(await exported(lines, '--checkpoints', outside)).toMatchObject({ exitCode: 0 })
    const { exitCode, out } = await exported(lines.slice(0, 10), '--checkpoints', outside)
    expect(exitCode).toBe(1)
    expect(out).toContain('rolled-back: ')
    expect(out).toContain('missing-trail: ')
  })

  test('counts a doubled record, and fails on it with --once', async () => {
    const doubled = [...lines.slice(0, 9), ...lines.slice(5)]
    expect(await exported(doubled)).toMatchObject({
      exitCode: 0,
      out: expect.stringContaining('4 records were met again'),
    })
    expect(await exported(doubled, '--once')).toMatchObject({
      exitCode: 1,
      out: expect.stringContaining(`export.ndjson:10: `),
    })
  })

  test('says that signatures were not checked where no key is given', async () => {
    await exported(lines)
    const { out, exitCode } = await runCommand(verifyCommand, [place('export.ndjson'), '--json'])
    expect(exitCode).toBe(0)
    const result = JSON.parse(out) as { readonly notes: readonly string[]; readonly trust: string }
    expect(result).toMatchObject({ trust: 'nobody', trails: [{ signed: { key: null } }, { signed: { key: null } }] })
    expect(result.notes[0]).toContain('signatures were not checked')
  })

  test('takes one source at a time', async () => {
    const { exitCode, err } = await runCommand(verifyCommand, ['a.ndjson', '--data', data.dir])
    expect({ exitCode, err }).toEqual({
      exitCode: 2,
      err: 'USAGE: give one of --data, --kafka, --config, --proof and files\n',
    })
  })
})
