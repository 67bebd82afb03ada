import { createCheckpointSigner } from '../../audit/checkpoint.ts'
import type { TrailOpened } from '../../audit/event-data.ts'
import { encodeEvent, type EncodedEvent } from '../../audit/record.ts'
import { trailEvent } from '../../audit/event.ts'
import { CountersignError, messageOf } from '../../errors.ts'
import { createIds } from '../../ids.ts'
import { isOfFile, spoolFault } from './faults.ts'
import type { ElapsedMs } from './clock-steps.ts'
import { openForWriting } from './open.ts'
import type { SpoolFile } from './spool-file.ts'
import { takeFindings } from './findings.ts'
import type { HeadState, TrailEnd } from './head.ts'
import { Holdings } from './holdings.ts'
import type { Cursor, PreviousTrail, SpoolOpening, SpoolState } from '../protocol.ts'
import { OpenTrail } from './trail.ts'
import { forgetTrails, previousTrail, undeliveredTrails } from './trails.ts'

/** Most delivered records that make room at once where the disk is full. */
const roomRecords = 4096

/**
 * The spool's file: the only writer of records, cursors and deletions. Every change is one transaction: it is durable
 * when the call returns, and has not happened at all when it throws (a CountersignError). After an error that is not retryable and is
 * the file's own, the file is let go of as it is, and every call throws that error.
 */
export class SpoolStore {
  readonly #file: SpoolFile
  readonly #opening: SpoolOpening
  readonly #holdings: Holdings
  readonly #trail: OpenTrail
  #previous: PreviousTrail | undefined
  /** Earlier trails as they were found. */
  readonly #earlier: readonly TrailEnd[]
  #committed: TrailEnd | null
  #phase: 'open' | 'sealed' = 'open'
  #failure: CountersignError | undefined

  /**
   * Opens or makes the spool and begins a new trail; its first record, `opened`, is durable when the constructor returns. What cannot
   * be trusted is set aside before, what it holds for a sink is rescued, and what is missing stands in gaps behind `opened`. `now` is
   * a clock that may be set, `elapsedMs` one that never is.
   */
  constructor(
    opening: SpoolOpening,
    now: () => Date,
    newId: () => string = createIds(),
    elapsedMs: ElapsedMs = () => now().getTime(),
  ) {
    const { keyName, privateKey } = opening.checkpoints
    const signer = createCheckpointSigner(keyName, privateKey)
    this.#opening = opening
    this.#file = openForWriting(opening, now)
    const { sql } = this.#file
    try {
      this.#holdings = new Holdings(sql, { ...opening, now, elapsedMs })
      const { trail, checkpoints } = opening
      const { position } = this.#holdings.extent
      this.#trail = new OpenTrail({ sql, trail, signer, checkpoints, now, newId }, position)
      this.#earlier = undeliveredTrails(sql, 0)
      this.#committed = this.#earlier.at(-1) ?? null
      this.#transaction('begin a trail', () => {
        this.#holdings.keepSinks(opening.sinks)
        this.#beginTrail(signer.verifierKey, now, newId)
      })
      this.#file.head.anchor(this.#headState(this.#trail.end))
    } catch (thrown) {
      this.#file.abandon()
      throw spoolFault('cannot begin a trail', thrown)
    }
  }

  /**
   * Appends records in the order given, moves cursors and deletes what every sink has had for long enough. Returns the position of
   * the first of them.
   */
  append(events: readonly EncodedEvent[], cursors: readonly Cursor[]): number {
    this.#lookAtFile()
    const first = this.#trail.end.position + 1
    this.#withRoom(() => {
      this.#transaction('append to the spool', () => {
        this.#trail.append(events)
        // A sealed trail has its last record: cursors move on behind it.
        if (this.#phase === 'open' && this.#trail.checkpointIsDue) this.#trail.appendCheckpoint()
        this.#holdings.moveCursors(cursors, this.#trail.end.position)
      })
    })
    return first
  }

  /** Looks whether the file is still what it was, at a part of what it holds, and writes a checkpoint that is due. */
  check(): void {
    this.#lookAtFile()
    this.#guarded('look at the spool', () => {
      this.#file.scrub()
    })
    if (this.#phase === 'sealed' || (!this.#trail.checkpointIsDue && !this.#file.isShortOfRoom())) return
    this.#withRoom(() => {
      this.#transaction('write a checkpoint', () => {
        if (this.#trail.checkpointIsDue) this.#trail.appendCheckpoint()
      })
    })
  }

  /** Appends the trail's last records: `closed`, and a checkpoint over all. */
  seal(closedId: string): number {
    this.#lookAtFile()
    const { position, sequence } = this.#trail.end
    const { waitingPosition } = this.#holdings.extent
    const left = Math.min(sequence, position - waitingPosition)
    this.#withRoom(() => {
      this.#transaction(
        'close the trail',
        () => {
          this.#trail.appendOwn(closedId, { change: 'closed', delivered: sequence - left, left })
          this.#trail.appendCheckpoint()
        },
        true,
      )
    })
    this.#phase = 'sealed'
    return position + 1
  }

  /** Lets go of the file; MUST be called after the last append, also where that failed. */
  close(): void {
    if (this.#failure !== undefined) return
    this.#file.close({ ...this.#headState(this.#trail.end), released: true })
  }

  /** The trail before this one, with the last record of it that was found; undefined where there is none. */
  get previous(): PreviousTrail | undefined {
    return this.#previous
  }

  state(): SpoolState {
    const { sequence, position } = this.#trail.end
    return {
      trail: this.#opening.trail,
      lastSequence: sequence,
      lastPosition: position,
      ...this.#holdings.state(),
      checkpoint: this.#trail.checkpoint,
    }
  }

  #lookAtFile(): void {
    if (this.#failure !== undefined) throw this.#failure
    this.#guarded('look at the spool', () => {
      this.#file.look({ extent: this.#holdings.extent, end: this.#trail.end })
    })
  }

  /** What is kept for replay alone makes room for what is new, once. */
  #withRoom(write: () => void): void {
    try {
      write()
    } catch (thrown) {
      if (!(thrown instanceof CountersignError) || thrown.code !== 'SPOOL_FULL' || !this.#makeRoom()) throw thrown
      write()
    }
  }

  #makeRoom(): boolean {
    let freed = 0
    try {
      // Deleting needs room too, in the journal: that begins anew once it has been worked off.
      this.#file.workOffJournal()
      this.#transaction('make room', () => {
        freed = this.#holdings.makeRoom(roomRecords)
      })
      this.#file.workOffJournal()
    } catch (thrown) {
      if (!(thrown instanceof CountersignError) || thrown.code !== 'SPOOL_FULL') throw thrown
    }
    return freed > 0
  }

  #transaction(doing: string, change: () => void, closes = this.#phase === 'sealed'): void {
    const { extent, cursors } = this.#holdings
    const mark = this.#trail.mark()
    this.#guarded(doing, () => {
      try {
        this.#file.sql.database.exec('BEGIN IMMEDIATE')
        change()
        this.#save(mark.end, mark.bytes, closes)
        this.#file.head.write(this.#headState(this.#committed))
        this.#file.sql.database.exec('COMMIT')
      } catch (thrown) {
        this.#trail.restore(mark)
        this.#holdings.restore(extent, cursors)
        if (this.#file.sql.database.isTransaction) this.#file.sql.database.exec('ROLLBACK')
        throw thrown
      }
      this.#committed = this.#trail.end
      this.#sayCommitted()
      this.#file.remember()
    })
  }

  /** What is committed cannot be tried again: a head that does not take it is final. */
  #sayCommitted(): void {
    try {
      this.#file.head.write(this.#headState(this.#committed))
    } catch (cause) {
      throw new CountersignError('SPOOL_FAILED', `cannot write the spool's head: ${messageOf(cause)}`, { cause })
    }
  }

  #save(before: TrailEnd, bytesBefore: number, closes: boolean): void {
    const { position } = this.#trail.end
    const records = position - before.position
    this.#holdings.count(position, { records, bytes: this.#trail.bytes - bytesBefore })
    this.#holdings.deleteDelivered(records)
    this.#holdings.save()
    this.#trail.save(closes)
  }

  #headState(committed: TrailEnd | null): HeadState {
    const { waitingPosition } = this.#holdings.extent
    return {
      committed,
      intended: this.#trail.end,
      released: false,
      earlier: this.#earlier.filter(({ position }) => position > waitingPosition),
      cursors: this.#holdings.cursors,
    }
  }

  #beginTrail(verifierKey: string, now: () => Date, newId: () => string): void {
    const { replica, versions, settings, openedId } = this.#opening
    const { sql } = this.#file
    const previous: TrailOpened['previous'] = previousTrail(sql)
    if (previous !== null) this.#previous = { trail: previous.trail, sequence: Number(previous.sequence) }
    forgetTrails(sql, this.#holdings.extent.floor)
    this.#trail.appendOwn(openedId, { change: 'opened', replica, previous, versions, settings, verifierKey })
    this.#trail.append(takeFindings(sql).map((gap) => encodeEvent(trailEvent(newId(), now(), gap))))
  }

  /** A fault of the file that will not pass is the end of it. */
  #guarded(doing: string, act: () => void): void {
    try {
      act()
    } catch (thrown) {
      const fault = spoolFault(`cannot ${doing}`, thrown)
      if (!fault.retryable && isOfFile(fault)) {
        this.#failure = fault
        this.#file.abandon(fault)
      }
      throw fault
    }
  }
}
