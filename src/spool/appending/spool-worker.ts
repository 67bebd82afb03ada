import { Worker } from 'node:worker_threads'
import type { FromSpoolWorker, SpoolOpening, ToSpoolWorker } from '../protocol.ts'

/** The thread that owns the spool's file, as the main thread sees it. */
export interface SpoolWorker {
  /** Its first words: `opened`, or `failed`. Never rejects. */
  readonly opened: Promise<FromSpoolWorker>
  /** Resolves when the thread has ended, with what ended it where that was an error. */
  readonly ended: Promise<Error | undefined>
  /** Asks for one thing; one is asked at a time. Never rejects; does not resolve where the thread ends instead. */
  ask(message: ToSpoolWorker): Promise<FromSpoolWorker>
  /** Ends the thread wherever it is; resolves when it has ended. A system call that hangs holds it up. */
  terminate(): Promise<void>
}

export function startSpoolWorker(opening: SpoolOpening): SpoolWorker {
  // The sources run as they are too, without a build: then the worker is TypeScript like this file.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`../file/worker.${extension}`, import.meta.url), { workerData: opening })
  const answer = (): Promise<FromSpoolWorker> => new Promise((resolve) => worker.once('message', resolve))
  return {
    opened: answer(),
    ended: new Promise((resolve) => {
      worker.once('error', resolve)
      worker.once('exit', () => {
        resolve(undefined)
      })
    }),
    ask: (message) => {
      const answered = answer()
      worker.postMessage(message)
      return answered
    },
    terminate: async () => {
      await worker.terminate()
    },
  }
}
