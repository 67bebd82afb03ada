import { parentPort, workerData } from 'node:worker_threads'
import { CountersignError, messageOf } from '../errors.ts'
import { openSpoolReader, type SpoolReader } from '../spool/reader.ts'
import { createArchiveSink } from './archive.ts'
import { backoffMs } from './backoff.ts'
import { deliver, type Lane } from './deliver.ts'
import { createKafkaSink } from './kafka/sink.ts'
import type { DeliveryOpening, FromDeliveryWorker, SinkSettings, ToDeliveryWorker } from './protocol.ts'
import type { Sink } from './sink.ts'

// The thread that delivers: one lane per sink, each at its own pace, all reading the spool's file.

const recordsPerRead = 1000
/** A lane looks by itself this often, should it miss that something was appended. */
const idleMs = 1000

const port = parentPort
if (port === null) throw new Error('sinks/worker runs as a worker thread only')

function say(message: FromDeliveryWorker): void {
  port?.postMessage(message)
}

const opening = workerData as DeliveryOpening
/** Lanes that wait for something to read, and lanes that wait for their next try. */
const idle = new Set<() => void>()
const backingOff = new Set<() => void>()
let stopping = false
const spool = openSpool(opening.spoolDir)
const lanes = Object.entries(opening.sinks).map(([name, settings]) => makeLane(name, makeSink(name, settings)))

port.on('message', (message: ToDeliveryWorker) => {
  if (message.kind === 'stop') stop()
  wakeAll(idle)
})

await Promise.all(lanes.map((lane) => deliver(lane)))
spool.close()
port.close()

function openSpool(dir: string): SpoolReader {
  const reader = openSpoolReader(dir)
  if (reader === undefined) throw new CountersignError('SPOOL_FAILED', `there is no spool in ${dir} to deliver from`)
  return reader
}

function makeSink(name: string, settings: SinkSettings): Sink {
  switch (settings.type) {
    case 'archive':
      return createArchiveSink(settings.dir)
    case 'kafka':
      return createKafkaSink(settings, {
        replica: opening.replica,
        log: (level, message, fields = {}) => {
          say({ kind: 'log', level, message, fields: { sink: name, ...fields } })
        },
      })
  }
}

function makeLane(name: string, sink: Sink): Lane {
  const position = spool.cursor(name)
  say({ kind: 'delivered', sink: name, position, records: 0 })
  return {
    name,
    sink,
    position,
    stopped: false,
    read: (after) => spool.after(after, recordsPerRead),
    delivered: (position, records) => {
      say({ kind: 'delivered', sink: name, position, records })
    },
    troubled: (fault) => {
      const code = fault instanceof CountersignError ? fault.code : 'KAFKA_UNAVAILABLE'
      say({ kind: 'troubled', sink: name, code, message: messageOf(fault) })
    },
    moreToRead: () => pause(idleMs, idle),
    nextTry: (failures) => pause(backoffMs(failures), backingOff),
  }
}

function stop(): void {
  for (const lane of lanes) lane.stopped = true
  stopping = true
  wakeAll(backingOff)
}

/** Waits for `ms`, or until `wakeAll`. What must not be woken by an append is woken by a stop alone. */
function pause(ms: number, wakers: Set<() => void>): Promise<void> {
  if (stopping) return Promise.resolve()
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer)
      wakers.delete(wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    wakers.add(wake)
  })
}

function wakeAll(wakers: Set<() => void>): void {
  for (const wake of wakers) wake()
}
