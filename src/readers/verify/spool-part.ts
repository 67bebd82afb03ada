import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { CountersignError } from '../../errors.ts'
import { fileName } from '../../spool/file/schema.ts'
import type { SpooledRecord } from '../../spool/spooled-record.ts'
import type { OpenSpool, SpoolSource } from '../source.ts'
import type { Part, PartBlock, RemovedBefore } from './part.ts'
import type { Problem } from './problem.ts'

const rowsPerBlock = 512

/** The spool of a data folder, read in pages beside its writer. Damage ends it, and is told as a problem: the rest is verified. */
export class SpoolPart implements Part {
  readonly source = 'spool' as const
  readonly name = 'spool'
  readonly stream = 'spool'
  /** Of the file: its rows take nearly all of it, or fewer where it has free pages. */
  readonly bytes: number
  /** Whether its archive sink had got records when it was opened. */
  readonly deliveredToArchive: boolean
  readonly #spool: SpoolSource | undefined
  readonly #isAlone: () => boolean
  readonly #atEnd: () => Promise<void>
  #damage: string | undefined
  /** The first position that is left, as far as it was read. */
  #first = Infinity
  #last = 0

  /**
   * Undefined where there is no spool. `isAlone`: whether its rows are all that the folder has; asked when they were read. `atEnd` is
   * called then. Throws SPOOL_VERSION or SPOOL_FAILED.
   */
  static async open(
    dir: string,
    openSpool: OpenSpool,
    isAlone: () => boolean,
    atEnd: () => Promise<void>,
  ): Promise<SpoolPart | undefined> {
    const { size } = await stat(join(dir, fileName)).catch(() => ({ size: 0 }))
    const opened = ifWhole(() => openSpool(dir))
    if (opened.ok && opened.value === undefined) return undefined
    return new SpoolPart(opened, size, isAlone, atEnd)
  }

  private constructor(
    opened: Tried<SpoolSource | undefined>,
    bytes: number,
    isAlone: () => boolean,
    atEnd: () => Promise<void>,
  ) {
    this.#spool = opened.ok ? opened.value : undefined
    this.bytes = bytes
    this.#isAlone = isAlone
    this.#atEnd = atEnd
    const delivered = ifWhole(() => this.#spool !== undefined && hasDelivered(this.#spool))
    this.deliveredToArchive = delivered.ok && delivered.value
    this.#damage = problemOf(opened) ?? problemOf(delivered)
  }

  /** Where it is damaged, of whichever trail; known when it was read. */
  get problem(): Problem | undefined {
    if (this.#damage === undefined) return undefined
    const place = { source: this.source, file: this.name, line: this.#last + 1 } as const
    return { kind: 'malformed', trail: null, sequence: null, toSequence: null, ...place, problem: this.#damage }
  }

  get removed(): RemovedBefore | undefined {
    if (!this.#isAlone()) return undefined
    return { line: this.#first, why: 'what stood before has been delivered, and is not here' }
  }

  async *blocks(): AsyncGenerator<PartBlock> {
    for (let rows = this.#next(); rows.length > 0; rows = rows.length < rowsPerBlock ? [] : this.#next()) {
      yield blockOf(rows)
      // Room for others: reading a page holds up the process.
      await setImmediate()
    }
    await this.#atEnd()
  }

  lineAt(position: number): Promise<Buffer | undefined> {
    const read = ifWhole(() => this.#spool?.after(position - 1, 1)[0])
    const row = read.ok ? read.value : undefined
    return Promise.resolve(row?.position === position ? Buffer.from(row.line) : undefined)
  }

  close(): void {
    this.#spool?.close()
  }

  #next(): readonly SpooledRecord[] {
    const read = ifWhole(() => this.#spool?.after(this.#last, rowsPerBlock) ?? [])
    this.#damage ??= problemOf(read)
    const rows = read.ok ? read.value : []
    const [first, last] = [rows[0], rows.at(-1)]
    if (first === undefined || last === undefined) return []
    if (this.#first === Infinity || (first.position > this.#last + 1 && this.#isFreed())) this.#first = first.position
    this.#last = last.position
    return rows
  }

  /** Whether all that was read has been delivered and freed since: then more may have gone unread. */
  #isFreed(): boolean {
    const read = ifWhole(() => this.#spool?.after(0, 1)[0])
    return read.ok && read.value !== undefined && read.value.position > this.#last
  }
}

/** A result, or what is damaged. */
type Tried<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly problem: string }

function ifWhole<Value>(read: () => Value): Tried<Value> {
  try {
    return { ok: true, value: read() }
  } catch (fault) {
    if (!(fault instanceof CountersignError) || fault.code !== 'SPOOL_DAMAGED') throw fault
    return { ok: false, problem: `the spool is damaged, and cannot be read from here on: ${fault.message}` }
  }
}

function problemOf(tried: Tried<unknown>): string | undefined {
  return tried.ok ? undefined : tried.problem
}

/** The spool forgets the sinks that the settings no longer name; those of Kafka make notes. */
function hasDelivered(spool: SpoolSource): boolean {
  const { position, mark } = spool.cursor?.('archive') ?? { position: 0, mark: null }
  return position > 0 && mark === null
}

function blockOf(rows: readonly SpooledRecord[]): PartBlock {
  const lines = rows.map(({ line }) => Buffer.from(line))
  let end = 0
  const ends = Uint32Array.from(lines, ({ length }) => (end += length))
  const bytes = Buffer.allocUnsafeSlow(end)
  for (const [index, line] of lines.entries()) line.copy(bytes, (ends[index] as number) - line.length)
  return {
    bytes,
    ends,
    numbers: Float64Array.from(rows, ({ position }) => position),
    rows: rows.map(({ trail, sequence }) => ({ trail, sequence })),
  }
}
