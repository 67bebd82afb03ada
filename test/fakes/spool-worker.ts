import { CountersignError, type ErrorCode } from '../../src/errors.ts'
import type { FromSpoolWorker, SpoolOpening, ToSpoolWorker } from '../../src/spool/protocol.ts'
import type { SpoolWorker } from '../../src/spool/spool-worker.ts'
import { SpoolStore } from '../../src/spool/store.ts'

/** A worker that keeps a real spool, and whose disk stalls, fails or dies as the test says. */
export interface FakeSpoolWorker {
  readonly start: (opening: SpoolOpening) => SpoolWorker
  /** From now on batches reach the disk, but nobody hears of it, until `release`. */
  stall(): void
  release(): void
  /** The next batches fail, as the disk says, until `heal`. */
  fail(code: ErrorCode, retryable: boolean): void
  heal(): void
  /** The thread ends by itself. */
  die(): void
  /** Sizes of the batches that reached the disk. */
  readonly batches: number[]
}

export function fakeSpoolWorker(now: () => Date): FakeSpoolWorker {
  let failure: CountersignError | undefined
  let stalled = false
  let held: (() => void)[] = []
  const batches: number[] = []
  const end = Promise.withResolvers<Error | undefined>()

  const answer = (store: SpoolStore, message: ToSpoolWorker): FromSpoolWorker => {
    if (failure !== undefined && message.kind !== 'close') {
      const { code, message: text, retryable } = failure
      return { kind: 'failed', code, message: text, retryable }
    }
    switch (message.kind) {
      case 'append': {
        const first = store.append(message.events, message.cursors)
        batches.push(message.events.length)
        return { kind: 'committed', first, state: store.state() }
      }
      case 'check':
        store.check()
        return { kind: 'committed', first: store.state().lastPosition + 1, state: store.state() }
      case 'seal':
        return { kind: 'committed', first: store.seal(message.closedId), state: store.state() }
      case 'close':
        store.close()
        return { kind: 'closed' }
    }
  }

  return {
    batches,
    start: (opening) => {
      const store = new SpoolStore(opening, now)
      return {
        opened: Promise.resolve({ kind: 'opened', state: store.state() }),
        ended: end.promise,
        ask: (message) =>
          new Promise((resolve) => {
            setImmediate(() => {
              const reply = answer(store, message)
              const tell = (): void => {
                resolve(reply)
              }
              if (stalled) held.push(tell)
              else tell()
            })
          }),
      }
    },
    stall: () => (stalled = true),
    release: () => {
      stalled = false
      for (const tell of held) tell()
      held = []
    },
    fail: (code, retryable) => (failure = new CountersignError(code, `the disk says ${code}`, { retryable })),
    heal: () => (failure = undefined),
    die: () => {
      end.resolve(new Error('the thread is gone'))
    },
  }
}
