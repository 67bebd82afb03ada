import type { AppendOptions, AuditLog } from '../audit/audit-log.ts'
import type { GapReason } from '../audit/event-data.ts'
import type { AuditEvent } from '../audit/event.ts'
import { encodeEvent, type EncodedEvent } from '../audit/record.ts'
import { Acknowledgements } from './appending/acknowledgements.ts'
import type { OnMissed } from './appending/gaps.ts'
import { OpenedSpool, type StartWorker } from './appending/opened.ts'
import { encodedOrNot, type Pending, settle, superseding } from './appending/pending.ts'
import { gapReasonOf, overflowOf, type SpoolProblem, stalled, unacknowledged } from './appending/problem.ts'
import type { Cursor, SpoolOpening, SpoolState } from './protocol.ts'
import { Reopening, type ReopeningStep } from './appending/reopening.ts'
import { Room } from './appending/room.ts'
import { Writer } from './appending/writer.ts'

export interface SpoolSettings {
  /** `strict`: an append resolves when its record is durable; `best-effort`: at once. */
  readonly mode: 'strict' | 'best-effort'
  /** Sinks that have to have a decision's record, too, before it counts as durable. None, the default: the disk is enough. */
  readonly requiredSinks?: readonly string[]
  /** The longest that an append waits, in milliseconds. */
  readonly deadlineMs: number
  /** Records that at least one sink lacks may take this many bytes; then the spool is full. */
  readonly maxBytes: number
  /**
   * While the spool, or its disk, is full. `deny`, the default: decisions are refused, access events wait. `drop-newest`: access events are
   * dropped, and decisions too where nobody waits for their records (`best-effort`); what is dropped is counted.
   */
  readonly whenFull?: 'deny' | 'drop-newest'
}

export interface SpoolContext {
  readonly newId: () => string
  readonly now: () => Date
  readonly startWorker?: StartWorker
  /** Told of each event that will have no record; a gap counts it. */
  readonly onMissed?: OnMissed
  /** Told of a file that was lost, and of what is done about it. */
  readonly onReopening?: (step: ReopeningStep) => void
}

/** Whether the spool can append, and what it holds. */
export interface SpoolStatus extends SpoolState {
  /** Why records cannot be had, or not in time, at the moment; or null. */
  readonly problem: SpoolProblem | null
  /** Events in memory that wait for the disk. */
  readonly queued: number
  /** Events that will have no record, and that no gap tells of yet. */
  readonly missed: number
}

/** Events in memory may take this much (UTF-16 units); more are refused and counted. */
const maxQueued = 64 * 1024 * 1024
/** Those who bring access events are held up from here on, so that the rest is left for decisions. */
const maxHeld = 24 * 1024 * 1024

/** The main thread's end of the spool: keeps the promise of `AuditLog`. */
export class Spool implements AuditLog {
  readonly #settings: SpoolSettings
  readonly #writer: Writer
  readonly #acknowledgements: Acknowledgements | undefined
  readonly #room = new Room()
  readonly #commitListeners: ((appended: number) => void)[] = []
  readonly #fileListeners: (() => void)[] = []
  #released = false

  /** Opens the spool and begins a new trail. Rejects with SPOOL_IN_USE, SPOOL_VERSION, SPOOL_FULL or SPOOL_FAILED. */
  static async open(opening: SpoolOpening, settings: SpoolSettings, context: SpoolContext): Promise<Spool> {
    return new Spool(await OpenedSpool.open(opening, context.startWorker), settings, context)
  }

  private constructor(opened: OpenedSpool, settings: SpoolSettings, context: SpoolContext) {
    const { newId, now, startWorker: start, onMissed = () => undefined, onReopening: tell = () => undefined } = context
    this.#settings = settings
    const { requiredSinks = [] } = settings
    if (requiredSinks.length > 0) this.#acknowledgements = new Acknowledgements(requiredSinks)
    this.#writer = new Writer(opened, new Reopening(opened.opening, { newId, start, tell }), {
      newId,
      now,
      maxBytes: settings.maxBytes,
      onMissed,
      onKept: (pending, position) => {
        this.#kept(pending, position)
      },
      onCommitted: ({ lastPosition }, appended) => {
        this.#acknowledgements?.committed(lastPosition, performance.now())
        if (appended > 0) for (const listener of this.#commitListeners) listener(appended)
      },
      onLostFile: () => {
        for (const pending of this.#acknowledgements?.giveUp() ?? []) this.#late(pending)
      },
      onNewFile: () => {
        this.#acknowledgements?.beginAnew()
        for (const listener of this.#fileListeners) listener()
      },
      onRoom: () => {
        if (this.#hasRoom) this.#room.open()
      },
      onSealing: () => {
        for (const pending of this.#acknowledgements?.giveUp() ?? []) this.#late(pending)
      },
    })
  }

  append(event: AuditEvent, options: AppendOptions = {}): Promise<boolean> {
    const { mode, deadlineMs } = this.#settings
    const strict = mode === 'strict'
    const refusal = this.#refusal()
    if (refusal !== undefined) {
      this.#writer.miss('decision', refusal, event.time)
      return Promise.resolve(!strict && (refusal !== 'SPOOL_FULL' || this.#drops))
    }
    if (!strict) {
      void this.#enqueue('decision', event, undefined)
      return Promise.resolve(true)
    }
    const { ifLate } = options
    const replacement = ifLate && ((superseding: boolean): EncodedEvent => encodeEvent(ifLate(superseding)))
    // What Kafka is known to be late with already would only be two records instead of one.
    const patienceMs = this.#unacknowledgedMs > deadlineMs ? 0 : deadlineMs
    const withinMs = Math.min(options.withinMs ?? Infinity, patienceMs)
    return this.#enqueue('decision', event, replacement, { withinMs, gone: options.gone })
  }

  record(event: AuditEvent): Promise<boolean> {
    const refusal = this.#refusal()
    if (refusal === undefined || this.#mayWait(refusal)) return this.#enqueue('access', event, undefined)
    this.#writer.miss('access', refusal, event.time)
    return Promise.resolve(false)
  }

  room(): Promise<void> {
    return this.#room.wait(this.#hasRoom)
  }

  /** Holds nobody up any more: what is brought from now on waits in memory as far as there is some, and is counted beyond that. */
  release(): void {
    this.#released = true
    this.#room.open()
  }

  /** Takes a sink's progress; the worker writes it with its next batch. */
  advance(cursor: Cursor): void {
    this.#acknowledgements?.advance(cursor.sink, cursor.position, performance.now())
    this.#writer.advance(cursor)
  }

  /** Takes the word of somebody who read the file that it is damaged: another one takes its place. */
  distrust(why: string): void {
    this.#writer.distrust(why)
  }

  /** Calls the listener after each commit that appended records, with their number. */
  onCommit(listener: (appended: number) => void): void {
    this.#commitListeners.push(listener)
  }

  /** Calls the listener whenever another file has taken the place of one that was lost: readers have to open it. */
  onNewFile(listener: () => void): void {
    this.#fileListeners.push(listener)
  }

  status(): SpoolStatus {
    const { state, problem, unsettled, missed } = this.#writer
    const full = overflowOf(state, this.#settings.maxBytes)
    return { ...state, problem: problem ?? full ?? this.#lateness(), queued: unsettled, missed }
  }

  /**
   * Appends what waits and the trail's last record, `closed`; refuses everything from now on. Whoever still waits for a required sink
   * is told that it came too late.
   */
  seal(): Promise<void> {
    return this.#writer.seal()
  }

  /** Writes the last cursors and lets go of the file. What could not be written until then is told to be missed. */
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
      const waits = { mayWait: patience === undefined, state: 'queued', settle: settled, timer: undefined } as const
      const pending: Pending = { event: encoded, kind, time, replacement, ...waits }
      this.#writer.push(pending)
      if (patience !== undefined) this.#watch(pending, patience.withinMs, patience.gone)
    })
  }

  /** Nobody waits longer than the deadline, nor for somebody who has gone. */
  #watch(pending: Pending, withinMs: number, gone: AbortSignal | undefined): void {
    const late = (): void => {
      if (pending.settle !== undefined) this.#late(pending)
    }
    if (gone?.aborted === true || withinMs <= 0) {
      late()
      return
    }
    pending.timer = setTimeout(late, withinMs)
    gone?.addEventListener('abort', late, { once: true })
  }

  /** Why nothing more may be accepted, or undefined. */
  #refusal(): GapReason | undefined {
    const { stopping, problem, queue, state } = this.#writer
    if (stopping) return 'SHUTDOWN'
    if (problem !== null) return gapReasonOf(problem)
    if (overflowOf(state, this.#settings.maxBytes) !== null) return 'SPOOL_FULL'
    return queue.characters >= maxQueued ? 'OVERLOADED' : undefined
  }

  /** Whether an access event that cannot be written yet may wait for it in memory. */
  #mayWait(refusal: GapReason): boolean {
    const { stopping, queue } = this.#writer
    if (stopping || queue.characters >= maxQueued) return false
    return refusal !== 'SPOOL_FULL' || !this.#drops
  }

  get #drops(): boolean {
    return this.#settings.whenFull === 'drop-newest'
  }

  /** Nobody is held up where what is brought would be dropped or refused at once. */
  get #hasRoom(): boolean {
    if (this.#released || this.#writer.queue.characters < maxHeld) return true
    const refusal = this.#refusal()
    return refusal === 'SHUTDOWN' || (refusal === 'SPOOL_FULL' && this.#drops)
  }

  /** The record is on the disk. */
  #kept(pending: Pending, position: number): void {
    if (pending.state === 'taken-late') this.#supersede(pending)
    else if (this.#acknowledgements === undefined || pending.mayWait) settle(pending, true)
    else this.#acknowledgements.waitFor(pending, position)
  }

  /** The deadline has passed: the caller denies, and the record has to say so too. */
  #late(pending: Pending): void {
    settle(pending, false)
    switch (pending.state) {
      case 'taken':
        pending.state = 'taken-late'
        return
      case 'committed':
        this.#supersede(pending)
        return
      case 'taken-late':
        return
      case 'queued':
        this.#withdraw(pending)
    }
  }

  /** The record says from the beginning that the caller was denied; or there is none, and a gap counts it. */
  #withdraw(pending: Pending): void {
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
    const second = superseding(late)
    if (second !== undefined) this.#writer.push(second)
  }

  /** How long a sink whose acknowledgement is demanded has lacked a record, in milliseconds. */
  get #unacknowledgedMs(): number {
    return this.#acknowledgements?.ageMs(performance.now()) ?? 0
  }

  /** What is late for the answers that wait for it, or null. */
  #lateness(): SpoolProblem | null {
    const { mode, deadlineMs } = this.#settings
    if (mode !== 'strict') return null
    if (this.#writer.underWayMs > deadlineMs) return stalled(this.#writer.underWayMs, deadlineMs)
    const ageMs = this.#unacknowledgedMs
    return ageMs > deadlineMs ? unacknowledged(this.#acknowledgements?.lacking ?? [], ageMs, deadlineMs) : null
  }
}
