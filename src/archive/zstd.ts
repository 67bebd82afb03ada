import type { FileHandle } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import { createZstdDecompress } from 'node:zlib'

/**
 * What a zstd file holds, frame behind frame, as it is decompressed, in bounded memory: Node.js leaves out what stands behind the first
 * one. Throws what zlib throws, also for bytes that are no frame.
 */
export async function* zstdChunks(file: FileHandle, chunkBytes: number): AsyncGenerator<Buffer> {
  const { size } = await file.stat()
  let at = 0
  do {
    const frame = createZstdDecompress({ chunkSize: chunkBytes })
    const bytes = Readable.from(bytesFrom(file, at, chunkBytes), { objectMode: false, highWaterMark: chunkBytes })
    const text = pipeline(bytes, frame, () => undefined)
    try {
      for await (const chunk of text) yield chunk as Buffer
    } finally {
      bytes.destroy()
      text.destroy()
    }
    if (frame.bytesWritten === 0) return
    at += frame.bytesWritten
  } while (at < size)
}

async function* bytesFrom(file: FileHandle, position: number, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let at = position; ;) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}
