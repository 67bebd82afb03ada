import { join } from 'node:path'
import { createReadStream } from 'node:fs'
import { endOfRecord, manifestPath, segmentPath } from '../../archive/layout.ts'
import type { Manifest } from '../../archive/manifest.ts'
import { Digest } from '../../archive/segment-digest.ts'
import type { Problem } from './problem.ts'

const newline = 0x0a

/** Compares what a sealed segment holds with what its manifest says, as its lines are read. */
export class ManifestCheck {
  readonly #archiveDir: string
  readonly #manifest: Manifest
  readonly #digest = new Digest()
  #lines = 0
  #firstLine: string | undefined

  constructor(archiveDir: string, manifest: Manifest) {
    this.#archiveDir = archiveDir
    this.#manifest = manifest
  }

  /** Takes the next whole lines. */
  take(bytes: Buffer): void {
    this.#digest.take(bytes)
    this.#firstLine ??= bytes.toString('utf8', 0, Math.max(0, bytes.indexOf(newline)))
    for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, at + 1)) this.#lines += 1
  }

  /** What the manifest says otherwise, when all lines were taken; undefined where nothing. Rejects where the file cannot be read. */
  async problem(): Promise<Problem | undefined> {
    const { segment } = this.#manifest
    const wrong = await this.#wrong()
    if (wrong.length === 0) return undefined
    return {
      kind: 'rewritten',
      trail: segment.trail,
      sequence: segment.first,
      toSequence: this.#manifest.last === segment.first ? null : this.#manifest.last,
      source: 'archive',
      file: `archive/${manifestPath(segment)}`,
      line: 1,
      problem: `the segment is not the one that its manifest describes; they differ in ${wrong.join(', ')}`,
    }
  }

  async #wrong(): Promise<string[]> {
    const { segment, last, bytes, sha256, records, prevHash, compressed, tombstones } = this.#manifest
    const lines = this.#digest.done()
    const file = await this.#fileDigest()
    const first = endOfRecord(this.#firstLine ?? '')
    const compared: Record<string, boolean> = {
      first: first?.sequence === segment.first,
      prevhash: first?.prevHash === prevHash,
      records: records === this.#lines,
      last: segment.generation > 1 || last === segment.first + this.#lines - 1,
      bytes: bytes === lines.bytes,
      sha256: sha256 === lines.sha256,
      'compressed.bytes': compressed.bytes === file.bytes,
      'compressed.sha256': compressed.sha256 === file.sha256,
      // A line is a record, or verifying fails at it.
      tombstones: tombstones === 0,
    }
    return Object.keys(compared).filter((member) => compared[member] === false)
  }

  async #fileDigest(): Promise<ReturnType<Digest['done']>> {
    const digest = new Digest()
    const path = join(this.#archiveDir, segmentPath(this.#manifest.segment))
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) digest.take(chunk as Buffer)
    return digest.done()
  }
}
