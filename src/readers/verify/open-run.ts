import type { ParsedRecord } from '../../audit/chain.ts'
import { eventTypes } from '../../audit/event.ts'
import { openedBy, textAt } from '../members.ts'
import type { LostRange, Run } from './findings.ts'
import type { SoundRecord } from './record-bytes.ts'
import { leafOf, TreeRange } from './tree-range.ts'

/** A run as it grows with the lines of its block. */
export class OpenRun {
  readonly trail: string
  readonly #begin: SoundRecord
  readonly #sizes: ReadonlySet<number> | undefined
  readonly #checkpoint: Run['checkpoint']
  readonly #tree: TreeRange
  readonly #lost: LostRange[] = []
  #last: SoundRecord
  #closedAt: number | undefined
  #count = 0
  #minutes = 0
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
    if (isOtherMinute(this.#last.recordedAt, found.recordedAt)) this.#minutes += 1
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
      minutes: this.#minutes,
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

/** Where hours and minutes stand in a time. */
const minuteAt = [11, 12, 14, 15]

/** Of two days at the same minute it says no. */
export function isOtherMinute(before: string, time: string): boolean {
  return before !== time && minuteAt.some((at) => before.charCodeAt(at) !== time.charCodeAt(at))
}
