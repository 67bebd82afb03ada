import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { durableFolder, syncFolder } from '../archive/open-segment.ts'
import { CountersignError, messageOf } from '../errors.ts'
import type { Sink } from './sink.ts'

/** What is needed of the file. */
export type CheckpointFileHandle = Pick<FileHandle, 'close' | 'read' | 'stat' | 'sync' | 'truncate' | 'write'>

export interface CheckpointFileOptions {
  /** How the file is opened; for tests of failing disks. */
  readonly openFile?: (path: string, flags: 'a+', mode: number) => Promise<CheckpointFileHandle>
}

interface OpenCheckpoints {
  readonly file: CheckpointFileHandle
  readonly inode: number
  /** Everything before it is durable, and whole lines. */
  bytes: number
}

/**
 * Appends records to `path`, one per line, as they are: made with mode 0600 where it is absent, and made anew where somebody took
 * it away. `deliver` rejects with CHECKPOINTS_UNWRITABLE (retryable) when durability is not certain; what it left behind is cut off
 * before the next line. A line that a crash cut short is cut off too: its record is given again.
 */
export function createCheckpointFile(path: string, { openFile = open }: CheckpointFileOptions = {}): Sink {
  let opened: OpenCheckpoints | undefined
  /** Where a file that failed ended, as far as it is certain. */
  let certain: Pick<OpenCheckpoints, 'inode' | 'bytes'> | undefined

  const close = async (): Promise<void> => {
    const closing = opened?.file
    opened = undefined
    await closing?.close()
  }
  return {
    deliver: async (records) => {
      if (records.length === 0) return { kind: 'kept', mark: null }
      try {
        if (opened !== undefined && !(await isThere(path, opened.inode))) await close()
        opened ??= await openLines(path, openFile, certain)
        certain = { inode: opened.inode, bytes: opened.bytes }
        await append(opened, records.map(({ line }) => `${line}\n`).join(''))
        return { kind: 'kept', mark: null }
      } catch (fault) {
        await close().catch(() => undefined)
        const message = `the checkpoints in ${path} cannot be written: ${messageOf(fault)}`
        throw new CountersignError('CHECKPOINTS_UNWRITABLE', message, { cause: fault, retryable: true })
      }
    },
    close,
  }
}

async function openLines(
  path: string,
  openFile: NonNullable<CheckpointFileOptions['openFile']>,
  certain: Pick<OpenCheckpoints, 'inode' | 'bytes'> | undefined,
): Promise<OpenCheckpoints> {
  await durableFolder(dirname(path))
  const file = await openFile(path, 'a+', 0o600)
  try {
    const { ino, size } = await file.stat()
    const bytes = certain?.inode === ino ? Math.min(certain.bytes, size) : await endOfLines(file, size)
    if (bytes < size) await file.truncate(bytes)
    await file.sync()
    await syncFolder(dirname(path))
    return { file, inode: ino, bytes }
  } catch (fault) {
    await file.close()
    throw fault
  }
}

async function append(opened: OpenCheckpoints, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  for (let written = 0; written < bytes.length;) {
    const { bytesWritten } = await opened.file.write(bytes, written)
    if (bytesWritten === 0) throw new Error('the file took no bytes')
    written += bytesWritten
  }
  await opened.file.sync()
  opened.bytes += bytes.length
}

const newline = 0x0a
const lookBackBytes = 64 * 1024

/** Where the last whole line ends: 0 where there is none. */
async function endOfLines(file: CheckpointFileHandle, size: number): Promise<number> {
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - lookBackBytes)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(end - start), 0, end - start, start)
    const last = buffer.subarray(0, bytesRead).lastIndexOf(newline)
    if (last >= 0) return start + last + 1
    end = start
  }
  return 0
}

async function isThere(path: string, inode: number): Promise<boolean> {
  try {
    return (await stat(path)).ino === inode
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw thrown
  }
}
