import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/**
 * Makes a folder, and those above it that are missing, so that they are still there after a power failure: a name is durable only
 * when the folder that holds it has been synced. Throws what `mkdir`, `open` and `fsync` throw.
 */
export function makeDurableFolder(dir: string, mode: number): void {
  const made = mkdirSync(dir, { recursive: true, mode })
  if (made === undefined) {
    syncExisting(dir)
    return
  }
  const first = resolve(made)
  for (let at = resolve(dir); ; at = dirname(at)) {
    syncFolder(dirname(at))
    if (at === first) return
  }
}

/** Whoever made it may have been killed before it was synced. The folder above may also be one that we must not read. */
function syncExisting(dir: string): void {
  try {
    syncFolder(dirname(resolve(dir)))
  } catch {
    // Its owner answers for it.
  }
}

/** Makes the names in a folder durable. */
export function syncFolder(dir: string): void {
  const folder = openSync(dir, 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

/** Makes what was written to a file durable. */
export function syncFile(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
