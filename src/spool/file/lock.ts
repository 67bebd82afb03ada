import { mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CountersignError } from '../../errors.ts'
import { makePrivate } from './database.ts'
import { isBusy, spoolFault } from './faults.ts'
import { lockName, setAsideName } from './schema.ts'

/**
 * Takes the lock that keeps every other process off the spool in `dir`: a transaction that stays open, which the operating system ends
 * with the process, however that ends. Throws SPOOL_IN_USE where another process has it.
 */
export function takeLock(dir: string): DatabaseSync {
  const path = join(dir, lockName)
  try {
    return openLock(dir, path)
  } catch (thrown) {
    const fault = spoolFault(`cannot lock the spool by ${path}`, thrown)
    if (fault.code !== 'SPOOL_DAMAGED') throw fault
    // It holds nothing. Whoever had the lock would have been met before its content.
    mkdirSync(join(dir, setAsideName), { recursive: true, mode: 0o700 })
    renameSync(path, join(dir, setAsideName, `${lockName}-${Date.now()}`))
    return openLock(dir, path)
  }
}

function openLock(dir: string, path: string): DatabaseSync {
  let lock: DatabaseSync | undefined
  try {
    makePrivate(path)
    lock = new DatabaseSync(path, { timeout: 0 })
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (thrown) {
    lock?.close()
    if (!isBusy(thrown)) throw thrown
    throw new CountersignError(
      'SPOOL_IN_USE',
      `the spool ${dir} is in use by another process: stop it, or give another --data folder`,
    )
  }
}
