import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'

/** Opens a file to read. Rejects where it is none: to open a pipe to which nobody writes would take for ever. */
export async function openRegularFile(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new Error('it is not a regular file')
}

/** The text of a file. Rejects where it is none. */
export async function readRegularFile(path: string): Promise<string> {
  const file = await openRegularFile(path)
  try {
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}
