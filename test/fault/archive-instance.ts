import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const main = join(import.meta.dirname, '../../src/cli/main.ts')

/** One process of `countersign archive`. */
export class ArchiveInstance {
  readonly #child: ChildProcess
  #log = ''

  constructor(dir: string, settings: object) {
    const config = join(dir, `archive-${String(process.hrtime.bigint())}.yaml`)
    writeFileSync(config, JSON.stringify(settings))
    this.#child = spawn(process.execPath, [main, 'archive', '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#log += text))
  }

  get log(): string {
    return this.#log
  }

  /** Lines of its log, the latest last, whose message this is. */
  said(message: string): readonly Readonly<Record<string, unknown>>[] {
    return this.#log
      .split('\n')
      .filter((line) => line.includes(`"msg":"${message}"`))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  /** The partitions that the group gave it last. */
  get partitions(): readonly number[] {
    return (this.said('the group has shared out the partitions').at(-1)?.['partitions'] ?? []) as number[]
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL' | 'SIGTERM'): void {
    this.#child.kill(signal)
  }

  /** Ends it by a signal; resolves with its exit status. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode
    const exited = once(this.#child, 'exit')
    this.signal(signal)
    await exited
    return this.#child.exitCode
  }
}

export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(100)
}
