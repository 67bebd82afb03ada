import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { straceCommand } from '../../real/parts.ts'
import { type DiskLog, diskLogOf } from './disk-log.ts'
import type { Life } from './spool-process.ts'
import { type Call, readTrace, straceOptions } from './trace.ts'

/** Memory where there is such a folder: neither the recording nor the replay needs a disk that keeps anything. */
export const scratchFolder = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

export interface Recording {
  /** Holds the traces and `log`'s lives; `readRecording` reads it again. */
  readonly folder: string
  remove(): void
}

export type LifePlan = Omit<Life, 'root' | 'sources'>

/** Runs the spool's process under strace, one life after the other on the same disk. */
export function recordSpool(sources: string, lives: readonly LifePlan[]): Recording {
  const folder = mkdtempSync(join(scratchFolder, 'countersign-crash-'))
  const root = rootOf(folder)
  mkdirSync(root)
  lives.forEach((plan, index) => {
    const life: Life = { ...plan, root, sources }
    const program = [join(import.meta.dirname, 'spool-process.ts'), JSON.stringify(life)]
    const node = [process.execPath, '--disable-warning=ExperimentalWarning', ...program]
    const [strace, ...before] = straceCommand()
    const run = spawnSync(strace, [...before, ...straceOptions(traceOf(folder, index)), ...node], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '', UV_USE_IO_URING: '0' },
      timeout: 300_000,
    })
    const ended = run.signal === 'SIGKILL' ? 'killed' : run.status === 0 ? 'stopped' : 'failed'
    if (ended !== life.ends) {
      rmSync(folder, { recursive: true })
      throw new Error(`the spool's process ended ${ended} (${run.status}, ${run.signal}): ${run.stderr.slice(-2000)}`)
    }
  })
  return {
    folder,
    remove: () => {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** The disk's log over all lives. */
export function readRecording(folder: string): DiskLog {
  const root = rootOf(folder)
  const calls: Call[] = []
  for (let life = 0; existsSync(traceOf(folder, life)); life += 1) {
    const from = (calls.at(-1)?.start ?? 0) + 1
    if (life > 0) calls.push({ name: 'exit', args: [], result: 0, start: from, end: from })
    for (const call of readTrace(traceOf(folder, life))) {
      calls.push({ ...call, start: from + call.start, end: from + call.end })
    }
  }
  return diskLogOf(calls, root, join(root, 'ledger'))
}

function rootOf(folder: string): string {
  return join(folder, 'disk')
}

function traceOf(folder: string, life: number): string {
  return join(folder, `trace-${life}`)
}
