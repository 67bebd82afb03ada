import { chmodSync, closeSync, existsSync, openSync, readSync, statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { CountersignError } from '../../errors.ts'
import { applicationId, schemaVersion, tables } from './schema.ts'

const headerBytes = 100
const headerText = 'SQLite format 3\0'
// Offsets into the header: sqlite.org/fileformat2.html, section 1.3.
const userVersionAt = 60
const applicationIdAt = 68

/** Opens the file to write, and makes it where it is absent or empty. Throws what SQLite throws. */
export function openDatabase(path: string): DatabaseSync {
  makePrivate(path)
  const database = new DatabaseSync(path, { timeout: 5000 })
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864')
    if (isEmpty(database)) makeTables(database)
    return database
  } catch (thrown) {
    database.close()
    throw thrown
  }
}

export function openReadOnly(path: string): DatabaseSync {
  return new DatabaseSync(path, { readOnly: true, timeout: 5000 })
}

/**
 * Undoes what was not finished when the process or the power went: a rollback journal is there only while a spool is made, and who
 * may only read cannot open a file that has one. Throws what SQLite throws.
 */
export function rollBack(path: string): void {
  if (!existsSync(path) || !existsSync(`${path}-journal`)) return
  const database = new DatabaseSync(path, { timeout: 5000 })
  try {
    isEmpty(database)
  } finally {
    database.close()
  }
}

/** Whether nothing has been made in it yet. */
export function isEmpty(database: DatabaseSync): boolean {
  return database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'] === 0
}

export function makeTables(database: DatabaseSync): void {
  database.exec(
    `BEGIN IMMEDIATE; ${tables} PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${schemaVersion}; COMMIT`,
  )
}

/** The version of a spool's file. Throws SPOOL_DAMAGED for another program's, SPOOL_VERSION for a later one. */
export function versionOf(database: DatabaseSync, path: string): number {
  if (pragma(database, 'application_id') !== applicationId) {
    throw new CountersignError('SPOOL_DAMAGED', `${path} is not a spool: it is another program's SQLite file`)
  }
  const version = pragma(database, 'user_version')
  refuseLater(version, path)
  return version
}

/** Looks at the file's first bytes alone: what a later version wrote MUST NOT be touched, not even by opening it. Throws SPOOL_VERSION. */
export function refuseLaterVersion(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return
  const header = Buffer.alloc(headerBytes)
  const file = openSync(path, 'r')
  try {
    if (readSync(file, header, 0, headerBytes, 0) < headerBytes) return
  } finally {
    closeSync(file)
  }
  const isSpool = header.toString('latin1', 0, headerText.length) === headerText
  if (isSpool && header.readUInt32BE(applicationIdAt) === applicationId) {
    refuseLater(header.readUInt32BE(userVersionAt), path)
  }
}

function refuseLater(version: number, path: string): void {
  if (version <= schemaVersion) return
  throw new CountersignError(
    'SPOOL_VERSION',
    `the spool ${path} has version ${version}; this Countersign reads up to version ${schemaVersion}. ` +
      'Run the newer Countersign, or give another --data folder',
  )
}

function pragma(database: DatabaseSync, name: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0])
}

/** Makes the file with mode 0600 where it is absent: SQLite gives its journal files the same mode. */
export function makePrivate(path: string): void {
  closeSync(openSync(path, 'a', 0o600))
  chmodSync(path, 0o600)
}
