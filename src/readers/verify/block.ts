import { isUtf8 } from 'node:buffer'
import type { VerifierKey } from '../../audit/checkpoint.ts'
import { eventTypes } from '../../audit/event.ts'
import { maxRecordBytes } from '../../audit/redact.ts'
import { textAt } from '../members.ts'
import { longestSearched } from './changed-bit.ts'
import type { BadLine, BlockFindings } from './findings.ts'
import { OpenRun } from './open-run.ts'
import { readCheckpoint } from './read-checkpoint.ts'
import { RecordReader, type SoundRecord, type UnsoundLine } from './record-bytes.ts'

/** Whole lines that follow each other in one place. */
export interface Block {
  readonly bytes: Uint8Array
  /** Where each line ends, where lines are not ended by newlines: messages of a topic, rows of a spool. */
  readonly ends?: Uint32Array | undefined
  /** Set where the last line is not ended. */
  readonly torn?: boolean | undefined
  /** What the folder and the name of an archive's segment promise of its records. */
  readonly day?: string | undefined
  readonly trail?: string | undefined
}

/** What a block is checked against. */
export interface Trusted {
  /** Undefined where no key is known: signatures are not checked then. */
  readonly keys: readonly VerifierKey[] | undefined
  /** Sizes of trails at which a root or a hash is known from elsewhere. */
  readonly sizes: ReadonlyMap<string, ReadonlySet<number>>
}

/** Longest line that is looked at; what is cut at this length is no record. */
export const longestLine = 4 * maxRecordBytes

const newline = 0x0a

/** Checks what can be checked of a block without what stands before it: the slow part, for threads to share. */
export function checkBlock(block: Block, trusted: Trusted): BlockFindings {
  const bytes = Buffer.from(block.bytes.buffer, block.bytes.byteOffset, block.bytes.byteLength)
  const check = new BlockCheck(block, bytes, trusted)
  let start = 0
  if (block.ends !== undefined) {
    for (const end of block.ends) {
      check.take(start, end)
      start = end
    }
  } else {
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      check.take(start, end)
      start = end + 1
    }
    if (start < bytes.length) check.take(start, bytes.length, block.torn)
  }
  return check.findings()
}

class BlockCheck {
  readonly #block: Block
  readonly #bytes: Buffer
  readonly #trusted: Trusted
  readonly #reader: RecordReader
  readonly #runs: OpenRun[] = []
  /** The run of each trail that its next record may go on with. */
  readonly #open = new Map<string, OpenRun>()
  readonly #bad: BadLine[] = []
  #last: OpenRun | undefined
  #lines = 0

  constructor(block: Block, bytes: Buffer, trusted: Trusted) {
    this.#block = block
    this.#bytes = bytes
    this.#trusted = trusted
    this.#reader = new RecordReader(bytes, isUtf8(bytes))
  }

  take(start: number, end: number, isTorn = false): void {
    const line = this.#lines++
    if (end - start > maxRecordBytes) {
      const problem = `the line is longer than a record may be (${String(maxRecordBytes)} bytes)`
      this.#bad.push({ line, kind: 'malformed', problem, ...this.#reader.claim(start, end) })
      return
    }
    const read = this.#reader.read(start, end)
    if (!read.ok) this.#addBad(line, read, start, end, isTorn)
    else this.#addSound(line, read)
  }

  findings(): BlockFindings {
    return { lines: this.#lines, runs: this.#runs.map((run) => run.done()), bad: this.#bad }
  }

  #addBad(line: number, found: UnsoundLine, start: number, end: number, isTorn: boolean): void {
    const { kind, problem, trail, sequence } = found
    const isSearched = kind === 'altered' && end - start <= longestSearched
    const isFirst = isSearched && !this.#bad.some((line) => line.bytes !== undefined)
    const bytes = isTorn || isFirst ? { bytes: Uint8Array.from(this.#bytes.subarray(start, end)) } : {}
    this.#bad.push({ line, kind, problem, trail: this.#block.trail ?? trail, sequence, ...bytes })
  }

  #addSound(line: number, found: SoundRecord): void {
    const { trail, sequence, recordedAt } = found
    const { day, trail: expected } = this.#block
    if (expected !== undefined && expected !== trail) {
      const problem = `the record belongs to trail ${trail}`
      this.#bad.push({ line, kind: 'misplaced', problem, trail: expected, sequence: null })
      return
    }
    if (day !== undefined && !recordedAt.startsWith(day)) {
      const problem = `the record, of ${recordedAt.slice(0, 10)}, stands in the folder of another day`
      this.#bad.push({ line, kind: 'misplaced', problem, trail, sequence })
    }
    const run = this.#last?.trail === trail ? this.#last : this.#open.get(trail)
    const isCheckpoint = found.record?.type === eventTypes.checkpoint
    if (run === undefined || isCheckpoint || !run.isFollowedBy(found)) this.#begin(line, found, isCheckpoint)
    else {
      run.add(line, found)
      this.#last = run
    }
  }

  #begin(line: number, found: SoundRecord, isCheckpoint: boolean): void {
    const sizes = this.#trusted.sizes.get(found.trail)
    const checkpoint = isCheckpoint
      ? readCheckpoint((found.record && textAt(found.record, 'note')) ?? '', found, this.#trusted.keys)
      : undefined
    const run = new OpenRun(found, sizes, checkpoint)
    run.add(line, found)
    this.#runs.push(run)
    this.#open.set(found.trail, run)
    this.#last = run
  }
}
