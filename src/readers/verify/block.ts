import { isUtf8 } from 'node:buffer'
import type { ParsedRecord } from '../../audit/chain.ts'
import { openCheckpoint, type VerifierKey } from '../../audit/checkpoint.ts'
import { eventTypes } from '../../audit/event.ts'
import { maxRecordBytes } from '../../audit/redact.ts'
import { openedBy, textAt, type OpenedTrail } from '../members.ts'
import type { ProblemKind } from './problem.ts'
import { RecordReader, type SoundRecord, type UnsoundLine } from './record-bytes.ts'
import { leafOf, TreeRange, type RangeNodes } from './tree-range.ts'

/** Whole lines that follow each other in one place. */
export interface Block {
  readonly bytes: Uint8Array
  /** Where each line ends, where lines are not ended by newlines: messages of a topic, rows of a spool. */
  readonly ends?: Uint32Array | undefined
  /** What the folder and the name of an archive's segment promise of its records. */
  /** Set where the last line is not ended. */
  readonly torn?: boolean | undefined
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

/** What a checkpoint record says, and what its note is worth but for the root, which only the whole trail tells. */
export interface FoundCheckpoint {
  readonly size: number
  readonly root: Uint8Array
  /** Name of the key that signed it; null where signatures are not checked. */
  readonly signedBy: string | null
}

/** What is wrong with a checkpoint, whatever the trail holds. */
export interface BadCheckpoint {
  readonly kind: ProblemKind
  readonly problem: string
}

/** What a gap says of sequences that its writer lost. */
export interface LostRange {
  readonly trail: string
  readonly from: number
  readonly to: number
  readonly reason: string
}

/** Records of one trail that follow each other, in their order, whatever stands between them. */
export interface Run {
  readonly trail: string
  /** Sequence of the first. */
  readonly first: number
  /** What the first says of the one before it. */
  readonly prevHash: string
  /** The hash of each, 32 bytes. */
  readonly hashes: Uint8Array
  /** The line of each, from 0 at the block's first. */
  readonly lines: Uint32Array
  readonly tree: RangeNodes
  /** `recordedat` of the first and the last. */
  readonly from: string
  readonly to: string
  /** Set where the trail's first record is the first here, and says that the trail was opened. */
  readonly opened: OpenedTrail | undefined
  /** Set where the first is a checkpoint: a run ends before each. */
  readonly checkpoint: FoundCheckpoint | BadCheckpoint | undefined
  /** Sequence of the last that says that the trail was closed. */
  readonly closedAt: number | undefined
  readonly lost: readonly LostRange[]
}

/** A line that is no record in its place. */
export interface BadLine extends Omit<UnsoundLine, 'ok'> {
  readonly line: number
  /** Its bytes, where it is the block's first that was altered, or is not ended. */
  readonly bytes?: Uint8Array
}

export interface BlockFindings {
  readonly lines: number
  /** In order of their first lines. */
  readonly runs: readonly Run[]
  readonly bad: readonly BadLine[]
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
    const isFirst = isTorn || (kind === 'altered' && !this.#bad.some(({ bytes }) => bytes !== undefined))
    const bytes = isFirst ? { bytes: Uint8Array.from(this.#bytes.subarray(start, end)) } : {}
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
    const checkpoint = isCheckpoint ? readCheckpoint(found, this.#trusted.keys) : undefined
    const run = new OpenRun(found, sizes, checkpoint)
    run.add(line, found)
    this.#runs.push(run)
    this.#open.set(found.trail, run)
    this.#last = run
  }
}

class OpenRun {
  readonly trail: string
  readonly #begin: SoundRecord
  readonly #sizes: ReadonlySet<number> | undefined
  readonly #checkpoint: Run['checkpoint']
  readonly #tree: TreeRange
  readonly #lost: LostRange[] = []
  #last: SoundRecord
  #closedAt: number | undefined
  #count = 0
  #hashes = Buffer.allocUnsafeSlow(32 * 16)
  #lines = new Uint32Array(16)

  constructor(begin: SoundRecord, sizes: ReadonlySet<number> | undefined, checkpoint: Run['checkpoint']) {
    this.trail = begin.trail
    this.#begin = begin
    this.#last = begin
    this.#sizes = sizes
    this.#checkpoint = checkpoint
    this.#tree = new TreeRange(Math.max(0, begin.sequence - 1))
  }

  isFollowedBy({ sequence, prevHash }: SoundRecord): boolean {
    const last = this.#last
    return sequence === last.sequence + 1 && prevHash === last.hash && this.#sizes?.has(last.sequence) !== true
  }

  add(line: number, found: SoundRecord): void {
    const at = this.#count++
    if (at === this.#lines.length) this.#grow()
    this.#lines[at] = line
    this.#hashes.write(found.hash, 32 * at, 32, 'hex')
    this.#tree.append(leafOf(found.hash))
    this.#last = found
    if (found.record !== undefined) this.#note(found.sequence, found.record)
  }

  done(): Run {
    const count = this.#count
    const { trail, sequence, prevHash, recordedAt, record } = this.#begin
    return {
      trail,
      first: sequence,
      prevHash,
      hashes: Uint8Array.from(this.#hashes.subarray(0, 32 * count)),
      lines: this.#lines.slice(0, count),
      tree: this.#tree.nodes(),
      from: recordedAt,
      to: this.#last.recordedAt,
      opened: sequence === 1 && record !== undefined ? openedBy(record) : undefined,
      checkpoint: this.#checkpoint,
      closedAt: this.#closedAt,
      lost: this.#lost,
    }
  }

  #note(sequence: number, record: ParsedRecord): void {
    if (record.type !== eventTypes.trail) return
    const change = textAt(record, 'change')
    if (change === 'closed') this.#closedAt = sequence
    if (change !== 'gap' || textAt(record, 'of') !== 'trail') return
    const [trail, from, to] = ['trail', 'fromSequence', 'toSequence'].map((name) => textAt(record, name))
    if (trail === undefined || from === undefined || to === undefined) return
    this.#lost.push({ trail, from: Number(from), to: Number(to), reason: textAt(record, 'reason') ?? '' })
  }

  #grow(): void {
    const [hashes, lines] = [this.#hashes, this.#lines]
    this.#hashes = Buffer.allocUnsafeSlow(2 * hashes.length)
    this.#hashes.set(hashes)
    this.#lines = new Uint32Array(2 * lines.length)
    this.#lines.set(lines)
  }
}

/** What a checkpoint's note is worth by itself: form, signature, trail, and size, which is that of what stands before it. */
function readCheckpoint(
  { trail, sequence, record }: SoundRecord,
  keys: readonly VerifierKey[] | undefined,
): FoundCheckpoint | BadCheckpoint {
  const opened = openCheckpoint((record && textAt(record, 'note')) ?? '', keys ?? [])
  const unchecked = keys === undefined && !opened.ok && opened.reason === 'unknown-key'
  if (!opened.ok && !unchecked) return { kind: `checkpoint-${opened.reason}`, problem: opened.problem }
  const { checkpoint } = opened
  if (checkpoint === undefined) return { kind: 'checkpoint-malformed', problem: 'the note states nothing' }
  const { origin, size, root } = checkpoint
  if (origin !== trail) {
    return { kind: 'checkpoint-wrong-origin', problem: `the checkpoint is one of another trail, ${origin}` }
  }
  if (size !== sequence - 1) {
    const problem = `the checkpoint covers ${String(size)} records, but ${String(sequence - 1)} stand before it`
    return { kind: 'checkpoint-wrong-size', problem }
  }
  return { size, root: Uint8Array.from(root), signedBy: opened.ok ? opened.signedBy.text : null }
}
