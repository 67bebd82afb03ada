import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { CountersignError } from '../../errors.ts'
import { CheckedReader } from './checked-reader.ts'
import { openDatabase, openReadOnly, versionOf } from './database.ts'
import { spoolFault } from './faults.ts'
import { syncFolder } from '../folder.ts'
import { emptyHead, HeadFile, type HeadState, type TrailEnd } from './head.ts'
import { type Extent, readExtent } from './holdings.ts'
import { fileName, headName, rescueName } from './schema.ts'
import { Scrub } from './scrub.ts'
import { Sql } from './sql.ts'
import { copyWaiting } from './waiting-copy.ts'
import { FileWatch } from './watch.ts'

/** A file up to this size is looked through as a whole (SQLite's quick_check: 1 ms for each MB). */
const quickCheckBytes = 64 * 1024 * 1024
/** Below this, whether the disk takes anything is tried by writing. */
const shortOfRoomBytes = 16 * 1024 * 1024

/** A file that somebody touched is read for so long at once, in milliseconds, and then on in steps. */
const touchedMs = 200

/** The spool's database, its head, and the lock that keeps every other process off them, open for their one writer. */
export class SpoolFile {
  readonly sql: Sql
  readonly head: HeadFile
  readonly #dir: string
  readonly #lock: DatabaseSync
  /** Reads beside the writer. As long as it is open, the writer's connection can be closed without changing a file. */
  readonly #looker: DatabaseSync
  readonly #scrub: Scrub
  readonly #watch: FileWatch

  /** Takes what is in `dir`, which MUST be sound, or makes it. */
  constructor(dir: string, lock: DatabaseSync) {
    const path = join(dir, fileName)
    this.#dir = dir
    this.#lock = lock
    // The head first: a database without one is a database whose head was taken away.
    if (!existsSync(join(dir, headName))) HeadFile.create(join(dir, headName), emptyHead)
    this.sql = new Sql(openDatabase(path))
    syncFolder(dir)
    this.#looker = openReadOnly(path)
    this.head = HeadFile.open(join(dir, headName))
    this.#scrub = new Scrub(new CheckedReader(new Sql(this.#looker)), 0, readExtent(this.sql).position)
    // Now it has the file open.
    readExtent(new Sql(this.#looker))
    this.#watch = new FileWatch(dir)
  }

  /**
   * Looks whether the file is still the one that was opened, and as its writer left it; `extent` and `end` are what it must hold.
   * Throws SPOOL_REPLACED, SPOOL_DAMAGED or SPOOL_VERSION, and SPOOL_FAILED, retryable, where it has been made read-only.
   */
  look(expected: { readonly extent: Extent; readonly end: TrailEnd }): void {
    if (!this.#watch.isTouched()) return
    this.#examine(expected)
    this.#watch.remember()
    this.#scrub.restart(expected.extent.position)
    this.#scrub.step(touchedMs)
  }

  /** Takes the files' times for the writer's own. */
  remember(): void {
    this.#watch.remember()
  }

  scrub(): void {
    this.#scrub.step()
  }

  isShortOfRoom(): boolean {
    const { bavail, bsize } = statfsSync(this.#dir)
    return bavail * bsize < shortOfRoomBytes
  }

  /** Copies the journal into the database as far as its readers allow. Throws SPOOL_FULL. */
  workOffJournal(): void {
    try {
      this.sql.database.exec('PRAGMA wal_checkpoint(PASSIVE)')
    } catch (thrown) {
      throw spoolFault('cannot work off the journal', thrown)
    }
  }

  /** Lets go of everything in order; `state` is the last word of the head. */
  close(state: HeadState): void {
    try {
      this.#watch.isTouched()
    } catch (thrown) {
      const fault = spoolFault('cannot close the spool', thrown)
      if (!fault.retryable) {
        this.abandon(fault)
        return
      }
    }
    try {
      this.#looker.close()
      this.sql.database.close()
      this.head.anchor(state)
    } finally {
      this.head.close()
      this.#lock.close()
    }
  }

  /**
   * Lets go of everything and leaves the files as they are. Where the file is no longer the one under its name, a copy of what a sink
   * lacks is left there for the next opening.
   */
  abandon(fault?: CountersignError): void {
    if (fault?.code === 'SPOOL_REPLACED') this.#leaveCopy()
    // In this order, SQLite neither works off a journal nor deletes one: both names may be another file's by now.
    this.sql.database.close()
    this.#looker.close()
    this.head.close()
    this.#lock.close()
  }

  #leaveCopy(): void {
    const path = join(this.#dir, rescueName)
    const part = `${path}.part`
    try {
      for (const name of [part, `${part}-journal`]) rmSync(name, { force: true })
      copyWaiting(this.sql, part)
      const copy = openSync(part, 'r')
      fsyncSync(copy)
      closeSync(copy)
      renameSync(part, path)
      syncFolder(this.#dir)
    } catch {
      // What is under the file's name is then all that there is; the head says what it lacks.
    }
  }

  /** Through a new connection, which has no page in memory. */
  #examine({ extent, end }: { readonly extent: Extent; readonly end: TrailEnd }): void {
    const path = join(this.#dir, fileName)
    const sql = new Sql(openReadOnly(path))
    try {
      versionOf(sql.database, path)
      quickCheck(sql, path)
      const found = readExtent(sql)
      if (JSON.stringify(found) !== JSON.stringify(extent)) throw changed(path, 'counts')
      const last = sql.get('SELECT last_hash FROM trails WHERE trail = ?', end.trail)
      if (last?.['last_hash'] !== end.hash) throw changed(path, 'trail')
    } finally {
      sql.database.close()
    }
  }
}

/** Throws SPOOL_DAMAGED where SQLite finds fault with the file's structure; looks at no big file. */
export function quickCheck(sql: Sql, path: string): void {
  if (statSync(path).size > quickCheckBytes) return
  const found = sql.get('PRAGMA quick_check(1)')?.['quick_check']
  if (found === 'ok') return
  throw new CountersignError('SPOOL_DAMAGED', `the spool ${path} is damaged: ${String(found)}`)
}

function changed(path: string, what: string): CountersignError {
  return new CountersignError(
    'SPOOL_DAMAGED',
    `somebody else has written to the spool ${path}: its ${what} are not as they were left`,
  )
}
