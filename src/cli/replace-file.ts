import { randomUUID } from 'node:crypto'
import { renameSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'
import { writeDurably } from '../keys/durable-file.ts'

/**
 * Writes a file, which others may read where no other mode is given, so that whoever reads the path finds the old text or the new one, whole.
 * Throws USAGE, which names `flag` and the file.
 */
export function replaceFile(flag: string, path: string, text: string, mode = 0o644): void {
  // Hidden: a policy folder may be read meanwhile.
  const fresh = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  try {
    writeDurably(fresh, text, mode)
    renameSync(fresh, path)
  } catch (fault) {
    rmSync(fresh, { force: true })
    throw new CountersignError('USAGE', `${flag}: ${path} cannot be written: ${messageOf(fault)}`, { cause: fault })
  }
}
