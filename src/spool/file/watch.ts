import { type BigIntStats, statSync } from 'node:fs'
import { join } from 'node:path'
import { CountersignError } from '../../errors.ts'
import { fileName, headName, lockName } from './schema.ts'

const ownerMayWrite = 0o200n

/** Files whose names must not lead elsewhere while the spool is open; true for those that the writer alone changes. */
const watched: ReadonlyMap<string, boolean> = new Map([
  [fileName, true],
  [`${fileName}-wal`, true],
  [`${fileName}-shm`, false],
  [headName, false],
  [lockName, false],
])

/** Looks at the spool's files from outside, without reading them: whether each is the one that was opened, and as its writer left it. */
export class FileWatch {
  readonly #dir: string
  readonly #known: Map<string, BigIntStats>

  /** The files MUST all be there. */
  constructor(dir: string) {
    this.#dir = dir
    this.#known = new Map([...watched.keys()].map((name) => [name, statSync(join(dir, name), { bigint: true })]))
  }

  /** Takes what is there for the writer's own; called after each of its changes. */
  remember(): void {
    for (const [name, isOurs] of watched) {
      const stats = isOurs ? this.#stat(name) : undefined
      const known = this.#known.get(name)
      if (stats !== undefined && known !== undefined && isSame(stats, known)) this.#known.set(name, stats)
    }
  }

  /**
   * Whether somebody else has changed a file since. Throws SPOOL_REPLACED where a name is gone or leads elsewhere, and SPOOL_FAILED,
   * retryable, where the file or its folder has been made read-only.
   */
  isTouched(): boolean {
    let touched = false
    for (const [name, isOurs] of watched) {
      const stats = this.#stat(name)
      const known = this.#known.get(name)
      if (stats === undefined) throw replaced(this.#dir, name, 'is gone')
      if (known === undefined || !isSame(stats, known)) throw replaced(this.#dir, name, 'is another file')
      if (isOurs) this.#refuseReadOnly(name, stats)
      touched ||= isOurs && (stats.mtimeNs !== known.mtimeNs || stats.size !== known.size)
    }
    this.#refuseReadOnly('.', statSync(this.#dir, { bigint: true }))
    return touched
  }

  #refuseReadOnly(name: string, { mode }: BigIntStats): void {
    if ((mode & ownerMayWrite) !== 0n) return
    const path = join(this.#dir, name)
    throw new CountersignError('SPOOL_FAILED', `${path} has been made read-only: give its owner the right to write`, {
      retryable: true,
    })
  }

  #stat(name: string): BigIntStats | undefined {
    return statSync(join(this.#dir, name), { bigint: true, throwIfNoEntry: false })
  }
}

function isSame(one: BigIntStats, other: BigIntStats): boolean {
  return one.ino === other.ino && one.dev === other.dev
}

function replaced(dir: string, name: string, how: string): CountersignError {
  return new CountersignError(
    'SPOOL_REPLACED',
    `${join(dir, name)} ${how}: somebody took the file away that the spool was writing to`,
  )
}
