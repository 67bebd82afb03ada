import { randomUUID } from 'node:crypto'
import { closeSync, fchmodSync, fsyncSync, linkSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/**
 * Makes a file with exactly these rights, which is there whole and durable, or not at all. MUST NOT overwrite: throws EEXIST
 * where something stands there already, and whatever else the file system says.
 */
export function makeFile(path: string, text: string, mode: number): void {
  const fresh = join(dirname(path), `.${basename(path)}.${randomUUID()}`)
  try {
    writeDurably(fresh, text, mode)
    // Unlike a rename, a link never takes the place of what is there.
    linkSync(fresh, path)
  } finally {
    rmSync(fresh, { force: true })
  }
  syncFolder(dirname(path))
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

/** Makes the entries of a folder durable. */
export function syncFolder(path: string): void {
  const folder = openSync(path, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}
