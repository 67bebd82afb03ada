// Starts Countersign with a policy, and settings in a folder of its own.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stringify } from 'yaml'
import { answers, freePorts, type Running, start, until } from './processes.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export const examplePolicy = join(root, 'deploy/envoy/policy')

export interface CountersignOptions {
  /** A built one, or the sources, which Node.js runs as they are. */
  readonly main?: 'dist/cli/main.js' | 'src/cli/main.ts'
  readonly data: string
  /** Port to ask on; a free one where it is left out. */
  readonly port?: number
  /** More settings, nested as in the YAML file. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** What to wait for; `false` for a server that is not going to be ready. */
  readonly ready?: boolean
  /** Command before the program, for example one that gives it another view of the disk. */
  readonly within?: readonly string[]
}

/** A server that was started, on 127.0.0.1. */
export interface Countersign {
  readonly port: number
  readonly adminPort: number
  readonly process: Running
}

/** Starts `countersign serve` as a process of its own, with the example policy where the settings name no other. */
export async function startCountersign(options: CountersignOptions): Promise<Countersign> {
  const [freePort = 0, adminPort = 0] = await freePorts(2)
  const port = options.port ?? freePort
  const file = join(mkdtempSync(join(tmpdir(), 'countersign-')), 'settings.yaml')
  const settings = {
    listen: `127.0.0.1:${port}`,
    admin: `127.0.0.1:${adminPort}`,
    data: options.data,
    replica: 'demo-1',
    policy: { dir: examplePolicy },
    ...options.settings,
  }
  writeFileSync(file, stringify(settings))
  const process = startWithin(options, ['serve', '--config', file])
  const failed = process.exited.then((status) => {
    throw new Error(`countersign serve ended with status ${status}:\n${process.output()}`)
  })
  failed.catch(() => undefined)
  const page = options.ready === false ? 'healthz' : 'readyz'
  try {
    await Promise.race([until('Countersign', () => answers(`http://127.0.0.1:${adminPort}/${page}`)), failed])
  } catch (thrown) {
    process.signal('SIGKILL')
    throw thrown
  }
  return { port, adminPort, process }
}

/** Runs one command line of Countersign to its end. */
export async function runCountersign(
  args: readonly string[],
  options: Pick<CountersignOptions, 'main' | 'within'> = {},
): Promise<{ status: number | null; output: string }> {
  const running = startWithin(options, args)
  const status = await running.exited
  return { status, output: running.output() }
}

/** Runs one command line of Countersign on this process's own terminal; returns its exit status. */
export function showCountersign(args: readonly string[]): number {
  return spawnSync('node', [...mainOf({}), ...args], { stdio: 'inherit' }).status ?? 1
}

function startWithin(options: Pick<CountersignOptions, 'main' | 'within'>, args: readonly string[]): Running {
  const [command, ...rest] = [...(options.within ?? []), 'node', ...mainOf(options), ...args]
  return start(command ?? 'node', rest)
}

function mainOf({ main = 'dist/cli/main.js' }: Pick<CountersignOptions, 'main'>): string[] {
  return ['--disable-warning=ExperimentalWarning', join(root, main)]
}
