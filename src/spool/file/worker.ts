import { parentPort, workerData } from 'node:worker_threads'
import { messageOf } from '../../errors.ts'
import { createIds } from '../../ids.ts'
import { spoolFault } from './faults.ts'
import type { FromSpoolWorker, SpoolOpening, ToSpoolWorker } from '../protocol.ts'
import { SpoolStore } from './store.ts'

// The thread that owns the spool's file. It answers each message with one message, in order, and never throws.

const port = parentPort
if (port === null) throw new Error('spool/worker runs as a worker thread only')

function say(message: FromSpoolWorker): void {
  port?.postMessage(message)
}

function sayFault(doing: string, thrown: unknown): void {
  const { code, retryable } = spoolFault(doing, thrown)
  say({ kind: 'failed', code, message: messageOf(thrown), retryable })
}

try {
  const [now, elapsedMs] = [() => new Date(), () => performance.now()]
  const store = new SpoolStore(workerData as SpoolOpening, now, createIds(), elapsedMs)
  say({ kind: 'opened', state: store.state(), previous: store.previous })
  port.on('message', (message: ToSpoolWorker) => {
    try {
      answer(store, message)
    } catch (thrown) {
      sayFault('cannot write to the spool', thrown)
    }
  })
} catch (thrown) {
  sayFault('cannot open the spool', thrown)
  port.close()
}

function answer(store: SpoolStore, message: ToSpoolWorker): void {
  switch (message.kind) {
    case 'append':
      say({ kind: 'committed', first: store.append(message.events, message.cursors), state: store.state() })
      return
    case 'check':
      store.check()
      say({ kind: 'committed', first: store.state().lastPosition + 1, state: store.state() })
      return
    case 'seal':
      say({ kind: 'committed', first: store.seal(message.closedId), state: store.state() })
      return
    case 'close':
      store.close()
      say({ kind: 'closed' })
      port?.close()
      return
  }
}
