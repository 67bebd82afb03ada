// Starts programs, finds free ports, and waits for what they do.

import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'

/** A program that was started, with what it has printed. */
export interface Running {
  readonly pid: number
  /** Everything on standard output and standard error so far. */
  output(): string
  /** Resolves with the exit status; null where a signal ended it. */
  readonly exited: Promise<number | null>
  signal(name: 'SIGTERM' | 'SIGKILL' | 'SIGINT' | 'SIGSTOP' | 'SIGCONT'): void
  /** Asks it to end, and after half a minute makes it. */
  stop(): Promise<number | null>
}

export function start(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Running {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => chunks.push(text))
  // However this process ends, nothing that it started goes on.
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  const exited = exitOf(child).finally(() => process.off('exit', end))
  return {
    pid: child.pid ?? 0,
    output: () => chunks.join(''),
    exited,
    signal: (name) => child.kill(name),
    stop: async () => {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
      const status = await exited
      clearTimeout(timer)
      return status
    },
  }
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}

/** Ports of 127.0.0.1 that nobody listens on at the moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => {
            const address = server.address()
            resolve(address !== null && typeof address === 'object' ? address.port : 0)
          })
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Waits until a condition holds. Rejects after `ms` with what was waited for. */
export async function until(what: string, holds: () => Promise<boolean> | boolean, ms = 60_000): Promise<void> {
  const end = Date.now() + ms
  for (;;) {
    if (await holds()) return
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Whether a URL answers with 200. */
export async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).status === 200
  } catch {
    return false
  }
}
