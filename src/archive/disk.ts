import { link, open, rename, unlink } from 'node:fs/promises'
import { syncFolder, type OpenFile } from './open-segment.ts'

/** What publishing needs of a disk; tests give one that fails at any call. */
export interface Disk {
  readonly open: OpenFile
  link(from: string, to: string): Promise<void>
  rename(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
  syncFolder(path: string): Promise<void>
}

export const realDisk: Disk = { open, link, rename, unlink, syncFolder }

/** Writes a file of the owner's alone, over what is there, and syncs it. The entry in its folder is not synced. */
export async function writeDurable(disk: Disk, path: string, bytes: Buffer): Promise<void> {
  const file = await disk.open(path, 'w', 0o600)
  try {
    for (let left = bytes; left.length > 0;) {
      const { bytesWritten } = await file.write(left)
      if (bytesWritten === 0) throw new Error('the file took no bytes')
      left = left.subarray(bytesWritten)
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** What failed, where it is that something is there or is not. */
export function codeOf(thrown: unknown): string | undefined {
  return (thrown as NodeJS.ErrnoException | undefined)?.code
}
