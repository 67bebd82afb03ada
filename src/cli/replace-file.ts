import { randomUUID } from 'node:crypto'
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'

/**
 * Writes a file that others may read (0644), so that whoever reads the path finds the old text or the new one, whole.
 * Throws USAGE, which names `flag` and the file.
 */
export function replaceFile(flag: string, path: string, text: string): void {
  // Hidden: a policy folder may be read meanwhile.
  const fresh = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  try {
    writeDurably(fresh, text, 0o644)
    renameSync(fresh, path)
  } catch (fault) {
    rmSync(fresh, { force: true })
    throw new CountersignError('USAGE', `${flag}: ${path} cannot be written: ${messageOf(fault)}`, { cause: fault })
  }
}

/** Writes a file that does not exist yet, with exactly these rights. Throws what the file system says. */
export function writeDurably(path: string, text: string, mode: number): void {
  const file = openSync(path, 'wx', mode)
  try {
    fchmodSync(file, mode)
    writeFileSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
