import type { AppendOptions, AuditLog } from '../audit/audit-log.ts'
import type { GapReason } from '../audit/event-data.ts'
import type { AuditEvent } from '../audit/event.ts'
import { encodeEvent, type EncodedEvent } from '../audit/record.ts'
import { CountersignError } from '../errors.ts'
import type { SpoolOpening, SpoolState } from './protocol.ts'
import type { Pending } from './queue.ts'
import { type SpoolWorker, startSpoolWorker } from './spool-worker.ts'
import { gapReasonOf, threadEnded, Writer, type WriterProblem } from './writer.ts'

export interface SpoolSettings {
  /** `strict`: an append resolves when its record is on disk; `best-effort`: at once. */
  readonly mode: 'strict' | 'best-effort'
  /** The longest that an append waits for the disk, in milliseconds. */
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
  readonly problem: WriterProblem | null
  /** Events in memory that wait for the disk. */
  readonly queued: number
}

/** Events in memory may take this much (UTF-16 units); more are refused and counted. */
const maxQueued = 64 * 1024 * 1024

/** The main thread's end of the spool: keeps the promise of `AuditLog`. */
export class Spool implements AuditLog {
  readonly #settings: SpoolSettings
  readonly #writer: Writer

  /** Opens the spool and begins a new trail. Rejects with SPOOL_IN_USE, SPOOL_VERSION, SPOOL_FULL or SPOOL_FAILED. */
  static async open(opening: SpoolOpening, settings: SpoolSettings, context: SpoolContext): Promise<Spool> {
    const worker = (context.startWorker ?? startSpoolWorker)(opening)
    const ended = worker.ended.then((error) => ({ kind: 'failed', ...threadEnded(error), retryable: false }) as const)
    const first = await Promise.race([worker.opened, ended])
    if (first.kind === 'opened') return new Spool(worker, first.state, settings, context)
    if (first.kind === 'failed') throw new CountersignError(first.code, first.message, { retryable: first.retryable })
    throw new CountersignError('SPOOL_FAILED', 'the spool’s thread did not open it')
  }

  private constructor(worker: SpoolWorker, state: SpoolState, settings: SpoolSettings, context: SpoolContext) {
    this.#settings = settings
    this.#writer = new Writer(worker, state, {
      newId: context.newId,
      now: context.now,
      maxBytes: settings.maxBytes,
      onKept: (pending) => {
        if (pending.state === 'taken-late') this.#supersede(pending)
        else settle(pending, true)
      },
      onLost: (pending) => {
        settle(pending, false)
      },
    })
  }

  append(event: AuditEvent, options: AppendOptions = {}): Promise<boolean> {
    const strict = this.#settings.mode === 'strict'
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      this.#writer.miss('decision', refusal, event.time)
      return Promise.resolve(!strict)
    }
    if (!strict) {
      void this.#enqueue('decision', event, undefined)
      return Promise.resolve(true)
    }
    const { ifLate } = options
    const replacement = ifLate && ((superseding: boolean): EncodedEvent => encodeEvent(ifLate(superseding)))
    const withinMs = Math.min(options.withinMs ?? Infinity, this.#settings.deadlineMs)
    return this.#enqueue('decision', event, replacement, { withinMs, gone: options.gone })
  }

  record(event: AuditEvent): Promise<boolean> {
    const refusal = this.#refusal()
    const mayWait = refusal === 'SPOOL_FULL' && this.#writer.queue.characters < maxQueued
    if (refusal === undefined || mayWait) return this.#enqueue('access', event, undefined)
    this.#writer.miss('access', refusal, event.time)
    return Promise.resolve(false)
  }

  /** Takes a sink's progress; the worker writes it with its next batch. */
  advance(sink: string, position: number): void {
    this.#writer.advance(sink, position)
  }

  /** Calls the listener after each commit that appended records, with their number. */
  onCommit(listener: (appended: number) => void): void {
    this.#writer.onCommit(listener)
  }

  status(): SpoolStatus {
    const { state, problem, queue } = this.#writer
    return { ...state, problem: problem ?? this.#writer.overflow, queued: queue.length }
  }

  /** Appends what waits and the trail's last record, `closed`; refuses everything from now on. */
  seal(): Promise<void> {
    return this.#writer.seal()
  }

  /** Writes the last cursors and lets go of the file. */
  close(): Promise<void> {
    return this.#writer.close()
  }

  #enqueue(
    kind: Pending['kind'],
    event: AuditEvent,
    replacement: Pending['replacement'],
    patience?: { readonly withinMs: number; readonly gone: AbortSignal | undefined },
  ): Promise<boolean> {
    const encoded = encodedOrNot(event)
    if (encoded === undefined) {
      this.#writer.miss(kind, 'DEADLINE', event.time)
      return Promise.resolve(false)
    }
    return new Promise((settled) => {
      const { time } = event
      const pending: Pending = {
        event: encoded,
        kind,
        time,
        mayWait: patience === undefined,
        state: 'queued',
        settle: settled,
        replacement,
        timer: undefined,
      }
      this.#writer.push(pending)
      if (patience !== undefined) this.#watch(pending, patience.withinMs, patience.gone)
    })
  }

  /** Nobody waits longer than the deadline, nor for somebody who has gone. */
  #watch(pending: Pending, withinMs: number, gone: AbortSignal | undefined): void {
    const late = (): void => {
      if (pending.settle !== undefined) this.#late(pending)
    }
    if (gone?.aborted === true) {
      late()
      return
    }
    pending.timer = setTimeout(late, Math.max(0, withinMs))
    gone?.addEventListener('abort', late, { once: true })
  }

  /** Why nothing more may be accepted, or undefined. */
  #refusal(): GapReason | undefined {
    const { stopping, problem, queue } = this.#writer
    if (stopping) return 'SHUTDOWN'
    if (problem !== null) return gapReasonOf(problem)
    if (this.#writer.overflow !== null) return 'SPOOL_FULL'
    return queue.characters >= maxQueued ? 'OVERLOADED' : undefined
  }

  /** The deadline has passed: the caller denies, and the record has to say so too. */
  #late(pending: Pending): void {
    settle(pending, false)
    if (pending.state === 'taken') {
      pending.state = 'taken-late'
      return
    }
    if (pending.replacement === undefined) {
      this.#writer.queue.remove(pending)
      this.#writer.miss(pending.kind, 'DEADLINE', pending.time)
      return
    }
    this.#writer.queue.replace(pending, pending.replacement(false))
    pending.mayWait = true
  }

  /** The record became durable although the caller has denied: a second one says what was answered. */
  #supersede(late: Pending): void {
    if (late.replacement === undefined) return
    const event = late.replacement(true)
    const nobody = { settle: undefined, replacement: undefined, timer: undefined }
    this.#writer.push({ ...late, event, state: 'queued', mayWait: true, ...nobody })
  }
}

function settle(pending: Pending, kept: boolean): void {
  clearTimeout(pending.timer)
  pending.settle?.(kept)
  pending.settle = undefined
}

/** An event that is no JSON is a fault of its maker; whoever waits for it must get an answer all the same. */
function encodedOrNot(event: AuditEvent): EncodedEvent | undefined {
  try {
    return encodeEvent(event)
  } catch {
    return undefined
  }
}
