import { createReadStream } from 'node:fs'
import { dirname, join } from 'node:path'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { codeOf, writeDurable, type Disk } from './disk.ts'
import { manifestPath, segmentPath, type SealedSegment, type Segment } from './layout.ts'
import { encodeManifest, readManifest, type Digested, type Manifest } from './manifest.ts'
import type { SegmentFile } from './open-segment.ts'
import { Digest, LinesDigest, type LinesSummary } from './segment-digest.ts'

/** Level 3 is zstd's own default: a tenth of the size at a tenth of a core per 30 MB/s. The checksum finds a flipped bit. */
export const zstdParameters = { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 }

const chunkBytes = 256 * 1024

/** What became of an open segment. `left`: it stays as it is, because its lines are not what a segment may hold. */
export type Sealing = { readonly kind: 'sealed' } | { readonly kind: 'left'; readonly problem: string }

/**
 * Seals an open segment that nobody adds to any more: compresses it, publishes the lines and then the manifest, and removes
 * the open file only after the sealed one is durable and was read back against its digest. Wherever it fails or is cut off,
 * readers find the open segment or the sealed one, never neither and never both; the next call ends what this one began.
 * Bounded memory. Rejects with what the disk says.
 */
export async function sealSegment(
  archiveDir: string,
  open: Segment,
  disk: Disk,
  signal?: AbortSignal,
): Promise<Sealing> {
  const segment: SealedSegment = { ...open, generation: 1 }
  const from = join(archiveDir, segmentPath(open))
  const before = await readManifest(archiveDir, segment)
  if (before !== undefined) return removeLeftOver(archiveDir, from, before, disk)
  const lines = join(archiveDir, segmentPath(segment))
  const temporary = `${lines}.tmp`
  try {
    const summary = await compress(open, from, temporary, disk, signal)
    if ('problem' in summary) {
      await disk.unlink(temporary)
      return { kind: 'left', problem: summary.problem }
    }
    await readBack(temporary, summary, signal)
    signal?.throwIfAborted()
    await disk.rename(temporary, lines)
    await disk.syncFolder(dirname(lines))
    const { compressed, ...rest } = summary
    await publishManifest(archiveDir, { segment, ...rest, compressed, replaces: [], tombstones: 0 }, disk)
  } catch (fault) {
    await disk.unlink(temporary).catch(() => undefined)
    throw fault
  }
  return removeOpen(from, disk)
}

/** An earlier sealing was cut off after it had published. */
async function removeLeftOver(archiveDir: string, from: string, manifest: Manifest, disk: Disk): Promise<Sealing> {
  await disk.unlink(temporaryManifest(archiveDir, manifest)).catch(() => undefined)
  const digest = await digestOf(from)
  if (digest === undefined) return { kind: 'sealed' }
  const { bytes, sha256 } = digest
  if (bytes !== manifest.bytes || sha256 !== manifest.sha256) {
    return { kind: 'left', problem: 'a sealed segment of the same name holds other lines' }
  }
  return removeOpen(from, disk)
}

/** Undefined where the file is gone. */
async function digestOf(path: string): Promise<Digested | undefined> {
  const digest = new Digest()
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) digest.take(chunk as Buffer)
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return undefined
    throw thrown
  }
  return digest.done()
}

function temporaryManifest(archiveDir: string, { segment }: Manifest): string {
  return `${join(archiveDir, manifestPath(segment))}.tmp`
}

async function removeOpen(from: string, disk: Disk): Promise<Sealing> {
  await disk.unlink(from)
  await disk.syncFolder(dirname(from))
  return { kind: 'sealed' }
}

type Compressed = LinesSummary & { readonly compressed: Digested }

async function compress(
  open: Segment,
  from: string,
  to: string,
  disk: Disk,
  signal?: AbortSignal,
): Promise<Compressed | { readonly problem: string }> {
  const lines = new LinesDigest(open)
  const compressed = new Digest()
  const file = await disk.open(to, 'w', 0o600)
  try {
    await pipeline(
      createReadStream(from, { highWaterMark: chunkBytes }),
      watched((chunk) => {
        lines.take(chunk)
      }),
      createZstdCompress({ params: zstdParameters, chunkSize: chunkBytes }),
      watched((chunk) => {
        compressed.take(chunk)
      }),
      into(file),
      { ...(signal === undefined ? {} : { signal }) },
    )
    await file.sync()
  } finally {
    await file.close()
  }
  const summary = lines.done()
  return 'problem' in summary ? summary : { ...summary, compressed: compressed.done() }
}

function watched(take: (chunk: Buffer) => void) {
  return async function* (chunks: AsyncIterable<unknown>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      take(chunk as Buffer)
      yield chunk as Buffer
    }
  }
}

function into(file: SegmentFile): Writable {
  const writeAll = async (bytes: Buffer): Promise<void> => {
    for (let left = bytes; left.length > 0;) {
      const { bytesWritten } = await file.write(left)
      if (bytesWritten === 0) throw new Error('the file took no bytes')
      left = left.subarray(bytesWritten)
    }
  }
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      writeAll(chunk).then(() => {
        done()
      }, done)
    },
  })
}

/** Rejects where what was written is not what was meant. */
async function readBack(path: string, expected: Compressed, signal?: AbortSignal): Promise<void> {
  const lines = new Digest()
  const compressed = new Digest()
  await pipeline(
    createReadStream(path, { highWaterMark: chunkBytes }),
    watched((chunk) => {
      compressed.take(chunk)
    }),
    createZstdDecompress({ chunkSize: chunkBytes }),
    async (chunks: AsyncIterable<unknown>) => {
      for await (const chunk of chunks) lines.take(chunk as Buffer)
    },
    { ...(signal === undefined ? {} : { signal }) },
  )
  if (lines.done().sha256 !== expected.sha256 || compressed.done().sha256 !== expected.compressed.sha256) {
    throw new Error(`${path} does not read back as it was written`)
  }
}

/** Of two writers one publishes; the other finds the manifest there. */
async function publishManifest(archiveDir: string, manifest: Manifest, disk: Disk): Promise<void> {
  const path = join(archiveDir, manifestPath(manifest.segment))
  const temporary = temporaryManifest(archiveDir, manifest)
  await writeDurable(disk, temporary, encodeManifest(manifest))
  try {
    await disk.link(temporary, path)
  } catch (thrown) {
    // Nothing but a damaged manifest can stand there: a whole one was looked for before.
    if (codeOf(thrown) !== 'EEXIST') throw thrown
    throw new Error(`${path} is there already and is no manifest of this segment`, { cause: thrown })
  } finally {
    await disk.unlink(temporary).catch(() => undefined)
  }
  await disk.syncFolder(dirname(path))
}
