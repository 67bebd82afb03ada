import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CountersignError } from '../errors.ts'
import { isBusy, spoolFault } from './faults.ts'
import { applicationId, fileName, lockName, schemaVersion, tables } from './schema.ts'

/** The spool's database and the lock that keeps every other process off it. */
export interface OpenSpool {
  readonly database: DatabaseSync
  /** Gives the lock back; the database must be closed before. */
  readonly release: () => void
}

/**
 * Opens the spool in `dir` for its one writer, and makes it where there is none: folder 0700, files 0600. Throws
 * SPOOL_IN_USE, SPOOL_VERSION, SPOOL_FULL or SPOOL_FAILED.
 */
export function openForWriting(dir: string): OpenSpool {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    chmodSync(dir, 0o700)
  } catch (thrown) {
    throw spoolFault(`cannot use ${dir} as the spool's folder`, thrown)
  }
  const lock = takeLock(dir)
  const path = join(dir, fileName)
  try {
    return {
      database: openDatabase(path),
      release: () => {
        lock.close()
      },
    }
  } catch (thrown) {
    lock.close()
    throw spoolFault(`cannot open the spool ${path}`, thrown)
  }
}

/**
 * Opens the spool's file to read; returns undefined where there is none. Throws SPOOL_VERSION or SPOOL_FAILED, also where there is
 * one that may not be read, or that SQLite cannot read because the disk is read-only.
 */
export function openForReading(dir: string): DatabaseSync | undefined {
  const path = join(dir, fileName)
  try {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined
    const database = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
    checkVersion(database, path)
    return database
  } catch (thrown) {
    throw spoolFault(`cannot read the spool ${path}`, thrown)
  }
}

function openDatabase(path: string): DatabaseSync {
  makePrivate(path)
  const database = new DatabaseSync(path, { timeout: 5000 })
  try {
    // A file that is not ours must not be changed in the least, not even its journal mode.
    const isNew = isEmpty(database)
    if (!isNew) checkVersion(database, path)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864')
    if (isNew) makeTables(database)
    return database
  } catch (thrown) {
    database.close()
    throw thrown
  }
}

function isEmpty(database: DatabaseSync): boolean {
  return database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'] === 0
}

function makeTables(database: DatabaseSync): void {
  database.exec(
    `BEGIN IMMEDIATE; ${tables} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}; COMMIT`,
  )
}

function checkVersion(database: DatabaseSync, path: string): void {
  if (pragma(database, 'application_id') !== applicationId) {
    throw new CountersignError('SPOOL_FAILED', `${path} is not a spool: it is another program's SQLite file`)
  }
  const version = pragma(database, 'user_version')
  if (version > schemaVersion) {
    throw new CountersignError(
      'SPOOL_VERSION',
      `the spool ${path} has version ${version}; this Countersign reads up to version ${schemaVersion}. ` +
        'Run the newer Countersign, or give another --data folder',
    )
  }
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0])
}

/** A transaction that stays open: the operating system ends it with the process, however that ends. */
function takeLock(dir: string): DatabaseSync {
  const path = join(dir, lockName)
  let lock: DatabaseSync | undefined
  try {
    makePrivate(path)
    lock = new DatabaseSync(path, { timeout: 0 })
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (thrown) {
    lock?.close()
    if (!isBusy(thrown)) throw spoolFault(`cannot lock the spool by ${path}`, thrown)
    throw new CountersignError(
      'SPOOL_IN_USE',
      `the spool ${dir} is in use by another process: stop it, or give another --data folder`,
    )
  }
}

/** Makes the file with mode 0600 where it is absent: SQLite gives its journal files the same mode. */
function makePrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
}
