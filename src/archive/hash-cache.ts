import { join } from 'node:path'
import { endOfRecord, segmentPath, type Segment } from './layout.ts'
import { readSegment } from './read.ts'

const hashBytes = 32
const noHash = Buffer.alloc(hashBytes)

/** The hashes of segments' records, in order, as far as they were needed lately. */
export class HashCache {
  readonly #archiveDir: string
  readonly #maxBytes: number
  readonly #hashes = new Map<string, Buffer>()
  #bytes = 0

  constructor(archiveDir: string, maxBytes = 64 * 1024 * 1024) {
    this.#archiveDir = archiveDir
    this.#maxBytes = maxBytes
  }

  keep(segment: Segment, hashes: readonly string[]): void {
    this.#put(segmentPath(segment), Buffer.concat(hashes.map((hash) => Buffer.from(hash, 'hex'))))
  }

  /** Whether a segment holds this hash at this sequence. Throws ARCHIVE_UNREADABLE. */
  async holds(segment: Segment, sequence: number, hash: string): Promise<boolean> {
    const hashes = await this.#of(segment)
    const at = (sequence - segment.first) * hashBytes
    return hashes.subarray(at, at + hashBytes).equals(Buffer.from(hash, 'hex'))
  }

  /** How many records a segment holds. Throws ARCHIVE_UNREADABLE. */
  async count(segment: Segment): Promise<number> {
    return (await this.#of(segment)).length / hashBytes
  }

  async #of(segment: Segment): Promise<Buffer> {
    const path = segmentPath(segment)
    const known = this.#hashes.get(path)
    if (known !== undefined) {
      this.#hashes.delete(path)
      this.#hashes.set(path, known)
      return known
    }
    const hashes: Buffer[] = []
    for await (const line of readSegment(join(this.#archiveDir, path))) {
      // By its sequence: a line that is damaged must not move the others.
      const end = endOfRecord(line.bytes.toString())
      if (end === undefined || end.sequence < segment.first) continue
      const index = end.sequence - segment.first
      while (hashes.length < index && hashes.length < line.number) hashes.push(noHash)
      if (index <= hashes.length) hashes[index] = Buffer.from(end.hash, 'hex')
    }
    const read = Buffer.concat(hashes)
    this.#put(path, read)
    return read
  }

  #put(path: string, hashes: Buffer): void {
    this.#bytes += hashes.length - (this.#hashes.get(path)?.length ?? 0)
    this.#hashes.delete(path)
    this.#hashes.set(path, hashes)
    for (const [oldest, { length }] of this.#hashes) {
      if (this.#bytes <= this.#maxBytes || oldest === path) return
      this.#hashes.delete(oldest)
      this.#bytes -= length
    }
  }
}
