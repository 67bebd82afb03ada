import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { until } from '../../../deploy/envoy/demo/processes.ts'
import type { AccessStatus } from './access-log.ts'

/** How fast to ask, and how many access-log entries to send beside that. */
export type Pace = { readonly accessPerSecond?: number } & (
  | { readonly kind: 'closed'; readonly perConnection: number }
  | { readonly kind: 'rate'; readonly perSecond: number }
  | { readonly kind: 'pause' }
)

export type LoadCommand = Pace | { readonly kind: 'stop' }

export interface LoadOptions {
  /** Of 127.0.0.1. */
  readonly port: number
  readonly connections: number
  readonly pace: Pace
  /** File that the answers are written to as they come. */
  readonly ledger: string
}

/** What the client has seen; the answers counted here stand in the ledger. */
export interface LoadStatus {
  readonly sent: number
  /** Calls that broke: nobody knows what became of them. */
  readonly failed: number
  readonly underWay: number
  readonly answered: { readonly allow: number; readonly deny: number; readonly unavailable: number }
  readonly access: AccessStatus
}

export interface Load {
  status(): LoadStatus
  /** Decisions that were answered as recorded. */
  accepted(): number
  setPace(pace: Pace): void
  /** Resolves once so many decisions were accepted. Rejects after `ms`. */
  reached(accepted: number, ms: number): Promise<void>
  /** Ends what is under way, and the client; the ledger is whole then. */
  stop(): Promise<LoadStatus>
}

const nothing: LoadStatus = {
  sent: 0,
  failed: 0,
  underWay: 0,
  answered: { allow: 0, deny: 0, unavailable: 0 },
  access: { open: 0, ended: 0, broken: 0 },
}

/** Starts the client. It goes on through restarts of the server. */
export function startLoad(options: LoadOptions): Load {
  const child = fork(join(import.meta.dirname, 'client.ts'), [JSON.stringify(options)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    env: { ...process.env, NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  let status = nothing
  child.on('message', (told: LoadStatus) => (status = told))
  const exited = exitOf(child).finally(() => process.off('exit', end))
  exited.catch(() => undefined)
  const accepted = (): number => status.answered.allow + status.answered.deny
  const alive = (): void => {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('the load ended by itself')
  }
  return {
    status: () => status,
    accepted,
    setPace: (pace) => child.send(pace),
    reached: (wanted, ms) =>
      until(`${wanted} accepted decisions (${accepted()} so far)`, () => (alive(), accepted() >= wanted), ms),
    stop: async () => {
      alive()
      child.send({ kind: 'stop' } satisfies LoadCommand)
      await exited
      return status
    },
  }
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status, signal) => {
      if (status === 0) resolve()
      else reject(new Error(`the load ended with ${String(status ?? signal)}`))
    })
  })
}
