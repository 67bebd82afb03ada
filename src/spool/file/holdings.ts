import { ClockSteps, type ElapsedMs } from './clock-steps.ts'
import type { HeadCursor } from './head.ts'
import type { Cursor, SpoolState } from '../protocol.ts'
import { digestOf, type Sql } from './sql.ts'

/** Most delivered records that one batch deletes where little is appended, so that no batch takes long. */
const deletesPerBatch = 1024
/** For each record that was appended since, so many may be deleted, so that deletion keeps pace. */
const deletesPerRecord = 4
/** What has had its time is looked for once in so many records: each look costs, and small batches come by the thousand. */
const recordsPerLook = 128

/** What the file holds, as it is committed. Positions up to `floor` are gone; `position` is the last that was ever used. */
export interface Extent {
  readonly floor: number
  readonly position: number
  /** Bytes of all lines. */
  readonly bytes: number
  /** What every sink has ends here; behind it so many records and bytes wait. */
  readonly waitingPosition: number
  readonly waitingRecords: number
  readonly waitingBytes: number
}

const emptyExtent: Extent = {
  floor: 0,
  position: 0,
  bytes: 0,
  waitingPosition: 0,
  waitingRecords: 0,
  waitingBytes: 0,
}

export interface Retention {
  readonly retainDeliveredMs: number
  readonly maxBytes: number
  readonly now: () => Date
  readonly elapsedMs: ElapsedMs
}

/**
 * What the file holds for whom: cursors, counts, and what is deleted when. Counts go on from what was counted last, so that a commit
 * costs the same however much waits. Writes within the transaction that its caller has begun; where that is rolled back, the caller
 * MUST `restore` what `extent` and `cursors` were before.
 */
export class Holdings {
  readonly #sql: Sql
  readonly #retention: Retention
  readonly #clock: ClockSteps
  #extent: Extent
  #cursors: readonly HeadCursor[]
  /** Records appended since what has had its time was looked for. */
  #appended = 0

  constructor(sql: Sql, retention: Retention) {
    this.#sql = sql
    this.#retention = retention
    this.#extent = readExtent(sql)
    this.#cursors = readCursors(sql)
    this.#clock = new ClockSteps(retention.now().getTime(), retention.elapsedMs, this.#extent.position)
  }

  get extent(): Extent {
    return this.#extent
  }

  get cursors(): readonly HeadCursor[] {
    return this.#cursors
  }

  restore(extent: Extent, cursors: readonly HeadCursor[]): void {
    this.#extent = extent
    this.#cursors = cursors
  }

  /** A sink that the settings no longer name must not hold records back; a new one begins with what is still here. */
  keepSinks(names: readonly string[]): void {
    this.#sql.run(`DELETE FROM cursors WHERE sink NOT IN (${names.map(() => '?').join(', ')})`, ...names)
    this.#cursors = names.map(
      (sink) => this.#cursors.find((cursor) => cursor.sink === sink) ?? { sink, position: 0, mark: null },
    )
    for (const cursor of this.#cursors) this.#saveCursor(cursor)
  }

  /** Takes the sinks' steps. One beyond `last`, the last position in the file, is not a step in this file. */
  moveCursors(moves: readonly Cursor[], last: number): void {
    for (const { sink, position, mark, rewound } of moves) {
      const before = this.#cursors.find((cursor) => cursor.sink === sink)
      if (before === undefined || position > last || (position < before.position && !rewound)) continue
      const cursor = { sink, position, mark }
      this.#cursors = this.#cursors.map((one) => (one === before ? cursor : one))
      this.#saveCursor(cursor)
    }
  }

  /** Takes in what was appended up to `position`, and counts anew what the cursors make waiting. */
  count(position: number, appended: Counted): void {
    const before = this.#extent
    const waitingPosition = Math.min(...this.#cursors.map((cursor) => cursor.position), position)
    const bytes = before.bytes + appended.bytes
    const waiting = this.#waiting({ ...before, position, bytes, waitingPosition }, appended)
    const counts = { waitingRecords: waiting.records, waitingBytes: waiting.bytes }
    this.#extent = { ...before, position, bytes, waitingPosition, ...counts }
  }

  /**
   * Deletes what every sink has, oldest first: what has had its time, and where there is not room for all, what has not. A record of
   * a time to come was written by an earlier process, before the clock was put back; it must not hold up the others until then.
   */
  deleteDelivered(appended: number): void {
    const { bytes, waitingPosition, floor } = this.#extent
    const { retainDeliveredMs, maxBytes, now } = this.#retention
    const excess = bytes - maxBytes
    this.#appended += appended
    this.#clock.look(now().getTime(), this.#extent.position, floor)
    if (excess <= 0 && appended > 0 && this.#appended < recordsPerLook) return
    const limit = Math.max(deletesPerBatch, deletesPerRecord * this.#appended)
    this.#appended = 0
    const isDue = ({ recorded, position }: Delivered): boolean => {
      const age = this.#clock.age(recorded, position)
      return age > retainDeliveredMs || age < 0
    }
    let [last, freed] = [floor, 0]
    for (const row of this.#delivered(waitingPosition, limit)) {
      if (freed >= excess && !isDue(row)) break
      last = row.position
      freed += row.bytes
    }
    this.#deleteUpTo(last, freed)
  }

  /** Deletes up to `records` that every sink has, whatever their age; returns how many bytes that freed. */
  makeRoom(records: number): number {
    const rows = [...this.#delivered(this.#extent.waitingPosition, records)]
    const freed = rows.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#deleteUpTo(rows.at(-1)?.position ?? this.#extent.floor, freed)
    return freed
  }

  save(): void {
    const { floor, position, bytes, waitingPosition, waitingRecords, waitingBytes } = this.#extent
    const values = [floor, position, bytes, waitingPosition, waitingRecords, waitingBytes] as const
    this.#sql.run(
      `REPLACE INTO extent
         (id, floor, position, bytes, waiting_position, waiting_records, waiting_bytes, digest) VALUES (1, ?, ?, ?, ?, ?, ?, ?)`,
      ...[...values, digestOf(...values)],
    )
  }

  /** What the spool's state says of all this. */
  state(): Pick<SpoolState, 'waitingRecords' | 'waitingBytes' | 'oldestWaitingMs' | 'retainedBytes'> {
    const { waitingPosition, waitingRecords, waitingBytes, bytes } = this.#extent
    const oldestWaitingMs = this.#sql.number(
      'SELECT recorded_ms AS value FROM records WHERE position > ? ORDER BY position LIMIT 1',
      waitingPosition,
    )
    return { waitingRecords, waitingBytes, oldestWaitingMs, retainedBytes: bytes - waitingBytes }
  }

  /** Oldest first; read as they are asked for, for most batches stop at the first. */
  #delivered(upTo: number, limit: number): Iterable<Delivered> {
    return this.#sql.iterate(
      `SELECT position, recorded_ms AS recorded, octet_length(line) AS bytes FROM records
        WHERE position > ? AND position <= ? ORDER BY position LIMIT ?`,
      ...[this.#extent.floor, upTo, limit],
    ) as Iterable<unknown> as Iterable<Delivered>
  }

  #deleteUpTo(last: number, bytes: number): void {
    if (last <= this.#extent.floor) return
    this.#sql.run('DELETE FROM records WHERE position <= ?', last)
    this.#sql.run('DELETE FROM holes WHERE last <= ?', last)
    this.#extent = { ...this.#extent, floor: last, bytes: this.#extent.bytes - bytes }
  }

  /** What waits behind `to.waitingPosition`; all and nothing need no counting, however much there is. */
  #waiting(to: Extent, appended: Counted): Counted {
    const { waitingPosition, position, floor, bytes } = to
    if (waitingPosition >= position) return { records: 0, bytes: 0 }
    if (waitingPosition <= floor) return { records: position - floor - this.#inHoles(floor), bytes }
    const before = this.#extent
    const [low, high] = [waitingPosition, before.waitingPosition].sort((a, b) => a - b) as [number, number]
    const moved = this.#between(low, high)
    const sign = waitingPosition > before.waitingPosition ? -1 : 1
    return {
      records: before.waitingRecords + appended.records + sign * moved.records,
      bytes: before.waitingBytes + appended.bytes + sign * moved.bytes,
    }
  }

  /** How many positions behind `after` have no record. */
  #inHoles(after: number): number {
    return (
      this.#sql.number('SELECT sum(last - max(first, ? + 1) + 1) AS value FROM holes WHERE last > ?', after, after) ?? 0
    )
  }

  #between(after: number, upTo: number): Counted {
    if (upTo <= after) return { records: 0, bytes: 0 }
    const row = this.#sql.get(
      `SELECT count(*) AS records, coalesce(sum(octet_length(line)), 0) AS bytes
         FROM records WHERE position > ? AND position <= ?`,
      ...[after, upTo],
    )
    return { records: Number(row?.['records']), bytes: Number(row?.['bytes']) }
  }

  #saveCursor({ sink, position, mark }: HeadCursor): void {
    this.#sql.run(
      'REPLACE INTO cursors (sink, position, mark, digest) VALUES (?, ?, ?, ?)',
      ...[sink, position, mark, digestOf(sink, position, mark)],
    )
  }
}

interface Counted {
  readonly records: number
  readonly bytes: number
}

interface Delivered {
  readonly position: number
  readonly recorded: number
  readonly bytes: number
}

/** The file's one row of counts; the empty extent where there is none yet. */
export function readExtent(sql: Sql): Extent {
  const row = sql.get('SELECT * FROM extent')
  if (row === undefined) return emptyExtent
  return {
    floor: Number(row['floor']),
    position: Number(row['position']),
    bytes: Number(row['bytes']),
    waitingPosition: Number(row['waiting_position']),
    waitingRecords: Number(row['waiting_records']),
    waitingBytes: Number(row['waiting_bytes']),
  }
}

function readCursors(sql: Sql): readonly HeadCursor[] {
  return sql.all('SELECT sink, position, mark FROM cursors ORDER BY sink') as unknown as readonly HeadCursor[]
}
