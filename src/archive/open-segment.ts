import { chmod, mkdir, open, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Segment } from './layout.ts'

/** What a segment needs of a file. A write may report fewer bytes than it was given, on a full disk even as a success. */
export interface SegmentFile {
  write(bytes: Buffer): Promise<{ readonly bytesWritten: number }>
  sync(): Promise<void>
  close(): Promise<void>
}

export type OpenFile = (path: string, flags: 'a' | 'ax' | 'w', mode: number) => Promise<SegmentFile>

/** End of a segment: it is `bytes` long and its last record is `last`. */
export interface SegmentEnd {
  readonly last: number
  readonly segment: Segment
  readonly bytes: number
}

const flushBytes = 1024 * 1024

/** A segment that is being written. After any fault it MUST NOT be added to again. */
export class OpenSegment {
  readonly segment: Segment
  readonly #file: SegmentFile
  /** The folder of a file that was just made: its entry has to become durable too. */
  #newIn: string | undefined
  #waiting: string[] = []
  #waitingBytes = 0
  #written: SegmentEnd
  #durable: SegmentEnd

  constructor(file: SegmentFile, end: SegmentEnd, newIn?: string) {
    this.segment = end.segment
    this.#file = file
    this.#written = end
    this.#durable = end
    this.#newIn = newIn
  }

  /** Where the segment ends once everything that was added is in it. */
  get written(): SegmentEnd {
    return this.#written
  }

  /** Where the segment is known to end whatever happens. */
  get durable(): SegmentEnd {
    return this.#durable
  }

  async add(sequence: number, line: string): Promise<void> {
    const bytes = Buffer.byteLength(line) + 1
    this.#waiting.push(line, '\n')
    this.#waitingBytes += bytes
    this.#written = { segment: this.segment, last: sequence, bytes: this.#written.bytes + bytes }
    if (this.#waitingBytes >= flushBytes) await this.#flush()
  }

  /** Resolves when everything that was added is durable. */
  async sync(): Promise<SegmentEnd> {
    if (this.#written === this.#durable) return this.#durable
    await this.#flush()
    await this.#file.sync()
    if (this.#newIn !== undefined) await syncFolder(this.#newIn)
    this.#newIn = undefined
    this.#durable = this.#written
    return this.#durable
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #flush(): Promise<void> {
    let left = Buffer.from(this.#waiting.join(''))
    this.#waiting = []
    this.#waitingBytes = 0
    while (left.length > 0) {
      const { bytesWritten } = await this.#file.write(left)
      if (bytesWritten === 0) throw new Error('the file took no bytes')
      left = left.subarray(bytesWritten)
    }
  }
}

/** Makes a folder, for the owner alone, whose entry is durable in the folders above it. */
export async function durableFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 })
  if (made === undefined) return
  const top = dirname(resolve(made))
  for (let above = dirname(resolve(path)); above.length >= top.length; above = dirname(above)) {
    await syncFolder(above)
    if (above === top) return
  }
}

/** Takes from everybody else the folder that is there already, where it is ours; another's is left as its owner made it. */
export async function keepPrivate(path: string): Promise<void> {
  try {
    const { uid, mode } = await stat(path)
    if (uid === process.geteuid?.() && (mode & 0o777) !== 0o700) await chmod(path, 0o700)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown
  }
}

/** Makes the entries of a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
