import { Worker } from 'node:worker_threads'
import type { DeliveryOpening, FromDeliveryWorker, ToDeliveryWorker } from './protocol.ts'

/** The thread that delivers, as the main thread sees it. */
export interface DeliveryWorker {
  post(message: ToDeliveryWorker): void
  /** Called with each message of the worker, in order. */
  onMessage(listener: (message: FromDeliveryWorker) => void): void
  /** Called once, when the thread has ended, with the error that ended it, if one did. */
  onExit(listener: (error: Error | undefined) => void): void
  /** Ends the thread wherever it is. */
  terminate(): void
}

export function startDeliveryWorker(opening: DeliveryOpening): DeliveryWorker {
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
    terminate: () => void worker.terminate(),
  }
}
