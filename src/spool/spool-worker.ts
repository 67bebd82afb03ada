import { Worker } from 'node:worker_threads'
import type { FromSpoolWorker, SpoolOpening, ToSpoolWorker } from './protocol.ts'

/** The thread that owns the spool's file, as the main thread sees it. */
export interface SpoolWorker {
  post(message: ToSpoolWorker): void
  /** Called with each message of the worker, in order. */
  onMessage(listener: (message: FromSpoolWorker) => void): void
  /** Called once, when the thread has ended, with the error that ended it, if one did. */
  onExit(listener: (error: Error | undefined) => void): void
}

export function startSpoolWorker(opening: SpoolOpening): SpoolWorker {
  // The sources run as they are too, without a build: then the worker is TypeScript like this file.
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), { workerData: opening })
  return {
    post: (message) => {
      worker.postMessage(message)
    },
    onMessage: (listener) => worker.on('message', listener),
    onExit: (listener) => {
      let failure: Error | undefined
      worker.on('error', (error: Error) => (failure = error))
      worker.on('exit', () => {
        listener(failure)
      })
    },
  }
}
