import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import { realDisk, type Disk } from './disk.ts'
import { isSealed, segmentPath, type Segment } from './layout.ts'
import { listSegments } from './list.ts'
import { sealSegment } from './seal.ts'

export interface SealingOptions {
  /** Age from which an open segment is sealed with the next record, in milliseconds. Default one hour. */
  readonly afterMs?: number
  /** How long sealing waits after a fault, in milliseconds. Default one minute. */
  readonly retryMs?: number
  readonly log?: (level: 'info' | 'warn', message: string, fields: object) => void
  readonly disk?: Disk
}

const defaultRetryMs = 60_000

/**
 * Seals segments in the background, one at a time, each until it is sealed or cannot be: a full disk makes it wait. What is
 * given to it MUST NOT be added to any more.
 */
export class Sealer {
  readonly #dir: string
  readonly #disk: Disk
  readonly #retryMs: number
  readonly #log: NonNullable<SealingOptions['log']>
  readonly #waiting = new Map<string, Segment>()
  readonly #stop = new AbortController()
  #work: Promise<void> | undefined

  constructor(dir: string, { disk = realDisk, retryMs = defaultRetryMs, log = () => undefined }: SealingOptions) {
    this.#dir = dir
    this.#disk = disk
    this.#retryMs = retryMs
    this.#log = log
  }

  add(segment: Segment): void {
    this.#waiting.set(segmentPath(segment), segment)
    this.#work ??= this.#run().finally(() => (this.#work = undefined))
  }

  /** Seals what the archive holds open of other trails than those in use; `release` is called with each trail first. */
  async sweep(release: (trail: string) => Promise<boolean>): Promise<void> {
    try {
      const { segments } = await listSegments(this.#dir)
      const trails = new Set(segments.filter((segment) => !isSealed(segment)).map(({ trail }) => trail))
      for (const trail of trails) {
        if (this.#isStopped()) return
        if (await release(trail)) await this.addTrail(trail)
      }
    } catch (fault) {
      this.#log('warn', 'segments that an earlier run left open could not be looked for', { problem: messageOf(fault) })
    }
  }

  /** Seals what the archive holds open of one trail. */
  async addTrail(trail: string): Promise<void> {
    for (const segment of (await listSegments(this.#dir)).segments) {
      if (segment.trail === trail && !isSealed(segment)) this.add(segment)
    }
  }

  /** Gives up what is under way; it stays open. */
  async stop(): Promise<void> {
    this.#stop.abort()
    this.#waiting.clear()
    await this.#work
  }

  #isStopped(): boolean {
    return this.#stop.signal.aborted
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    while (!this.#isStopped()) {
      const [next] = this.#waiting
      if (next === undefined) return
      const [path, segment] = next
      try {
        const sealing = await sealSegment(this.#dir, segment, this.#disk, signal)
        if (sealing.kind === 'left') {
          this.#log('warn', 'a segment cannot be sealed and stays open', { segment: path, problem: sealing.problem })
        }
        this.#waiting.delete(path)
      } catch (fault) {
        if (this.#isStopped()) return
        const fields = { code: 'ARCHIVE_UNWRITABLE', segment: path, problem: messageOf(fault) }
        this.#log('warn', 'a segment could not be sealed and will be tried again', fields)
        await sleep(this.#retryMs, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
  }
}
