import { open, stat } from 'node:fs/promises'
import { zstdChunks } from '../../archive/zstd.ts'
import { CountersignError, messageOf } from '../../errors.ts'
import { cutBlocks } from './cut-blocks.ts'
import type { Part, PartBlock } from './part.ts'

const chunkBytes = 1024 * 1024

/** Nothing that is known to have stood in a file is excused: a place there has a number above 0. */
const begunBefore = { line: 0, why: 'what stood before is no part of this export (--partial)' }

/**
 * Exported files: one record a line, `.zst` compressed; `-` is what comes on standard input. `isPartial`: they begin somewhere in the
 * trails. Throws INPUT_UNREADABLE.
 */
export async function fileParts(files: readonly string[], isPartial = false): Promise<readonly Part[]> {
  return Promise.all(
    files.map(async (file) => ({
      source: 'file' as const,
      name: file === '-' ? 'stdin' : file,
      stream: `file ${file}`,
      bytes: file === '-' ? undefined : await sizeOf(file),
      ...(isPartial ? { removed: begunBefore } : {}),
      blocks: () => blocksOf(file),
    })),
  )
}

async function* blocksOf(file: string): AsyncGenerator<PartBlock> {
  try {
    yield* cutBlocks(file === '-' ? process.stdin : chunksOf(file))
  } catch (thrown) {
    throw unreadable(file, thrown)
  }
}

async function* chunksOf(file: string): AsyncGenerator<Uint8Array> {
  const handle = await open(file, 'r')
  try {
    if (file.endsWith('.zst')) yield* zstdChunks(handle, chunkBytes)
    else
      for await (const chunk of handle.createReadStream({ highWaterMark: chunkBytes, autoClose: false }))
        yield chunk as Buffer
  } finally {
    await handle.close()
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size
  } catch (thrown) {
    throw unreadable(file, thrown)
  }
}

function unreadable(file: string, thrown: unknown): CountersignError {
  return new CountersignError('INPUT_UNREADABLE', `${file} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
}
