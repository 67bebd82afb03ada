import { createHash, randomBytes } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { zstdCompress } from 'node:zlib'
import { carryOut, readClaim, takeClaim, waitingPath } from './claim.ts'
import { writeDurable, type Disk } from './disk.ts'
import type { HashCache } from './hash-cache.ts'
import type { IncomingRecord } from './incoming.ts'
import { claimPath, isSealed, parseName, type SealedSegment, type Segment } from './layout.ts'
import { encodeManifest, readManifest, type Manifest } from './manifest.ts'
import { listSegments } from './read.ts'
import { zstdParameters } from './seal.ts'

/** What the archive knows of a record: it has it; it has another one in its place; or it has none there. */
export type Known = 'kept' | 'fork' | 'new'

interface KeptRange {
  readonly segment: Segment
  readonly last: number
}

const compress = promisify(zstdCompress)
const newline = Buffer.from('\n')
/** Whoever still writes such a file notices that it is gone, and publishes anew. */
const staleMs = 3_600_000

/**
 * What the archive keeps of one trail and day, and the way to add to it beside other processes: each publication has a number
 * that one process alone can take, and is made by one that knows all before it.
 */
export class TrailDay {
  readonly #archiveDir: string
  readonly #trail: string
  readonly #day: string
  readonly #hashes: HashCache
  readonly #disk: Disk
  readonly #ranges: KeptRange[] = []
  /** The highest number that is known to be taken. */
  #serial = 0
  #highest = 0

  private constructor(archiveDir: string, trail: string, day: string, hashes: HashCache, disk: Disk) {
    this.#archiveDir = archiveDir
    this.#trail = trail
    this.#day = day
    this.#hashes = hashes
    this.#disk = disk
  }

  /** Reads what is there, and ends what another writer began. Rejects with what the disk says. */
  static async open(archiveDir: string, trail: string, day: string, hashes: HashCache, disk: Disk): Promise<TrailDay> {
    const opened = new TrailDay(archiveDir, trail, day, hashes, disk)
    await opened.#load()
    return opened
  }

  /** The highest sequence that is kept. */
  get highest(): number {
    return this.#highest
  }

  async know({ sequence, hash }: Pick<IncomingRecord, 'sequence' | 'hash'>): Promise<Known> {
    if (sequence > this.#highest) return 'new'
    let known: Known = 'new'
    for (const { segment, last } of this.#ranges) {
      if (sequence < segment.first || sequence > last) continue
      if (await this.#hashes.holds(segment, sequence, hash)) return 'kept'
      known = 'fork'
    }
    return known
  }

  /**
   * Publishes records that follow one another, as a sealed segment. Resolves with its size once it is durable; with undefined
   * where another process has published meanwhile: then nothing was published, and what is known has grown. Rejects with what
   * the disk says: whether it was published is then told by the next call of `refresh`.
   */
  async publish(records: readonly IncomingRecord[]): Promise<number | undefined> {
    const { manifest, bytes } = await this.#prepare(records)
    const waiting = waitingPath(this.#archiveDir, manifest)
    const manifestFile = `${waiting.slice(0, -'.tmp'.length)}.manifest.tmp`
    const serial = this.#serial + 1
    const claim = join(this.#archiveDir, claimPath(this.#day, this.#trail, serial))
    try {
      await this.#write(waiting, bytes)
      await writeDurable(this.#disk, manifestFile, encodeManifest(manifest))
      if (!(await takeClaim(claim, manifestFile, this.#disk))) {
        await this.#disk.unlink(waiting)
        await this.refresh()
        return undefined
      }
      if (!(await carryOut(this.#archiveDir, claim, manifest, this.#disk))) return undefined
      this.#serial = serial
      this.#add({ segment: manifest.segment, last: manifest.last })
      this.#hashes.keep(
        manifest.segment,
        records.map(({ hash }) => hash),
      )
      return bytes.length
    } finally {
      await this.#disk.unlink(manifestFile).catch(() => undefined)
    }
  }

  /** A full disk must not be filled with what did not fit. */
  async #write(path: string, bytes: Buffer): Promise<void> {
    try {
      await writeDurable(this.#disk, path, bytes)
    } catch (fault) {
      await this.#disk.unlink(path).catch(() => undefined)
      throw fault
    }
  }

  /** Learns what others have published since, and ends what they began. */
  async refresh(): Promise<void> {
    for (;;) {
      const serial = this.#serial + 1
      const manifest = await readClaim(this.#archiveDir, this.#day, this.#trail, serial)
      if (manifest === undefined) return
      await this.#take(serial, manifest)
      this.#serial = serial
    }
  }

  async #take(serial: number, manifest: Manifest | 'void'): Promise<void> {
    if (manifest === 'void') return
    const claim = join(this.#archiveDir, claimPath(this.#day, this.#trail, serial))
    const isPublished = await carryOut(this.#archiveDir, claim, manifest, this.#disk)
    if (isPublished) this.#add({ segment: manifest.segment, last: manifest.last })
  }

  #add(range: KeptRange): void {
    this.#ranges.push(range)
    this.#highest = Math.max(this.#highest, range.last)
  }

  async #load(): Promise<void> {
    const names = await readdir(join(this.#archiveDir, this.#day))
    const own = names.filter((name) => name.startsWith(`${this.#trail}.`))
    for (const name of own) await this.#removeStale(name)
    for (const name of own) {
      const named = parseName(this.#day, name)
      if (named?.kind === 'claim' && named.trail === this.#trail) this.#serial = Math.max(this.#serial, named.serial)
    }
    // Each writer has carried out all claims before its own: only the last can be left.
    const last = this.#serial === 0 ? undefined : await this.#readClaim(this.#serial)
    if (last !== undefined) await this.#take(this.#serial, last)
    this.#ranges.length = 0
    await this.#loadRanges()
    await this.refresh()
  }

  #readClaim(serial: number) {
    return readClaim(this.#archiveDir, this.#day, this.#trail, serial)
  }

  async #loadRanges(): Promise<void> {
    const { segments } = await listSegments(this.#archiveDir, { from: this.#day, to: this.#day })
    for (const segment of segments) {
      if (segment.trail !== this.#trail) continue
      this.#add({ segment, last: await this.#lastOf(segment) })
    }
  }

  /** Where no manifest tells it, the segment is looked into. */
  async #lastOf(segment: Segment): Promise<number> {
    const manifest = isSealed(segment) ? await readManifest(this.#archiveDir, segment) : undefined
    return manifest?.last ?? segment.first + (await this.#hashes.count(segment)) - 1
  }

  async #removeStale(name: string): Promise<void> {
    if (parseName(this.#day, name)?.kind !== 'temporary') return
    const path = join(this.#archiveDir, this.#day, name)
    const found = await stat(path).catch(() => undefined)
    if (found === undefined || Date.now() - found.mtimeMs < staleMs) return
    await this.#disk.unlink(path).catch(() => undefined)
  }

  async #prepare(records: readonly IncomingRecord[]): Promise<{ manifest: Manifest; bytes: Buffer }> {
    const [first, last] = [records[0], records.at(-1)]
    if (first === undefined || last === undefined) throw new Error('there is nothing to publish')
    const lines = Buffer.concat(records.flatMap(({ line }) => [line, newline]))
    const bytes = await compress(lines, { params: zstdParameters })
    const manifest: Manifest = {
      segment: this.#freePlace(first.sequence),
      last: last.sequence,
      records: records.length,
      prevHash: first.prevHash,
      hash: last.hash,
      bytes: lines.length,
      sha256: digestOf(lines),
      compressed: { bytes: bytes.length, sha256: digestOf(bytes) },
      replaces: [],
      tombstones: 0,
      writer: randomBytes(8).toString('hex'),
    }
    return { manifest, bytes }
  }

  #freePlace(first: number): SealedSegment {
    const taken = this.#ranges.filter(({ segment }) => segment.first === first).map(({ segment }) => segment.copy)
    return {
      day: this.#day,
      trail: this.#trail,
      first,
      copy: taken.length === 0 ? 0 : Math.max(...taken) + 1,
      generation: 1,
    }
  }
}

function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
