import type { AppendOptions, AuditLog } from '../audit/audit-log.ts'
import { type AuditEvent, type GapReason, trailEvent, type TrailGap } from '../audit/event.ts'
import { encodeEvent, type EncodedEvent } from '../audit/record.ts'
import { CountersignError, type ErrorCode } from '../errors.ts'
import { Gaps } from './gaps.ts'
import type { Cursor, FromSpoolWorker, SpoolOpening, SpoolState } from './protocol.ts'
import { type Pending, Queue } from './queue.ts'
import { type SpoolWorker, startSpoolWorker } from './spool-worker.ts'

export interface SpoolSettings {
  /** `strict`: an append resolves when its record is on disk; `best-effort`: at once. */
  readonly mode: 'strict' | 'best-effort'
  /** How long an append waits for the disk, in milliseconds, where the caller does not say. */
  readonly deadlineMs: number
  /** Records that at least one sink lacks may take this many bytes; then decisions are refused. */
  readonly maxBytes: number
}

export interface SpoolContext {
  readonly newId: () => string
  readonly now: () => Date
  readonly startWorker?: (opening: SpoolOpening) => SpoolWorker
}

/** Whether the spool can append, and what it holds. */
export interface SpoolStatus extends SpoolState {
  /** Why it cannot append at the moment, or null. */
  readonly problem: { readonly code: ErrorCode; readonly message: string } | null
  /** Events in memory that wait for the disk. */
  readonly queued: number
}

/** Events in memory may take this much (UTF-16 units); more are refused and counted. */
const maxQueued = 64 * 1024 * 1024
const retryMs = 250
/** Cursors that no batch carries are written by themselves after this long. */
const cursorMs = 200

/** What the worker is writing. */
interface Batch {
  readonly pending: readonly Pending[]
  readonly gaps: readonly TrailGap[]
  readonly cursors: readonly Cursor[]
}

type Phase = 'open' | 'failing' | 'failed' | 'sealing' | 'sealed'

/**
 * The main thread's end of the spool: implements the promise of `AuditLog`. Events gather while a batch is under way and
 * go to the worker together; one batch is under way at a time.
 */
export class Spool implements AuditLog {
  readonly #settings: SpoolSettings
  readonly #context: SpoolContext
  readonly #worker: SpoolWorker
  readonly #queue = new Queue()
  readonly #gaps = new Gaps()
  readonly #cursors = new Map<string, number>()
  readonly #commitListeners: ((appended: number) => void)[] = []
  #state: SpoolState
  #phase: Phase = 'open'
  #problem: SpoolStatus['problem'] = null
  #batch: Batch | undefined
  #flushScheduled = false
  #cursorTimer: NodeJS.Timeout | undefined
  /** Answers the control message under way (`seal`, `close`). */
  #answered: ((message: FromSpoolWorker) => void) | undefined
  #drained: (() => void) | undefined

  /** Opens the spool and begins a new trail. Rejects with SPOOL_IN_USE, SPOOL_VERSION, SPOOL_FULL or SPOOL_FAILED. */
  static open(opening: SpoolOpening, settings: SpoolSettings, context: SpoolContext): Promise<Spool> {
    const worker = (context.startWorker ?? startSpoolWorker)(opening)
    return new Promise((resolve, reject) => {
      let spool: Spool | undefined
      worker.onMessage((message) => {
        if (spool !== undefined) spool.#receive(message)
        else if (message.kind === 'opened') resolve((spool = new Spool(worker, message.state, settings, context)))
        else reject(openingFault(message))
      })
      worker.onExit((error) => {
        const message = `the spool’s thread ended${error === undefined ? '' : `: ${error.message}`}`
        if (spool === undefined) reject(new CountersignError('SPOOL_FAILED', message, { cause: error }))
        else spool.#fail('SPOOL_FAILED', message)
      })
    })
  }

  private constructor(worker: SpoolWorker, state: SpoolState, settings: SpoolSettings, context: SpoolContext) {
    this.#worker = worker
    this.#state = state
    this.#settings = settings
    this.#context = context
  }

  append(event: AuditEvent, options: AppendOptions = {}): Promise<boolean> {
    const strict = this.#settings.mode === 'strict'
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      this.#miss('decision', refusal, event.time)
      return Promise.resolve(!strict)
    }
    if (!strict) {
      void this.#enqueue('decision', event, undefined)
      return Promise.resolve(true)
    }
    const { ifLate } = options
    const replacement = ifLate && ((superseding: boolean): EncodedEvent => encodeEvent(ifLate(superseding)))
    const withinMs = Math.min(options.withinMs ?? Infinity, this.#settings.deadlineMs)
    return this.#enqueue('decision', event, replacement, withinMs)
  }

  record(event: AuditEvent): Promise<boolean> {
    const refusal = this.#refusal()
    const mayWait = refusal === 'SPOOL_FULL' && this.#queue.characters < maxQueued
    if (refusal !== undefined && !mayWait) {
      this.#miss('access', refusal, event.time)
      return Promise.resolve(false)
    }
    return this.#enqueue('access', event, undefined)
  }

  /** Takes a sink's progress; the worker writes it with its next batch. */
  advance(sink: string, position: number): void {
    this.#cursors.set(sink, position)
    this.#cursorTimer ??= setTimeout(() => {
      this.#cursorTimer = undefined
      this.#flush()
    }, cursorMs)
  }

  /** Calls the listener after each commit that appended records, with their number. */
  onCommit(listener: (appended: number) => void): void {
    this.#commitListeners.push(listener)
  }

  status(): SpoolStatus {
    return { ...this.#state, problem: this.#problem ?? this.#fullProblem(), queued: this.#queue.length }
  }

  /** Appends what waits and the trail's last record, `closed`; refuses everything from now on. */
  async seal(): Promise<void> {
    if (this.#phase === 'failed' || this.#phase === 'failing') return
    this.#phase = 'sealing'
    await this.#drain()
    if (!this.#is('sealing')) return
    await this.#ask({ kind: 'seal', closedId: this.#context.newId() })
    this.#phase = 'sealed'
    this.#tellAppended(1)
  }

  /** Writes the last cursors and lets go of the file. */
  async close(): Promise<void> {
    clearTimeout(this.#cursorTimer)
    if (this.#is('failed')) return
    await this.#drain()
    await this.#ask({ kind: 'close' })
  }

  #enqueue(
    kind: Pending['kind'],
    event: AuditEvent,
    replacement: Pending['replacement'],
    withinMs?: number,
  ): Promise<boolean> {
    const encoded = encodedOrNot(event)
    if (encoded === undefined) {
      this.#miss(kind, 'DEADLINE', event.time)
      return Promise.resolve(false)
    }
    return new Promise((settle) => {
      const pending: Pending = {
        event: encoded,
        kind,
        time: event.time,
        state: 'queued',
        settle,
        replacement,
        timer: undefined,
      }
      if (withinMs !== undefined) pending.timer = setTimeout(() => this.#late(pending), Math.max(0, withinMs))
      this.#queue.push(pending)
      this.#schedule()
    })
  }

  /** Why nothing more may be accepted, or undefined. */
  #refusal(): GapReason | undefined {
    if (this.#phase === 'sealing' || this.#phase === 'sealed') return 'SHUTDOWN'
    if (this.#problem !== null) return this.#problem.code === 'SPOOL_FULL' ? 'SPOOL_FULL' : 'SPOOL_DAMAGED'
    if (this.#fullProblem() !== null) return 'SPOOL_FULL'
    return this.#queue.characters >= maxQueued ? 'OVERLOADED' : undefined
  }

  #fullProblem(): SpoolStatus['problem'] {
    const { waitingBytes } = this.#state
    if (waitingBytes < this.#settings.maxBytes) return null
    return {
      code: 'SPOOL_FULL',
      message: `${waitingBytes} bytes wait for a sink; spool.maxBytes allows ${this.#settings.maxBytes}`,
    }
  }

  #miss(of: 'decision' | 'access', reason: GapReason, time: Date): void {
    this.#gaps.add(of, reason, time)
    if (this.#phase === 'open') this.#schedule()
  }

  /** The deadline has passed: the caller denies, and the record has to say so too. */
  #late(pending: Pending): void {
    this.#settle(pending, false)
    if (pending.state === 'taken') {
      pending.state = 'taken-late'
      return
    }
    if (pending.replacement === undefined) {
      this.#queue.remove(pending)
      this.#miss(pending.kind, 'DEADLINE', pending.time)
      return
    }
    this.#queue.replace(pending, pending.replacement(false))
  }

  #settle(pending: Pending, kept: boolean): void {
    clearTimeout(pending.timer)
    pending.settle?.(kept)
    pending.settle = undefined
  }

  #schedule(): void {
    if (this.#flushScheduled || this.#batch !== undefined) return
    this.#flushScheduled = true
    // What the same turn of the event loop brings shares one transaction.
    setImmediate(() => {
      this.#flushScheduled = false
      if (this.#phase !== 'failing') this.#flush()
    })
  }

  #flush(): void {
    if (this.#batch !== undefined || this.#answered !== undefined || this.#phase === 'failed') return
    const pending = this.#queue.take()
    const gaps = this.#phase === 'sealed' ? [] : this.#gaps.take()
    if (pending.length === 0 && gaps.length === 0 && this.#cursors.size === 0) {
      this.#drained?.()
      return
    }
    const events = [...gaps.map((gap) => this.#gapEvent(gap)), ...pending.map(({ event }) => event)]
    const cursors = [...this.#cursors].map(([sink, position]) => ({ sink, position }))
    this.#cursors.clear()
    this.#batch = { pending, gaps, cursors }
    this.#worker.post({ kind: 'append', events, cursors })
  }

  #gapEvent(gap: TrailGap): EncodedEvent {
    return encodeEvent(trailEvent(this.#context.newId(), this.#context.now(), gap))
  }

  #receive(message: FromSpoolWorker): void {
    if (message.kind === 'committed') this.#state = message.state
    const answered = this.#answered
    if (answered !== undefined) {
      this.#answered = undefined
      answered(message)
      return
    }
    if (message.kind === 'committed') this.#committed()
    if (message.kind === 'failed') this.#failed(message)
  }

  #committed(): void {
    const batch = this.#batch
    this.#batch = undefined
    if (this.#phase === 'failing') this.#phase = 'open'
    if (this.#phase === 'open') this.#problem = null
    for (const pending of batch?.pending ?? []) {
      if (pending.state === 'taken-late') this.#supersede(pending)
      else this.#settle(pending, true)
    }
    const appended = (batch?.pending.length ?? 0) + (batch?.gaps.length ?? 0)
    if (appended > 0) this.#tellAppended(appended)
    this.#flush()
  }

  /** The record became durable although the caller has denied: a second one says what was answered. */
  #supersede(late: Pending): void {
    if (late.replacement === undefined) return
    const event = late.replacement(true)
    this.#queue.push({ ...late, event, state: 'queued', settle: undefined, replacement: undefined, timer: undefined })
  }

  #failed(message: Extract<FromSpoolWorker, { kind: 'failed' }>): void {
    const batch = this.#batch
    this.#batch = undefined
    if (!message.retryable) {
      this.#discard(batch?.pending ?? [], 'SPOOL_DAMAGED')
      this.#fail(message.code, message.message)
      return
    }
    this.#problem = { code: message.code, message: message.message }
    if (this.#phase === 'open') this.#phase = 'failing'
    this.#gaps.restore(batch?.gaps ?? [])
    for (const { sink, position } of batch?.cursors ?? []) {
      if (!this.#cursors.has(sink)) this.#cursors.set(sink, position)
    }
    this.#discard(batch?.pending.filter(({ kind }) => kind === 'decision') ?? [], 'SPOOL_FULL')
    this.#queue.giveBack(batch?.pending.filter(({ kind }) => kind === 'access') ?? [])
    setTimeout(() => {
      this.#flush()
    }, retryMs)
  }

  /** Nothing more can be written to this file. */
  #fail(code: ErrorCode, message: string): void {
    if (this.#phase === 'sealed' || this.#phase === 'failed') return
    this.#phase = 'failed'
    this.#problem = { code, message }
    this.#discard([...(this.#batch?.pending ?? []), ...this.#queue.clear()], 'SPOOL_DAMAGED')
    this.#batch = undefined
    this.#drained?.()
    this.#answered?.({ kind: 'failed', code, message, retryable: false })
  }

  #discard(pending: readonly Pending[], reason: GapReason): void {
    for (const one of pending) {
      this.#gaps.add(one.kind, reason, one.time)
      this.#settle(one, false)
    }
  }

  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = (): void => {
        this.#drained = undefined
        resolve()
      }
      this.#flush()
    })
  }

  #ask(message: { kind: 'seal'; closedId: string } | { kind: 'close' }): Promise<FromSpoolWorker> {
    return new Promise((resolve) => {
      this.#answered = resolve
      this.#worker.post(message)
    })
  }

  #tellAppended(records: number): void {
    for (const listener of this.#commitListeners) listener(records)
  }

  #is(phase: Phase): boolean {
    return this.#phase === phase
  }
}

/** An event that is no JSON is a fault of its maker; whoever waits for it must get an answer all the same. */
function encodedOrNot(event: AuditEvent): EncodedEvent | undefined {
  try {
    return encodeEvent(event)
  } catch {
    return undefined
  }
}

function openingFault(message: FromSpoolWorker): CountersignError {
  if (message.kind !== 'failed') return new CountersignError('SPOOL_FAILED', 'the spool’s thread did not open it')
  return new CountersignError(message.code, message.message, { retryable: message.retryable })
}
