import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import { examplePolicy } from '../../../deploy/envoy/demo/countersign.ts'
import { answers, freePorts, type Running, start, until } from '../../../deploy/envoy/demo/processes.ts'
import { isLong } from '../form.ts'

const root = join(import.meta.dirname, '../../..')
/** The long form measures what users run; the short one needs no build. */
const main = isLong ? 'dist/cli/main.js' : 'src/cli/main.ts'
const replica = 'demo-1'

export interface ServerOptions {
  readonly data: string
  readonly settings: Readonly<Record<string, unknown>>
  /** Command before the program, for example one that gives it a disk of its own. */
  readonly within?: readonly string[]
}

/** A server on a data folder and on ports that stay the same, however often it is killed and started again. */
export interface Server {
  readonly port: number
  readonly pid: number
  /** Starts the process. Resolves when /readyz says 200, with the time from the process's start to then, in milliseconds. */
  start(): Promise<number>
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>
  /** Ends it in order. Resolves with the exit status. */
  stop(): Promise<number | null>
  output(): string
  ready(): Promise<boolean>
  /** A page of the admin port. */
  page(name: string): Promise<{ readonly status: number; readonly text: string }>
  /** The value of one series of /metrics; NaN where there is none. */
  metric(series: string): Promise<number>
  /** Resolves once a sink has got everything that was recorded. Rejects after `ms`. */
  delivered(sink: string, ms: number): Promise<void>
  /** Resident memory of the process, in megabytes (10⁶ bytes). */
  residentMb(): number
  /** Ends whatever runs, and removes the settings. */
  remove(): Promise<void>
}

/** Prepares a server; `start` runs it. */
export async function prepareServer(options: ServerOptions): Promise<Server> {
  const [port = 0, adminPort = 0] = await freePorts(2)
  const folder = await mkdtemp(join(tmpdir(), 'countersign-server-'))
  const file = join(folder, 'settings.yaml')
  const addresses = { listen: `127.0.0.1:${port}`, admin: `127.0.0.1:${adminPort}` }
  const defaults = { replica, policy: { dir: examplePolicy }, data: options.data }
  await writeFile(file, stringify({ ...addresses, ...defaults, ...options.settings }))
  return new ServerProcess(port, adminPort, folder, [
    ...(options.within ?? []),
    // As the image runs it.
    ...['node', '--max-semi-space-size=8', '--disable-warning=ExperimentalWarning'],
    ...[join(root, main), 'serve', '--config', file],
  ])
}

class ServerProcess implements Server {
  readonly port: number
  readonly #admin: string
  readonly #folder: string
  readonly #command: readonly string[]
  #running: Running | undefined

  constructor(port: number, adminPort: number, folder: string, command: readonly string[]) {
    this.port = port
    this.#admin = `http://127.0.0.1:${adminPort}`
    this.#folder = folder
    this.#command = command
  }

  get pid(): number {
    return this.#process.pid
  }

  get #process(): Running {
    if (this.#running === undefined) throw new Error('the server has not been started')
    return this.#running
  }

  async start(): Promise<number> {
    const [command = 'node', ...args] = this.#command
    const began = performance.now()
    const running = start(command, args)
    this.#running = running
    let ended: number | null | undefined
    void running.exited.then((status) => (ended = status))
    const latest = began + 60_000
    while (!(await this.ready())) {
      if (ended !== undefined) throw new Error(`the server ended with ${String(ended)}:\n${running.output()}`)
      if (performance.now() > latest) throw new Error(`the server is not ready within a minute:\n${running.output()}`)
      await sleep(10)
    }
    return performance.now() - began
  }

  async kill(): Promise<void> {
    this.#process.signal('SIGKILL')
    await this.#process.exited
  }

  stop(): Promise<number | null> {
    return this.#process.stop()
  }

  output(): string {
    return this.#process.output()
  }

  ready(): Promise<boolean> {
    return answers(`${this.#admin}/readyz`)
  }

  async page(name: string): Promise<{ status: number; text: string }> {
    const answer = await fetch(`${this.#admin}/${name}`)
    return { status: answer.status, text: await answer.text() }
  }

  async metric(series: string): Promise<number> {
    const { text } = await this.page('metrics')
    const line = text.split('\n').find((each) => each.startsWith(`${series} `))
    return Number(line?.slice(series.length + 1) ?? NaN)
  }

  async delivered(sink: string, ms: number): Promise<void> {
    const lag = `countersign_sink_lag_records{sink="${sink}"}`
    await until(`the sink ${sink} to have everything`, async () => (await this.metric(lag)) === 0, ms)
  }

  residentMb(): number {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]
    return (Number(kilobytes) * 1024) / 1e6
  }

  async remove(): Promise<void> {
    this.#running?.signal('SIGKILL')
    await this.#running?.exited
    await rm(this.#folder, { recursive: true, force: true })
  }
}
