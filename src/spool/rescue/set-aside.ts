import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeDurableFolder, syncFile, syncFolder } from '../folder.ts'
import { fileName, headName, rescueName, setAsideName } from '../file/schema.ts'

/** Names the folder that the files go to while they are on their way. */
const markerName = 'setting-aside'
const newSuffix = '.rescued'
const databaseNames = [fileName, `${fileName}-wal`, `${fileName}-shm`] as const
const names = [...databaseNames, headName, rescueName] as const

/** What was found, kept beside the files that were set aside. */
export interface SetAside {
  /** Where the files are. */
  readonly folder: string
  readonly reason: 'SPOOL_DAMAGED' | 'SPOOL_REPLACED'
  readonly why: string
}

const reportName = 'why.json'

/**
 * Takes the spool's files out of the way, into a folder of their own; none is deleted or overwritten. Until `putInPlace` returns, every opening comes
 * back here and gets the same answer, however often the process dies in between.
 */
export function setAside(dir: string, reason: SetAside['reason'], why: string, now: Date): SetAside {
  const folder = newFolder(dir, now)
  writeReport(folder, { reason, why, at: now.toISOString() })
  writeFileSync(join(dir, markerName), folder.slice(dir.length + 1), { mode: 0o600 })
  syncFile(join(dir, markerName))
  syncFolder(dir)
  moveFiles(dir, folder, names)
  return { folder, reason, why }
}

/** What was being set aside when the process died; undefined where nothing was. */
export function interruptedSetAside(dir: string): SetAside | undefined {
  if (!existsSync(join(dir, markerName))) {
    // The new files are whole once the marker is gone.
    renameNew(dir)
    return undefined
  }
  const folder = join(dir, readFileSync(join(dir, markerName), 'utf8'))
  if (!existsSync(join(folder, reportName))) {
    // The marker itself was not whole: nothing has been moved.
    rmSync(join(dir, markerName))
    return undefined
  }
  for (const name of names) rmSync(join(dir, `${name}${newSuffix}`), { force: true })
  moveFiles(dir, folder, names)
  // What is still there came after those that were moved.
  moveStranger(dir, names)
  const { reason, why } = JSON.parse(readFileSync(join(folder, reportName), 'utf8')) as SetAside
  return { folder, reason, why }
}

/** Where the files are, or are on their way to, while they are being set aside; undefined where none are. Changes nothing. */
export function folderOfSetAside(dir: string): string | undefined {
  const marker = join(dir, markerName)
  const folder = existsSync(marker) ? join(dir, readFileSync(marker, 'utf8')) : undefined
  return folder !== undefined && existsSync(join(folder, reportName)) ? folder : undefined
}

/** The path under which a file in the place of `name` is to be made. */
export function newPath(dir: string, name: string): string {
  return join(dir, `${name}${newSuffix}`)
}

/** Puts the new files, which MUST be whole and synced, in the place of those that were set aside. */
export function putInPlace(dir: string): void {
  syncFolder(dir)
  rmSync(join(dir, markerName))
  syncFolder(dir)
  renameNew(dir)
}

/** The head first: where the process dies in between, the database is still under its new name and follows at the next start. */
function renameNew(dir: string): void {
  const made = [headName, fileName].filter((name) => existsSync(newPath(dir, name)))
  moveStranger(
    dir,
    made.flatMap((name) => (name === fileName ? databaseNames : [name])),
  )
  for (const name of made) renameSync(newPath(dir, name), join(dir, name))
  if (made.length > 0) syncFolder(dir)
}

/** The database before its journal: a database that is left alone would be taken for one without a journal. */
function moveFiles(dir: string, folder: string, which: readonly string[]): void {
  for (const name of which) {
    const [from, to] = [join(dir, name), join(folder, name)]
    if (existsSync(from) && !existsSync(to)) renameSync(from, to)
  }
  syncFolder(folder)
  syncFolder(dir)
}

/** Takes away what somebody put in the place of files that are being set aside, or of new ones: it is no part of this spool. */
function moveStranger(dir: string, which: readonly string[]): void {
  const there = which.filter((name) => existsSync(join(dir, name)))
  if (there.length === 0) return
  const now = new Date()
  const folder = newFolder(dir, now)
  const why = 'somebody put it here while the files that were in its place were being set aside'
  writeReport(folder, { reason: 'SPOOL_REPLACED', why, at: now.toISOString() })
  moveFiles(dir, folder, there)
}

function writeReport(folder: string, report: Pick<SetAside, 'reason' | 'why'> & { readonly at: string }): void {
  const path = join(folder, reportName)
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`, { mode: 0o600 })
  syncFile(path)
  syncFolder(folder)
}

function newFolder(dir: string, now: Date): string {
  makeDurableFolder(join(dir, setAsideName), 0o700)
  for (let number = 1; ; number += 1) {
    const folder = join(dir, setAsideName, `${now.toISOString().replaceAll(':', '-')}-${number}`)
    if (existsSync(folder)) continue
    mkdirSync(folder, { mode: 0o700 })
    syncFolder(join(dir, setAsideName))
    return folder
  }
}
