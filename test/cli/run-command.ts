import { CommanderError, type Command } from 'commander'
import type { Io } from '../../src/cli/print.ts'

export interface Ran {
  readonly out: string
  readonly err: string
  readonly exitCode: number
}

/** Runs a command as the shell would, and keeps what it printed. */
export async function runCommand(make: (io: Io) => Command, args: readonly string[], columns?: number): Promise<Ran> {
  const printed = { out: '', err: '' }
  const io = {
    out: (text: string) => void (printed.out += `${text}\n`),
    err: (text: string) => void (printed.err += `${text}\n`),
    ...(columns === undefined ? {} : { columns }),
  }
  const before = process.exitCode
  process.exitCode = 0
  try {
    await make(io).parseAsync(args, { from: 'user' })
    return { ...printed, exitCode: process.exitCode }
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown
    return { ...printed, exitCode: thrown.exitCode }
  } finally {
    process.exitCode = before
  }
}
