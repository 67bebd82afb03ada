import { parentPort, workerData } from 'node:worker_threads'
import { CountersignError, messageOf } from '../errors.ts'
import { openDeliveryReader, type SpoolReader } from '../spool/reader.ts'
import { createArchiveSink } from './archive.ts'
import { backoffMs } from './backoff.ts'
import { createCheckpointFile } from './checkpoint-file.ts'
import { deliver, type Lane } from './deliver.ts'
import { readExcerpt, type Wanted } from './excerpt.ts'
import { createKafkaSink } from './kafka/sink.ts'
import type { DeliveryOpening, FromDeliveryWorker, SinkSettings, ToDeliveryWorker } from './protocol.ts'
import type { Sink } from './sink.ts'

// The thread that delivers: one lane per sink, each at its own pace, all reading the spool's file.

/** A lane looks by itself this often, should it miss that something was appended. */
const idleMs = 1000
/** A lane that wants few records looks this often, and is not woken for the others. */
const fewIdleMs = 250
/** How often a lane that went back looks whether the spool has kept that. */
const rewindPollMs = 20

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
let { file } = opening
let spool = openSpool(opening.spoolDir)
const lanes = Object.entries(opening.sinks).map(([name, settings]) => makeLane(name, settings))

port.on('message', (message: ToDeliveryWorker) => {
  if (message.kind === 'stop') stop()
  if (message.kind === 'reopen') reopen(message.file)
  wakeAll(idle)
})

await Promise.all(lanes.map((lane) => deliver(lane)))
spool.close()
port.close()

function openSpool(dir: string): SpoolReader {
  const reader = openDeliveryReader(dir)
  if (reader === undefined) throw new CountersignError('SPOOL_FAILED', `there is no spool in ${dir} to deliver from`)
  return reader
}

/** Another file has taken the place of the one that was read: each lane goes on from what that knows of it. */
function reopen(number: number): void {
  spool.close()
  spool = openSpool(opening.spoolDir)
  file = number
  for (const lane of lanes) {
    const { position, mark } = spool.cursor(lane.name)
    lane.file = file
    lane.position = Math.min(lane.position, position)
    say({ kind: 'delivered', sink: lane.name, file, position: lane.position, records: 0, mark })
  }
  wakeAll(backingOff)
}

function makeSink(name: string, settings: SinkSettings, mark: string | null): Sink {
  switch (settings.type) {
    case 'archive':
      return createArchiveSink(settings.dir, {
        sealing: {
          ...(settings.sealAfterMs === undefined ? {} : { afterMs: settings.sealAfterMs }),
          log: (level, message, fields) => {
            say({ kind: 'log', level, message, fields: { sink: name, ...fields } })
          },
        },
      })
    case 'checkpoint-file':
      return createCheckpointFile(settings.file)
    case 'kafka':
      return createKafkaSink(settings, {
        replica: opening.replica,
        mark,
        topicProblems: (problems) => {
          say({ kind: 'topic', sink: name, problems })
        },
        log: (level, message, fields = {}) => {
          say({ kind: 'log', level, message, fields: { sink: name, ...fields } })
        },
      })
  }
}

function makeLane(name: string, settings: SinkSettings): Lane {
  const { position, mark } = spool.cursor(name)
  const wanted = wantedBy(settings)
  say({ kind: 'delivered', sink: name, file, position, records: 0, mark })
  const lane: Lane = {
    name,
    sink: makeSink(name, settings, mark),
    position,
    file,
    lost: undefined,
    stopped: false,
    read: (after) => readExcerpt((from, limit) => spool.after(from, limit), after, wanted),
    delivered: (upTo, records, newMark) => {
      say({ kind: 'delivered', sink: name, file, position: upTo, records, mark: newMark })
    },
    goBack: (lost) => goBack(lane, lost),
    troubled: (fault) => {
      const code = fault instanceof CountersignError ? fault.code : 'KAFKA_UNAVAILABLE'
      say({ kind: 'troubled', sink: name, code, message: messageOf(fault) })
    },
    moreToRead: () => (wanted === 'all' ? pause(idleMs, idle) : pause(fewIdleMs, backingOff)),
    nextTry: (failures) => pause(backoffMs(failures), backingOff),
  }
  return lane
}

function wantedBy(settings: SinkSettings): Wanted {
  if (settings.type === 'checkpoint-file') return 'checkpoints'
  return settings.type === 'kafka' ? (settings.records ?? 'all') : 'all'
}

async function goBack(lane: Lane, lost: string): Promise<number> {
  for (;;) {
    const told = file
    const before = sayRewound(lane, lost)
    while (!stopping && file === told && spool.cursor(lane.name).position > before)
      await pause(rewindPollMs, backingOff)
    // Another file has not heard of it.
    if (stopping || file === told) return before
  }
}

function sayRewound({ name, position }: Lane, lost: string): number {
  const oldest = spool.after(0, 1)[0]?.position ?? position + 1
  const before = Math.min(position, oldest - 1)
  const replayed = oldest > position ? 'the spool has none of them any more' : 'what the spool still has is sent again'
  say({ kind: 'rewound', sink: name, file, position: before, upTo: position, message: `${lost}; ${replayed}` })
  return before
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
