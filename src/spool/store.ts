import { type DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import type { TrailData, TrailOpened } from '../audit/event-data.ts'
import { trailEvent } from '../audit/event.ts'
import { encodeEvent, type EncodedEvent, firstPrevHash, formatSequence, sealRecord } from '../audit/record.ts'
import { spoolFault } from './faults.ts'
import { openForWriting } from './file.ts'
import type { Cursor, SpoolOpening, SpoolState } from './protocol.ts'

/** Most delivered records that one batch deletes, so that no batch takes long. */
const deletesPerBatch = 1024

/** The last record as it is committed. */
interface Head {
  readonly sequence: number
  readonly hash: string
  readonly position: number
}

/** What waits for a sink as it is committed: the records after `position`, up to and including `upTo`. */
interface Waiting {
  readonly position: number
  readonly upTo: number
  readonly records: number
  readonly bytes: number
}

/**
 * The spool's file: the only writer of records, cursors and deletions. Every change is one transaction: it is durable
 * when the call returns, and has not happened at all when it throws (a CountersignError).
 */
export class SpoolStore {
  readonly #database: DatabaseSync
  readonly #release: () => void
  readonly #opening: SpoolOpening
  readonly #now: () => Date
  readonly #statements = new Map<string, StatementSync>()
  #head: Head
  #waiting: Waiting = { position: 0, upTo: 0, records: 0, bytes: 0 }

  /** Opens or makes the spool and begins a new trail; its first record, `opened`, is durable when the constructor returns. */
  constructor(opening: SpoolOpening, now: () => Date) {
    const { database, release } = openForWriting(opening.dir)
    this.#database = database
    this.#release = release
    this.#opening = opening
    this.#now = now
    this.#head = { sequence: 0, hash: firstPrevHash, position: this.#lastPosition() }
    try {
      this.#transaction('begin a trail', () => {
        this.#dropForgottenSinks()
        this.#waiting = this.#noneWaiting()
        this.#beginTrail()
      })
    } catch (thrown) {
      this.close()
      throw thrown
    }
  }

  /** Appends records in the order given, moves cursors and deletes what every sink has had for long enough. */
  append(events: readonly EncodedEvent[], cursors: readonly Cursor[]): void {
    this.#transaction('append to the spool', () => {
      this.#appendRecords(events)
      this.#moveCursors(cursors)
      this.#deleteDelivered()
    })
  }

  /** Appends the trail's last record, `closed`. */
  seal(closedId: string): void {
    const { trail } = this.#opening
    const left =
      this.#number(
        'SELECT count(*) AS value FROM records WHERE position > ? AND trail = ?',
        this.#waiting.position,
        trail,
      ) ?? 0
    const delivered = this.#head.sequence - left
    this.#transaction('close the trail', () => {
      this.#appendRecords([this.#trailEvent(closedId, { change: 'closed', delivered, left })])
      this.#run('UPDATE trails SET closed = 1 WHERE trail = ?', trail)
    })
  }

  close(): void {
    this.#database.close()
    this.#release()
  }

  state(): SpoolState {
    const oldest = this.#number(
      'SELECT recorded_ms AS value FROM records WHERE position > ? ORDER BY position LIMIT 1',
      this.#waiting.position,
    )
    return {
      trail: this.#opening.trail,
      lastSequence: this.#head.sequence,
      lastPosition: this.#head.position,
      waitingRecords: this.#waiting.records,
      waitingBytes: this.#waiting.bytes,
      oldestWaitingMs: oldest,
    }
  }

  #transaction(doing: string, change: () => void): void {
    const before = this.#head
    try {
      this.#database.exec('BEGIN IMMEDIATE')
      change()
      const waiting = this.#countWaiting()
      this.#database.exec('COMMIT')
      this.#waiting = waiting
    } catch (thrown) {
      this.#head = before
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw spoolFault(`cannot ${doing}`, thrown)
    }
  }

  #beginTrail(): void {
    const previous = this.#previousTrail()
    const { trail, replica, versions, settings, openedId } = this.#opening
    this.#run('DELETE FROM trails WHERE trail NOT IN (SELECT trail FROM records)')
    this.#run('INSERT INTO trails (trail, last_sequence, last_hash, closed) VALUES (?, 0, ?, 0)', trail, firstPrevHash)
    this.#appendRecords([this.#trailEvent(openedId, { change: 'opened', replica, previous, versions, settings })])
  }

  #previousTrail(): TrailOpened['previous'] {
    const row = this.#get('SELECT trail, last_sequence, last_hash, closed FROM trails ORDER BY number DESC LIMIT 1')
    if (row === undefined) return null
    return {
      trail: String(row['trail']),
      sequence: formatSequence(Number(row['last_sequence'])),
      hash: String(row['last_hash']),
      closed: row['closed'] === 1,
    }
  }

  #trailEvent(id: string, data: TrailData): EncodedEvent {
    return encodeEvent(trailEvent(id, this.#now(), data))
  }

  #appendRecords(events: readonly EncodedEvent[]): void {
    if (events.length === 0) return
    const { trail } = this.#opening
    let { sequence, hash, position } = this.#head
    for (const event of events) {
      sequence += 1
      position += 1
      const recordedAt = this.#now()
      const record = sealRecord(event, { trail, sequence, prevHash: hash, recordedAt })
      hash = record.hash
      this.#run(
        'INSERT INTO records (position, trail, sequence, recorded_ms, line) VALUES (?, ?, ?, ?, ?)',
        ...[position, trail, sequence, recordedAt.getTime(), record.line],
      )
    }
    this.#run('UPDATE trails SET last_sequence = ?, last_hash = ? WHERE trail = ?', sequence, hash, trail)
    this.#head = { sequence, hash, position }
  }

  #moveCursors(cursors: readonly Cursor[]): void {
    for (const { sink, position } of cursors) {
      this.#run('UPDATE cursors SET position = max(position, ?) WHERE sink = ?', position, sink)
    }
  }

  /**
   * What was delivered before this transaction only: `#countWaiting` still has to see what it delivers. Looks at the oldest
   * records and no further: millions may wait for their time. A record of a time to come was written before the clock was put
   * back; it must not hold up the others until then.
   */
  #deleteDelivered(): void {
    const now = this.#now().getTime()
    const cutoff = now - this.#opening.retainDeliveredMs
    const first = this.#get('SELECT position, recorded_ms FROM records ORDER BY position LIMIT 1')
    const isDue = (recorded: number): boolean => recorded < cutoff || recorded > now
    if (first === undefined || !isDue(Number(first['recorded_ms']))) return
    const last = Math.min(this.#waiting.position, Number(first['position']) + deletesPerBatch - 1)
    this.#run('DELETE FROM records WHERE position <= ? AND (recorded_ms < ? OR recorded_ms > ?)', last, cutoff, now)
  }

  /** A sink that the settings no longer name must not hold records back; a new one begins with what is still here. */
  #dropForgottenSinks(): void {
    const names = this.#opening.sinks
    this.#run(`DELETE FROM cursors WHERE sink NOT IN (${names.map(() => '?').join(', ')})`, ...names)
    for (const name of names) this.#run('INSERT OR IGNORE INTO cursors (sink, position) VALUES (?, 0)', name)
  }

  /** Counts from where it last counted, so that a commit costs the same however much waits. */
  #countWaiting(): Waiting {
    const position = this.#deliveredPosition()
    const last = this.#waiting
    const appended = this.#count(last.upTo, this.#head.position)
    const delivered = this.#count(last.position, position)
    return {
      position,
      upTo: this.#head.position,
      records: last.records + appended.records - delivered.records,
      bytes: last.bytes + appended.bytes - delivered.bytes,
    }
  }

  #noneWaiting(): Waiting {
    const position = this.#deliveredPosition()
    return { position, upTo: position, records: 0, bytes: 0 }
  }

  #count(after: number, upTo: number): { records: number; bytes: number } {
    if (upTo <= after) return { records: 0, bytes: 0 }
    const row = this.#get(
      `SELECT count(*) AS records, coalesce(sum(octet_length(line)), 0) AS bytes
         FROM records WHERE position > ? AND position <= ?`,
      ...[after, upTo],
    )
    return { records: Number(row?.['records']), bytes: Number(row?.['bytes']) }
  }

  #deliveredPosition(): number {
    return this.#number('SELECT min(position) AS value FROM cursors') ?? 0
  }

  /** Positions of deleted records are not used again: a cursor may stand beyond the last record that is left. */
  #lastPosition(): number {
    const last = this.#number('SELECT max(position) AS value FROM records') ?? 0
    return Math.max(last, this.#number('SELECT max(position) AS value FROM cursors') ?? 0)
  }

  #number(sql: string, ...values: SQLInputValue[]): number | null {
    const value = this.#get(sql, ...values)?.['value']
    return typeof value === 'number' ? value : null
  }

  #get(sql: string, ...values: SQLInputValue[]): Record<string, unknown> | undefined {
    return this.#statement(sql).get(...values)
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#statement(sql).run(...values)
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const statement = this.#database.prepare(sql)
    this.#statements.set(sql, statement)
    return statement
  }
}
