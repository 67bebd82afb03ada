import { CountersignError, type ErrorCode } from '../../src/errors.ts'
import type { FromSpoolWorker, SpoolOpening, ToSpoolWorker } from '../../src/spool/protocol.ts'
import type { SpoolWorker } from '../../src/spool/appending/spool-worker.ts'
import { SpoolStore } from '../../src/spool/file/store.ts'

/** A worker that keeps a real spool, and whose disk stalls, fails or dies as the test says. */
export interface FakeSpoolWorker {
  readonly start: (opening: SpoolOpening) => SpoolWorker
  /** From now on batches with events (or whatever is asked) reach the disk, but nobody hears of it, until `release`. */
  stall(what?: 'events' | 'all'): void
  release(): void
  /** The next batches fail, as the disk says: until `heal` where that may pass, else for as long as this file is used. */
  fail(code: ErrorCode, retryable: boolean): void
  /** The next batch with events reaches the disk, and the file fails for good before anybody hears of it. */
  failAfterNext(code: ErrorCode): void
  /** The spool cannot be opened, until `heal`. */
  refuseOpening(code: ErrorCode): void
  heal(): void
  /** The thread ends by itself. */
  die(): void
  /** Sizes of the batches that reached the disk. */
  readonly batches: number[]
  /** What each thread was started with. */
  readonly openings: SpoolOpening[]
}

export function fakeSpoolWorker(now: () => Date): FakeSpoolWorker {
  const disk = new FakeDisk(now)
  return {
    batches: disk.batches,
    openings: disk.openings,
    start: (opening) => disk.start(opening),
    stall: (what = 'events') => (disk.stalled = what),
    release: () => {
      disk.release()
    },
    fail: (code, retryable) => {
      const failure = faultOf(code, retryable)
      if (retryable) disk.passing = failure
      else disk.current?.break(failure)
    },
    failAfterNext: (code) => (disk.afterNext = faultOf(code, false)),
    refuseOpening: (code) => (disk.closed = faultOf(code, code === 'SPOOL_IN_USE')),
    heal: () => {
      disk.passing = undefined
      disk.closed = undefined
    },
    die: () => {
      disk.current?.die(new Error('the thread is gone'))
    },
  }
}

class FakeDisk {
  readonly batches: number[] = []
  readonly openings: SpoolOpening[] = []
  readonly now: () => Date
  stalled: 'events' | 'all' | undefined
  passing: CountersignError | undefined
  afterNext: CountersignError | undefined
  closed: CountersignError | undefined
  current: FakeThread | undefined
  #held: (() => void)[] = []

  constructor(now: () => Date) {
    this.now = now
  }

  start(opening: SpoolOpening): SpoolWorker {
    this.openings.push(opening)
    this.current = new FakeThread(this, opening)
    return this.current
  }

  /** Runs what tells of a batch, when there is somebody to hear it. */
  tell(message: ToSpoolWorker, told: () => void): void {
    const hasEvents = message.kind === 'append' && message.events.length > 0
    if (this.stalled === 'all' || (this.stalled === 'events' && hasEvents)) this.#held.push(told)
    else told()
  }

  release(): void {
    this.stalled = undefined
    for (const told of this.#held.splice(0)) told()
  }
}

class FakeThread implements SpoolWorker {
  readonly opened: Promise<FromSpoolWorker>
  readonly ended: Promise<Error | undefined>
  readonly #disk: FakeDisk
  readonly #end = Promise.withResolvers<Error | undefined>()
  #store: SpoolStore | undefined
  #broken: CountersignError | undefined

  constructor(disk: FakeDisk, opening: SpoolOpening) {
    this.#disk = disk
    this.ended = this.#end.promise
    this.opened = Promise.resolve(this.#open(opening))
  }

  async ask(message: ToSpoolWorker): Promise<FromSpoolWorker> {
    await new Promise((resolve) => setImmediate(resolve))
    const reply = this.#try(message)
    return new Promise((resolve) => {
      this.#disk.tell(message, () => {
        resolve(reply)
      })
    })
  }

  async terminate(): Promise<void> {
    this.#letGo()
    this.#end.resolve(undefined)
  }

  break(failure: CountersignError): void {
    this.#broken = failure
  }

  die(error: Error): void {
    this.#letGo()
    this.#end.resolve(error)
  }

  #open(opening: SpoolOpening): FromSpoolWorker {
    if (this.#disk.closed !== undefined) return failed(this.#disk.closed)
    try {
      this.#store = new SpoolStore(opening, this.#disk.now)
      return { kind: 'opened', state: this.#store.state(), previous: this.#store.previous }
    } catch (thrown) {
      return failed(thrown as CountersignError)
    }
  }

  #try(message: ToSpoolWorker): FromSpoolWorker {
    try {
      return this.#answer(message)
    } catch (thrown) {
      return failed(thrown as CountersignError)
    }
  }

  #answer(message: ToSpoolWorker): FromSpoolWorker {
    const store = this.#store
    if (message.kind === 'close' || store === undefined) {
      this.#letGo()
      return { kind: 'closed' }
    }
    const failure = this.#broken ?? this.#disk.passing
    if (failure !== undefined) return failed(failure)
    switch (message.kind) {
      case 'append': {
        const first = store.append(message.events, message.cursors)
        this.#disk.batches.push(message.events.length)
        if (message.events.length > 0 && this.#disk.afterNext !== undefined) return this.#breakNow(this.#disk.afterNext)
        return { kind: 'committed', first, state: store.state() }
      }
      case 'check':
        store.check()
        return { kind: 'committed', first: store.state().lastPosition + 1, state: store.state() }
      case 'seal':
        return { kind: 'committed', first: store.seal(message.closedId), state: store.state() }
    }
  }

  #breakNow(failure: CountersignError): FromSpoolWorker {
    this.#disk.afterNext = undefined
    this.#broken = failure
    return failed(failure)
  }

  #letGo(): void {
    this.#store?.close()
    this.#store = undefined
  }
}

function faultOf(code: ErrorCode, retryable: boolean): CountersignError {
  return new CountersignError(code, `the disk says ${code}`, { retryable })
}

function failed({ code, message, retryable }: CountersignError): FromSpoolWorker {
  return { kind: 'failed', code, message, retryable }
}
