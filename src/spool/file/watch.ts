import { type BigIntStats, statSync } from 'node:fs'
import { join } from 'node:path'
import { CountersignError } from '../../errors.ts'
import { fileName, headName, lockName } from './schema.ts'

const ownerMayWrite = 0o200n

/** Files whose names must not lead elsewhere while the spool is open: those that the writer alone changes, and the others. */
const ours = [fileName, `${fileName}-wal`] as const
const others = [`${fileName}-shm`, headName, lockName] as const
/** The others, and the folder, are looked at no more often: batches come by the thousand. */
const othersMs = 100

/** Looks at the spool's files from outside, without reading them: whether each is the one that was opened, and as its writer left it. */
export class FileWatch {
  readonly #dir: string
  readonly #ours: readonly Watched[]
  readonly #others: readonly Watched[]
  #othersAtMs = -Infinity

  /** The files MUST all be there. */
  constructor(dir: string) {
    this.#dir = dir
    const watch = (name: string): Watched => {
      const path = join(dir, name)
      return { path, stats: statSync(path, { bigint: true }) }
    }
    this.#ours = ours.map(watch)
    this.#others = others.map(watch)
  }

  /** Takes what is there for the writer's own; called after each of its changes. */
  remember(): void {
    for (const one of this.#ours) {
      const stats = statOf(one.path)
      if (stats !== undefined && isSame(stats, one.stats)) one.stats = stats
    }
  }

  /**
   * Whether somebody else has changed a file since. Throws SPOOL_REPLACED where a name is gone or leads elsewhere, and SPOOL_FAILED,
   * retryable, where the file or its folder has been made read-only.
   */
  isTouched(): boolean {
    let touched = false
    for (const one of this.#ours) {
      const stats = present(one)
      refuseReadOnly(one.path, stats)
      touched ||= stats.mtimeNs !== one.stats.mtimeNs || stats.size !== one.stats.size
    }
    if (performance.now() - this.#othersAtMs < othersMs) return touched
    for (const one of this.#others) present(one)
    refuseReadOnly(this.#dir, statSync(this.#dir, { bigint: true }))
    this.#othersAtMs = performance.now()
    return touched
  }
}

interface Watched {
  readonly path: string
  stats: BigIntStats
}

function present({ path, stats: known }: Watched): BigIntStats {
  const stats = statOf(path)
  if (stats === undefined) throw replaced(path, 'is gone')
  if (!isSame(stats, known)) throw replaced(path, 'is another file')
  return stats
}

function refuseReadOnly(path: string, { mode }: BigIntStats): void {
  if ((mode & ownerMayWrite) !== 0n) return
  throw new CountersignError('SPOOL_FAILED', `${path} has been made read-only: give its owner the right to write`, {
    retryable: true,
  })
}

function statOf(path: string): BigIntStats | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })
}

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return one.ino === other.ino && one.dev === other.dev
}

function replaced(path: string, how: string): CountersignError {
  return new CountersignError(
    'SPOOL_REPLACED',
    `${path} ${how}: somebody took the file away that the spool was writing to`,
  )
}
