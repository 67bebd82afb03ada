import { Worker } from 'node:worker_threads'
import { CountersignError, type ErrorCode } from '../errors.ts'
import type { DeliveryOpening, FromDeliveryWorker, LogLevel, ToDeliveryWorker } from './protocol.ts'

export interface DeliveryContext {
  /** Called with each step of a sink; the spool keeps it as the sink's cursor. */
  readonly onDelivered: (sink: string, position: number, records: number) => void
  /** Called with each delivery that failed and will be tried again. */
  readonly onTrouble: (sink: string, code: ErrorCode, message: string) => void
  readonly log: (level: LogLevel, message: string, fields: object) => void
}

/** How far a sink has got, and what is wrong with it at the moment. */
export interface LaneStatus {
  readonly position: number
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null
}

/** Delivery to all sinks, in a thread of its own. */
export interface Delivery {
  /** Says that the spool has more. MUST be cheap: it is called after every commit. */
  appended(): void
  status(): ReadonlyMap<string, LaneStatus>
  /** Ends delivery after the batch under way; what is left stays in the spool. */
  stop(): Promise<void>
}

/** Starts delivery from the spool in `opening.spoolDir`, which must be open for writing in this process. */
export function startDelivery(opening: DeliveryOpening, context: DeliveryContext): Delivery {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`./worker.${extension}`, import.meta.url), { workerData: opening })
  const lanes = new Map<string, LaneStatus>(
    Object.keys(opening.sinks).map((name) => [name, { position: 0, problem: null }]),
  )
  const post = (message: ToDeliveryWorker): void => {
    worker.postMessage(message)
  }
  worker.on('message', (message: FromDeliveryWorker) => {
    take(message, lanes, context)
  })
  const ended = new Promise<void>((resolve) => {
    worker.on('error', (error: Error) => {
      fail(error, lanes, context)
    })
    worker.on('exit', () => {
      resolve()
    })
  })
  return {
    appended: () => {
      post({ kind: 'appended' })
    },
    status: () => lanes,
    stop: () => {
      post({ kind: 'stop' })
      return ended
    },
  }
}

function take(message: FromDeliveryWorker, lanes: Map<string, LaneStatus>, context: DeliveryContext): void {
  switch (message.kind) {
    case 'delivered':
      lanes.set(message.sink, { position: message.position, problem: null })
      context.onDelivered(message.sink, message.position, message.records)
      return
    case 'troubled': {
      const { sink, code } = message
      lanes.set(sink, { position: lanes.get(sink)?.position ?? 0, problem: { code, message: message.message } })
      context.onTrouble(sink, code, message.message)
      return
    }
    case 'log':
      context.log(message.level, message.message, message.fields)
      return
    case 'stopped':
      return
  }
}

/** The thread itself ended: nothing is delivered until the next start; the spool keeps everything. */
function fail(error: Error, lanes: Map<string, LaneStatus>, context: DeliveryContext): void {
  const fault = error instanceof CountersignError ? error.code : 'SPOOL_FAILED'
  for (const [sink, { position }] of lanes) {
    lanes.set(sink, { position, problem: { code: fault, message: error.message } })
    context.onTrouble(sink, fault, error.message)
  }
}
