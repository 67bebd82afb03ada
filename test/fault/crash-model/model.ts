import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { recordSpool, type Recording } from './record.ts'
import type { Failure, Replay, Sought } from './replay.ts'

/** The spool is begun, killed, gone on with and stopped in order, and gone on with again. */
const lives = [
  { share: 0.4, ends: 'killed' },
  { share: 0.4, ends: 'stopped' },
  { share: 0.2, ends: 'killed' },
] as const

const processes = 2

/** What to crash a recording for. */
export interface Search {
  readonly seed: number
  readonly crashes: number
  readonly sought: Sought
  /** Each process stops after so many failures that are sought. */
  readonly enough: number
}

/** Records the spool of these sources once, while it keeps so many events. */
export function recordLives(sources: string, seed: number, events: number): Recording {
  return recordSpool(
    sources,
    lives.map(({ share, ends }, index) => ({ ends, events: Math.ceil(events * share), seed: seed + index })),
  )
}

/** Crashes it so many times, in two processes; returns what was found. */
export async function crashSpool({ folder }: Recording, { crashes, ...search }: Search): Promise<Failure[]> {
  const share = Math.ceil(crashes / processes)
  const shares = Array.from({ length: processes }, (_, index) => index * share)
  const failures = await Promise.all(
    shares.map((from) => replayed({ ...search, recording: folder, from, to: Math.min(crashes, from + share) })),
  )
  return failures.flat()
}

/** The machine has started anew after a crash, and whoever asks it must see that. */
const bootId = '/proc/sys/kernel/random/boot_id'
const afterReboot = `mount --bind "$0" ${bootId} && exec "$@"`

async function replayed(replay: Replay): Promise<Failure[]> {
  const otherBoot = join(replay.recording, `boot-${replay.from}`)
  writeFileSync(otherBoot, '00000000-0000-4000-8000-000000000000\n')
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'replay.ts')]
  const inside = ['sh', '-c', afterReboot, otherBoot, ...node, JSON.stringify(replay)]
  const child = spawn('unshare', ['--mount', ...inside], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'exit') as Promise<[number | null]>])
  if (status !== 0) throw new Error(`the replay ended with ${String(status)}`)
  return JSON.parse(output) as Failure[]
}
