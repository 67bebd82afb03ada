import type { ErrorCode } from '../errors.ts'
import type { Cursor } from '../spool/protocol.ts'
import { type DeliveryWorker, startDeliveryWorker } from './delivery-worker.ts'
import type { DeliveryOpening, FromDeliveryWorker, LogLevel } from './protocol.ts'

export interface DeliveryContext {
  /** Called with each step of a sink; the spool keeps it as the sink's cursor, with the sink's own mark. */
  readonly onDelivered: (cursor: Cursor, records: number) => void
  /** Called when a sink lost records that it had taken. The spool MUST take the cursor back: delivery waits for that. */
  readonly onRewound: (cursor: Cursor, message: string) => void
  /** Called with each delivery that failed and will be tried again. */
  readonly onTrouble: (sink: string, code: ErrorCode, message: string) => void
  readonly log: (level: LogLevel, message: string, fields: object) => void
  readonly startWorker?: (opening: DeliveryOpening) => DeliveryWorker
  /** How long a stop lets the batches under way end by themselves; where one is cut off, it is delivered again at the next start. Default 3,000. */
  readonly lastBatchMs?: number
}

/** How far a sink has got, and what is wrong with it at the moment. */
export interface LaneStatus {
  readonly position: number
  readonly problem: LaneProblem | null
  /** What is not as it should be with its topic, as last seen. */
  readonly topicProblems: readonly string[]
}

export interface LaneProblem {
  readonly code: ErrorCode
  readonly message: string
}

/** What a lane delivers again, because the sink lost it. */
interface Replay {
  readonly upTo: number
  readonly problem: LaneProblem
}

/** Delivery to all sinks, in a thread of its own, which is started again should it end by itself. */
export interface Delivery {
  /** Says that the spool has more. MUST be cheap: it is called after every commit. */
  appended(): void
  /** Says that another file has taken the place of the spool's, and has to be read from now on. */
  reopen(): void
  status(): ReadonlyMap<string, LaneStatus>
  /**
   * Waits until every sink has the records up to `position`, at most `withinMs`, and ends delivery. What is left stays in the
   * spool. MUST resolve in bounded time, also where a sink hangs.
   */
  stop(position: number, withinMs: number): Promise<void>
}

type Message<Kind> = Extract<FromDeliveryWorker, { kind: Kind }>

const defaultLastBatchMs = 3000
const restartMs = 1000
const laneAtStart: LaneStatus = { position: 0, problem: null, topicProblems: [] }

/** Starts delivery from the spool in `opening.spoolDir`, which must be open for writing in this process. */
export function startDelivery(opening: Omit<DeliveryOpening, 'file'>, context: DeliveryContext): Delivery {
  return new DeliveryThread(opening, context)
}

class DeliveryThread implements Delivery {
  readonly #opening: Omit<DeliveryOpening, 'file'>
  readonly #context: DeliveryContext
  readonly #lanes: Map<string, LaneStatus>
  readonly #replays = new Map<string, Replay>()
  #worker: DeliveryWorker
  /** Number of the spool's file, of all that it had in this process. */
  #file = 0
  #running = true
  #stopping = false
  #restart: NodeJS.Timeout | undefined
  /** Told of each step while somebody waits for one. */
  #changed: (() => void) | undefined

  constructor(opening: Omit<DeliveryOpening, 'file'>, context: DeliveryContext) {
    this.#opening = opening
    this.#context = context
    this.#lanes = new Map(Object.keys(opening.sinks).map((name) => [name, laneAtStart]))
    this.#worker = this.#start()
  }

  appended(): void {
    this.#worker.post({ kind: 'appended' })
  }

  reopen(): void {
    this.#file += 1
    // How far each sink is in this file is not known before the thread has looked.
    for (const sink of this.#lanes.keys()) this.#set(sink, { position: 0 })
    this.#worker.post({ kind: 'reopen', file: this.#file })
  }

  status(): ReadonlyMap<string, LaneStatus> {
    return this.#lanes
  }

  async stop(position: number, withinMs: number): Promise<void> {
    const delivered = (): boolean => [...this.#lanes.values()].every((lane) => lane.position >= position)
    await this.#until(delivered, withinMs)
    this.#stopping = true
    clearTimeout(this.#restart)
    this.#worker.post({ kind: 'stop' })
    await this.#until(() => !this.#running, this.#context.lastBatchMs ?? defaultLastBatchMs)
    if (this.#running) this.#worker.terminate()
  }

  #start(): DeliveryWorker {
    const worker = (this.#context.startWorker ?? startDeliveryWorker)({ ...this.#opening, file: this.#file })
    this.#running = true
    worker.onMessage((message) => {
      this.#take(message)
      this.#changed?.()
    })
    worker.onExit((error) => {
      this.#ended(error)
      this.#changed?.()
    })
    return worker
  }

  #take(message: FromDeliveryWorker): void {
    switch (message.kind) {
      case 'delivered':
        if (message.file === this.#file) this.#step(message)
        return
      case 'rewound':
        if (message.file === this.#file) this.#rewind(message)
        return
      case 'topic':
        this.#set(message.sink, { topicProblems: message.problems })
        return
      case 'troubled':
        this.#trouble(message.sink, message.code, message.message)
        return
      case 'log':
        this.#context.log(message.level, message.message, message.fields)
        return
    }
  }

  #step({ sink, position, mark, records }: Message<'delivered'>): void {
    const replay = this.#replays.get(sink)
    if (replay !== undefined && position >= replay.upTo) this.#replays.delete(sink)
    this.#set(sink, { position, problem: this.#replays.get(sink)?.problem ?? null })
    this.#context.onDelivered({ sink, position, mark, rewound: false }, records)
  }

  #rewind({ sink, position, upTo, message }: Message<'rewound'>): void {
    const problem: LaneProblem = { code: 'SINK_LOST_RECORDS', message }
    const until = Math.max(upTo, this.#replays.get(sink)?.upTo ?? 0)
    if (until > position) this.#replays.set(sink, { upTo: until, problem })
    this.#set(sink, { position, problem })
    this.#context.onRewound({ sink, position, mark: null, rewound: true }, message)
  }

  #trouble(sink: string, code: ErrorCode, message: string): void {
    this.#set(sink, { problem: { code, message } })
    this.#context.onTrouble(sink, code, message)
  }

  #set(sink: string, changed: Partial<LaneStatus>): void {
    this.#lanes.set(sink, { ...(this.#lanes.get(sink) ?? laneAtStart), ...changed })
  }

  /** Every lane goes on from its cursor; until then nothing is delivered, and the spool keeps everything. */
  #ended(error: Error | undefined): void {
    this.#running = false
    if (this.#stopping) return
    const why = error === undefined ? '' : `: ${error.message}`
    for (const sink of this.#lanes.keys()) this.#trouble(sink, 'SPOOL_FAILED', `the delivery thread ended${why}`)
    this.#restart = setTimeout(() => {
      this.#worker = this.#start()
    }, restartMs)
  }

  #until(holds: () => boolean, withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, withinMs)
      this.#changed = (): void => {
        if (!holds()) return
        clearTimeout(timer)
        resolve()
      }
      this.#changed()
    })
  }
}
