import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, start, until } from '../../../deploy/envoy/demo/processes.ts'

/** A file system of its own, of a fixed size, that only the processes started `within` it see. */
export interface SmallDisk {
  /** Its folder. */
  readonly path: string
  /** Command before a program that is to see it. */
  readonly within: readonly string[]
  /** Leaves no byte free. */
  fill(): Promise<void>
  /** Undoes `fill`. */
  free(): Promise<void>
  remove(): Promise<void>
}

/** Mounts a tmpfs in a mount namespace that a process of its own keeps. Needs the right to do so (`namespaces` of test/real/parts.ts). */
export async function mountSmallDisk(megabytes: number): Promise<SmallDisk> {
  const path = mkdtempSync(join(tmpdir(), 'countersign-disk-'))
  const mount = `mount -t tmpfs -o size=${megabytes}m tmpfs ${path} && echo mounted && exec sleep infinity`
  const keeper = start('unshare', ['--mount', 'sh', '-c', mount])
  await until('the disk to be mounted', () => keeper.output().includes('mounted'))
  const within = ['nsenter', `--target=${keeper.pid}`, '--mount', '--']
  const filler = join(path, 'filler')
  return {
    path,
    within,
    fill: async () => {
      // Large blocks first, then what is left over between them.
      for (const block of ['1M', '4k', '1']) await run(within, `dd if=/dev/zero bs=${block} 2>/dev/null >> ${filler}`)
    },
    free: () => run(within, `rm ${filler}`),
    remove: () => unmount(keeper, path),
  }
}

async function run(within: readonly string[], command: string): Promise<void> {
  const [nsenter = 'nsenter', ...rest] = within
  await start(nsenter, [...rest, 'sh', '-c', command]).exited
}

async function unmount(keeper: Running, path: string): Promise<void> {
  keeper.signal('SIGKILL')
  await keeper.exited
  rmSync(path, { recursive: true, force: true })
}
