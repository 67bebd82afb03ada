import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { cutBlocks } from '../../../src/readers/verify/cut-blocks.ts'
import { Expectations } from '../../../src/readers/verify/expectation.ts'
import { expectCheckpoints } from '../../../src/readers/verify/outside-checkpoints.ts'
import type { Part } from '../../../src/readers/verify/part.ts'
import { expectState, stateOf } from '../../../src/readers/verify/state.ts'
import { topicParts } from '../../../src/readers/verify/topic-parts.ts'
import { verifyParts, type Verification, type VerifyOptions } from '../../../src/readers/verify/verify.ts'
import { count, figure, randomFrom, seed } from '../form.ts'
import { interleaved, replicaLines, sentAgain, trustedKey, type DumpLine } from './dump.ts'
import { bytesOf, Dump, isCheckpoint, tamperings, type Knowing, type Tampering } from './tamperings.ts'

const title = 'tampering of a topic dump'
const runs = Number(process.env['TAMPERINGS'] ?? count({ short: 300, long: 10_000 }))
const cleanRuns = 100
const keys = [trustedKey]
let dir = ''
let replicas: readonly (readonly DumpLine[])[] = []
let random: () => number

beforeAll(() => {
  random = randomFrom(seed())
  dir = mkdtempSync(join(tmpdir(), 'countersign-tampering-'))
  replicas = [replicaLines('web-0', 1, [65, 40, 85, 45]), replicaLines('web-1', 2, [30, 75, 50])]
})

afterAll(() => {
  rmSync(dir, { recursive: true, force: true })
})

function exported(bytes: Buffer, name = 'dump'): Part {
  async function* once(): AsyncGenerator<Buffer> {
    await Promise.resolve()
    yield bytes
  }
  return { source: 'file', name, stream: name, bytes: bytes.length, blocks: () => cutBlocks(once()) }
}

function verified(parts: readonly Part[], options: VerifyOptions = {}): Promise<Verification> {
  return verifyParts(parts, { keys, threads: 0, ...options })
}

/** What an earlier run, or somebody outside, knows of a clean dump. */
async function knowledgeOf(dump: Dump): Promise<Record<Knowing, () => Expectations>> {
  const [state, outside] = [join(dir, 'state.json'), join(dir, 'outside.ndjson')]
  writeFileSync(state, stateOf(await verified([exported(bytesOf(dump.texts))]), new Date(0)))
  writeFileSync(outside, bytesOf(dump.lines.filter(isCheckpoint).map(({ line }) => line)))
  const [fromState, fromOutside] = [new Expectations(), new Expectations()]
  expectState(state, fromState)
  expect(expectCheckpoints(outside, keys, fromOutside)).toEqual([])
  return { nothing: () => new Expectations(), state: () => fromState, outside: () => fromOutside }
}

/** What was expected and not found; undefined where the first problem is the right one. */
function missed({ what, expected }: Tampering, { verdict, first, bad }: Verification): string | undefined {
  const found = bad.find(({ trail, kind }) => expected.kinds.includes(kind) && (expected.trail ?? trail) === trail)
  const isFirst = expected.line === undefined || first?.line === expected.line
  const speaks =
    expected.sequence === undefined ||
    ((found?.sequence ?? 0) <= expected.sequence && (found?.toSequence ?? found?.sequence ?? 0) >= expected.sequence)
  const isThere = expected.line === undefined || found?.line === expected.line
  if (verdict === 'broken' && found !== undefined && isFirst && isThere && speaks) return undefined
  return `${what}: expected ${JSON.stringify(expected)}, found ${verdict} ${JSON.stringify(bad.slice(0, 3))}`
}

describe('a dump of what a real spool wrote and signed', () => {
  test('is found tampered with, and the first bad place is named rightly, whatever was done', async () => {
    const wrong: string[] = []
    let knowledge: Awaited<ReturnType<typeof knowledgeOf>> | undefined
    let dump = new Dump([])
    for (let run = 0; run < runs; run += 1) {
      if (run % 250 === 0 || knowledge === undefined) {
        dump = new Dump(interleaved(replicas, random))
        knowledge = await knowledgeOf(dump)
      }
      const tamper = tamperings[run % tamperings.length] as (typeof tamperings)[number]
      const tampering = tamper(dump, random)
      const expectations = knowledge[tampering.knowing ?? 'nothing']()
      const result = await verified([exported(tampering.bytes)], { expectations, once: tampering.once === true })
      const miss = missed(tampering, result)
      if (miss !== undefined) wrong.push(miss)
    }
    figure(
      title,
      'found, and named rightly',
      `${String(runs - wrong.length)} of ${String(runs)}`,
      `all ${String(runs)}`,
    )
    expect(wrong.slice(0, 5)).toEqual([])
  }, 3_600_000)
})

describe('clean dumps', () => {
  test('raise no alarm, however they were delivered', async () => {
    const alarms: string[] = []
    const whole = new Set(replicas.flat().map(({ line }) => line)).size
    const knowledge = await knowledgeOf(new Dump(replicas.flat()))
    for (let run = 0; run < cleanRuns; run += 1) {
      const parts = cleanParts(run)
      const knowing = (['nothing', 'state', 'outside'] as const)[run % 3] ?? 'nothing'
      const result = await verified(parts, { expectations: knowledge[knowing]() })
      const alarm = result.verdict !== 'whole' || result.totals.records !== whole
      if (alarm) alarms.push(`run ${String(run)}: ${JSON.stringify([result.totals, result.bad.slice(0, 2)])}`)
    }
    figure(title, 'false alarms', `${String(alarms.length)} of ${String(cleanRuns)} clean dumps`, 'none')
    expect(alarms.slice(0, 5)).toEqual([])
  }, 600_000)
})

/** In one file, one for each replica, or as the partitions of a topic; sent again now and then; mixed. */
function cleanParts(run: number): readonly Part[] {
  const sent = replicas.map((lines) => (run % 2 === 0 ? sentAgain(lines, random) : lines))
  if (run % 4 < 2) return [exported(bytesOf(interleaved(sent, random).map(({ line }) => line)))]
  if (run % 8 < 4)
    return sent.map((lines, index) => exported(bytesOf(lines.map(({ line }) => line)), `part ${String(index)}`))
  return topicParts(
    'audit',
    sent.map((lines, partition) => ({
      partition,
      first: 0,
      end: lines.length,
      async *messages() {
        await Promise.resolve()
        for (let at = 0; at < lines.length; at += 100) {
          yield lines.slice(at, at + 100).map(({ line }, index) => ({ offset: at + index, value: Buffer.from(line) }))
        }
      },
    })),
  )
}
