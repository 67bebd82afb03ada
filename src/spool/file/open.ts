import { chmodSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { openReadOnly, refuseLaterVersion, rollBack, versionOf } from './database.ts'
import { spoolFault } from './faults.ts'
import { makeDurableFolder } from '../folder.ts'
import { readHead } from './head.ts'
import { inspect, type Verdict } from './inspect.ts'
import { takeLock } from './lock.ts'
import { migrate } from './migrate.ts'
import type { SpoolOpening } from '../protocol.ts'
import { rescue } from '../rescue/rescue.ts'
import { interruptedSetAside, setAside, type SetAside } from '../rescue/set-aside.ts'
import { fileName, headName } from './schema.ts'
import { SpoolFile } from './spool-file.ts'

/**
 * Opens the spool in `opening.dir` for its one writer, and makes it where there is none: folder 0700, files 0600. What cannot be trusted
 * is set aside, and a new file made of what it still holds. Throws SPOOL_IN_USE, SPOOL_VERSION, SPOOL_FULL or SPOOL_FAILED; then
 * nothing has been touched.
 */
export function openForWriting(opening: SpoolOpening, now: () => Date): SpoolFile {
  const { dir } = opening
  try {
    makeDurableFolder(dir, 0o700)
    chmodSync(dir, 0o700)
  } catch (thrown) {
    throw spoolFault(`cannot use ${dir} as the spool's folder`, thrown)
  }
  const lock = takeLock(dir)
  try {
    replaceUnsound(opening, now())
    return new SpoolFile(dir, lock)
  } catch (thrown) {
    lock.close()
    throw spoolFault(`cannot open the spool ${join(dir, fileName)}`, thrown)
  }
}

/**
 * Opens the spool's file to read; returns undefined where there is none. Throws SPOOL_VERSION, SPOOL_DAMAGED or SPOOL_FAILED, also
 * where there is one that may not be read, or that SQLite cannot read because the disk is read-only.
 */
export function openForReading(dir: string): DatabaseSync | undefined {
  const path = join(dir, fileName)
  try {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return undefined
    const database = openReadOnly(path)
    versionOf(database, path)
    return database
  } catch (thrown) {
    throw spoolFault(`cannot read the spool ${path}`, thrown)
  }
}

function replaceUnsound(opening: SpoolOpening, now: Date): void {
  const { dir } = opening
  refuseLaterVersion(join(dir, fileName))
  const aside = interruptedSetAside(dir) ?? setAsideUnsound(opening, now)
  if (aside !== undefined) rescue(opening, aside, now)
}

function setAsideUnsound(opening: SpoolOpening, now: Date): SetAside | undefined {
  const { dir } = opening
  const verdict = judge(opening)
  return verdict.kind === 'sound' ? undefined : setAside(dir, verdict.reason, verdict.why, now)
}

function judge(opening: SpoolOpening): Verdict {
  const { dir } = opening
  try {
    rollBack(join(dir, fileName))
    migrate(dir)
  } catch (thrown) {
    const fault = spoolFault('cannot read the spool', thrown)
    if (fault.code === 'SPOOL_VERSION' || fault.retryable) throw fault
    return { kind: 'unsound', reason: 'SPOOL_DAMAGED', why: fault.message }
  }
  return inspect(opening, readHead(join(dir, headName)))
}
