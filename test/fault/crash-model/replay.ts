/** Crashes a recorded spool again and again, and prints what is wrong afterwards, as JSON: one argument, a `Replay`. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { randomFrom } from '../form.ts'
import { type Crash, crashedDisk, fates, writeDisk } from './crash.ts'
import type { DiskLog } from './disk-log.ts'
import { isLoss, judge } from './judge.ts'
import { readRecording } from './record.ts'

export interface Replay {
  /** The folder of the recording. */
  readonly recording: string
  readonly seed: number
  /** Crashes are numbered; each has its own random numbers. */
  readonly from: number
  readonly to: number
  readonly sought: Sought
  /** After so many failures that are sought it stops. */
  readonly enough: number
}

/** Which failures are told: all, or those that lost what a caller was told of. What loses records raises false alarms more often than it loses some. */
export type Sought = 'all' | 'losses'

export interface Failure {
  /** What to give as `from` to have it again. */
  readonly crash: number
  readonly at: number
  readonly fate: string
  readonly problems: readonly string[]
}

if (import.meta.main) await replay(JSON.parse(process.argv[2] ?? '') as Replay)

async function replay({ recording, seed, from, to, sought, enough }: Replay): Promise<void> {
  const log = readRecording(recording)
  const folder = join(recording, `crashed-${from}`)
  const failures: Failure[] = []
  for (let number = from; number < to && failures.length < enough; number += 1) {
    const crash = crashOf(log, seed, number)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    writeDisk(crashedDisk(log, crash), folder)
    const problems = await judged(folder, log, crash.at)
    if (sought === 'all' ? problems.length > 0 : problems.some(isLoss))
      failures.push({ crash: number, at: crash.at, fate: crash.fate, problems })
  }
  rmSync(folder, { recursive: true, force: true })
  process.stdout.write(JSON.stringify(failures))
}

async function judged(folder: string, log: DiskLog, at: number): Promise<string[]> {
  const told = log.told.filter((one) => one.at < at).map(({ line }) => line.split(' ') as [string, string?])
  try {
    return await judge(folder, new Map(told.map(([id, digest]) => [id, digest])))
  } catch (thrown) {
    return [`cannot be opened, read or delivered: ${String(thrown)}`]
  }
}

/** Between any two calls, most often where most happens: half of them right after a caller was told, or around a sync or a name. */
function crashOf(log: DiskLog, seed: number, number: number): Crash {
  const random = randomFrom(seed ^ Math.imul(number + 1, 0x9e3779b1))
  const one = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T
  const kind = random()
  const at =
    kind < 0.5 ? one(log.operations).start + 0.75 : kind < 0.75 ? one(log.told).at + 0.25 : nearSync(log, one, random)
  return { at, fate: one(fates), random }
}

function nearSync(log: DiskLog, one: <T>(all: readonly T[]) => T, random: () => number): number {
  const { start, end } = one(log.operations.filter(({ kind }) => kind !== 'write'))
  return random() < 0.5 ? start + 0.25 : Math.min(end, start + 1) + 0.25
}
