import { hash } from 'node:crypto'
import { closeSync, fsyncSync, openSync, readFileSync, readSync, renameSync, writeSync, writevSync } from 'node:fs'
import { dirname } from 'node:path'
import { CountersignError } from '../../errors.ts'
import { syncFolder } from '../folder.ts'

// A small file beside the database that says what the database ends with. It tells, at the next start, what a database that was
// damaged, rolled back or taken away no longer can.

/** The last record of a trail. */
export interface TrailEnd {
  readonly trail: string
  readonly sequence: number
  readonly hash: string
  /** Position of the record in the spool. */
  readonly position: number
}

export interface HeadCursor {
  readonly sink: string
  readonly position: number
  readonly mark: string | null
}

export interface HeadState {
  /** What is committed: said before anybody hears of it. Null before the first trail. */
  readonly committed: TrailEnd | null
  /** What is being committed; the same as `committed` when that is over. */
  readonly intended: TrailEnd | null
  /** Whether the writer let go of the spool in order. */
  readonly released: boolean
  /** Earlier trails that some sink lacks records of, in order of age. */
  readonly earlier: readonly TrailEnd[]
  readonly cursors: readonly HeadCursor[]
}

export const emptyHead: HeadState = { committed: null, intended: null, released: false, earlier: [], cursors: [] }

export type HeadReading =
  | { readonly kind: 'absent' }
  | { readonly kind: 'damaged' }
  | {
      readonly kind: 'read'
      readonly state: HeadState
      /** Whether nothing can have been committed that it does not know: no power failure may have taken its last words. */
      readonly isLatest: boolean
    }

const slotBytes = 4096
/** The first slot is written and synced at each opening; the other two in turn at each change, without a sync. */
const slots = 3
const digestBytes = 32
const frameBytes = digestBytes + 4
/** What a slot has no room for is left out: marks first, then all but so many earlier trails, then those. */
const mostEarlier = 12

interface Slot {
  readonly number: number
  readonly boot: string
  readonly state: HeadState
}

/** Reads the head at `path`. Throws where the system does not let it be read. */
export function readHead(path: string): HeadReading {
  const bytes = bytesOf(path)
  if (bytes === undefined) return { kind: 'absent' }
  const found = Array.from({ length: slots }, (_, index) => slotIn(bytes.subarray(index * slotBytes)))
  const latest = latestOf(found)
  if (latest === undefined) return { kind: 'damaged' }
  const whole = bytes.length === slots * slotBytes && found.every((slot) => slot !== undefined)
  const { state, boot } = latest
  return { kind: 'read', state, isLatest: whole && (state.released || (boot !== '' && boot === bootId())) }
}

/** The head of the spool that is open: the only writer of the file. */
export class HeadFile {
  readonly #file: number
  #number: number

  private constructor(file: number, number: number) {
    this.#file = file
    this.#number = number
  }

  /** Makes the file, durable under its name when this returns, in place of any that is there. */
  static create(path: string, state: HeadState): void {
    const temporary = `${path}.new`
    const file = openSync(temporary, 'w', 0o600)
    try {
      writeSync(file, Buffer.alloc(slots * slotBytes))
      for (let index = 0; index < slots; index += 1) writeSlot(file, index, index, state)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(temporary, path)
    syncFolder(dirname(path))
  }

  static open(path: string): HeadFile {
    const file = openSync(path, 'r+')
    const bytes = Buffer.alloc(slots * slotBytes)
    const length = readSync(file, bytes, 0, bytes.length, 0)
    const found = Array.from({ length: slots }, (_, index) => slotIn(bytes.subarray(index * slotBytes, length)))
    return new HeadFile(file, (latestOf(found)?.number ?? 0) + 1)
  }

  /** Says it; costs no sync. */
  write(state: HeadState): void {
    writeSlot(this.#file, 1 + (this.#number % 2), this.#number, state)
    this.#number += 1
  }

  /** Says it so that a power failure does not take it. */
  anchor(state: HeadState): void {
    // The other slot first: a power failure amid the anchor's own write must leave one that can be read.
    this.write(state)
    fsyncSync(this.#file)
    writeSlot(this.#file, 0, this.#number, state)
    this.#number += 1
    this.write(state)
    fsyncSync(this.#file)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** Writes what the slot says and no further: what an earlier, longer one left behind it is not read. */
function writeSlot(file: number, index: number, number: number, state: HeadState): void {
  const payload = payloadOf(number, state)
  const frame = Buffer.allocUnsafe(frameBytes)
  frame.set(hash('sha256', payload, 'buffer'), 0)
  frame.writeUInt32BE(payload.length, digestBytes)
  const written = writevSync(file, [frame, payload], index * slotBytes)
  if (written === frameBytes + payload.length) return
  throw new CountersignError('SPOOL_FULL', 'the disk took a part of the spool’s head', { retryable: true })
}

function slotIn(bytes: Buffer): Slot | undefined {
  if (bytes.length < slotBytes) return undefined
  const length = bytes.readUInt32BE(digestBytes)
  if (length > slotBytes - frameBytes) return undefined
  const payload = bytes.subarray(frameBytes, frameBytes + length)
  if (!hash('sha256', payload, 'buffer').equals(bytes.subarray(0, digestBytes))) return undefined
  return JSON.parse(payload.toString()) as Slot
}

function latestOf(found: readonly (Slot | undefined)[]): Slot | undefined {
  return found.reduce(
    (one, other) => (other !== undefined && other.number >= (one?.number ?? 0) ? other : one),
    undefined,
  )
}

function payloadOf(number: number, state: HeadState): Buffer {
  const { cursors, earlier } = state
  const unmarked = cursors.map((cursor) => ({ ...cursor, mark: null }))
  const forms: readonly HeadState[] = [
    state,
    { ...state, cursors: unmarked },
    { ...state, cursors: unmarked, earlier: earlier.slice(-mostEarlier) },
    { ...state, cursors: unmarked, earlier: [] },
    { ...state, cursors: [], earlier: [] },
  ]
  for (const form of forms) {
    const payload = Buffer.from(JSON.stringify({ number, boot: bootId(), state: form }))
    if (payload.length <= slotBytes - frameBytes) return payload
  }
  throw new CountersignError(
    'SPOOL_FAILED',
    `the name of a trail is too long for the spool's head (${slotBytes} bytes)`,
  )
}

function bytesOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw thrown
  }
}

let boot: string | undefined

/** Tells one start of the machine from another; what was not synced is gone after it. */
function bootId(): string {
  try {
    boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    boot ??= ''
  }
  return boot
}
