import { setTimeout as sleep } from 'node:timers/promises'

/** The access-log streams that are open: endless by their nature, so somebody has to end them. */
export class LogStreams {
  readonly #open = new Map<Promise<void>, () => void>()

  /** Takes a stream, with what answers it; it is answered once, when it has been read to its end or when all are ended. */
  add(received: Promise<void>, answer: () => void): void {
    this.#open.set(received, answer)
    void received.then(() => {
      if (this.#open.delete(received)) answer()
    })
  }

  /** Answers all, and waits up to `graceMs` until what they brought has been dealt with. */
  async end(graceMs: number): Promise<void> {
    const received = [...this.#open.keys()]
    for (const answer of this.#open.values()) answer()
    this.#open.clear()
    const done = new AbortController()
    await Promise.race([
      Promise.all(received),
      sleep(graceMs, undefined, { signal: done.signal }).catch(() => undefined),
    ])
    done.abort()
  }
}
