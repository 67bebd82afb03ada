import { realDisk, type Disk } from '../../src/archive/disk.ts'

/** What a disk is asked, one after another. */
type Call = 'open' | 'write' | 'sync' | 'link' | 'rename' | 'unlink' | 'syncFolder'

/**
 * A disk that does what it is asked up to a call, and fails from there on as if the process had been killed (`dies`), or
 * fails that one call alone.
 */
export class FailingDisk implements Disk {
  readonly calls: Call[] = []
  readonly #failsAt: number
  readonly #dies: boolean

  constructor(failsAt: number, dies: boolean) {
    this.#failsAt = failsAt
    this.#dies = dies
  }

  readonly open: Disk['open'] = async (path, flags, mode) => {
    this.#ask('open')
    const file = await realDisk.open(path, flags, mode)
    return {
      write: async (bytes) => {
        this.#ask('write')
        return file.write(bytes)
      },
      sync: async () => {
        this.#ask('sync')
        await file.sync()
      },
      close: () => file.close(),
    }
  }

  link(from: string, to: string): Promise<void> {
    return this.#do('link', () => realDisk.link(from, to))
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do('rename', () => realDisk.rename(from, to))
  }

  unlink(path: string): Promise<void> {
    return this.#do('unlink', () => realDisk.unlink(path))
  }

  syncFolder(path: string): Promise<void> {
    return this.#do('syncFolder', () => realDisk.syncFolder(path))
  }

  async #do(call: Call, work: () => Promise<void>): Promise<void> {
    this.#ask(call)
    await work()
  }

  #ask(call: Call): void {
    this.calls.push(call)
    const number = this.calls.length - 1
    if (this.#dies ? number >= this.#failsAt : number === this.#failsAt) {
      throw Object.assign(new Error(`ENOSPC: no space left on device, ${call}`), { code: 'ENOSPC' })
    }
  }
}
