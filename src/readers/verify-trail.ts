import type { CheckedLine, ParsedRecord, RecordPlace } from '../audit/chain.ts'
import { eventTypes } from '../audit/event.ts'
import { firstPrevHash } from '../audit/record.ts'
import { openedBy, textAt } from './members.ts'
import { RecentPlaces } from './recent-places.ts'
import type { TrailSource } from './source.ts'
import type { TrailLine, Where } from './trail-line.ts'

/** A place where the proof fails. */
export interface BadPlace {
  readonly trail: string
  readonly sequence: number
  /** Below the data folder; `spool` with the position as the line. */
  readonly file: string
  readonly line: number
  readonly problem: string
}

/** What a trail's successor says of its end. */
export interface NamedEnd {
  readonly by: string
  readonly where: Where
  readonly sequence: number
  readonly hash: string
}

/** One trail, as far as it is whole. */
export interface VerifiedTrail {
  readonly trail: string
  readonly whole: boolean
  readonly records: number
  readonly duplicates: number
  readonly firstSequence: number | null
  readonly lastSequence: number | null
  readonly lastHash: string | null
  /** Whether its last record says that its writer closed it. */
  readonly closed: boolean
  /** What proves that nothing is cut off: the trail that follows names it, or the closing record; else nothing does. */
  readonly end: 'named' | 'closed' | 'open'
  /** `recordedat` of the first and the last record. */
  readonly from: string | null
  readonly to: string | null
}

export interface TrailVerdict {
  readonly trail: VerifiedTrail
  readonly bad?: BadPlace
  /** What is worth saying and is no damage. */
  readonly notes: readonly string[]
}

/**
 * Verifies one trail up to its first bad place, against what the trails that follow it say of its end. Where there is no archive,
 * its first records may have left the spool: it is verified from the first that is left. Bounded memory.
 */
export async function verifyTrail(
  source: TrailSource,
  named: readonly NamedEnd[],
  hasArchive: boolean,
): Promise<TrailVerdict> {
  const walk = new TrailWalk(source.trail, named, hasArchive)
  for await (const line of source.lines()) {
    const bad = walk.take(line)
    if (bad !== undefined) return walk.verdict(bad)
  }
  return walk.verdict(walk.problemAtEnd())
}

class TrailWalk {
  readonly #trail: string
  readonly #named: readonly NamedEnd[]
  readonly #hasArchive: boolean
  readonly #seen = new RecentPlaces()
  readonly #notes: string[] = []
  #last: { readonly place: RecordPlace; readonly record: ParsedRecord; readonly where: Where } | undefined
  #first: number | undefined
  #from: string | null = null
  #duplicates = 0
  #torn: (TrailLine & { readonly torn: Buffer }) | undefined

  constructor(trail: string, named: readonly NamedEnd[], hasArchive: boolean) {
    this.#trail = trail
    this.#named = named
    this.#hasArchive = hasArchive
  }

  /** Takes the next line; returns the bad place where it does not follow. */
  take(line: TrailLine): BadPlace | undefined {
    if (isTorn(line)) return this.#takeTorn(line)
    const { checked } = line
    if (!checked.ok) return this.#bad(this.#next, line.where, checked.problem)
    const seen = this.#seen.see(checked.place.sequence, checked.place.hash)
    if (seen === 'duplicate') {
      this.#duplicates += 1
      return undefined
    }
    const problem =
      seen === 'fork' ? 'another record stands in the same place (a fork)' : this.#problemOf(checked, line.where)
    if (problem !== undefined) return this.#bad(checked.place.sequence, line.where, problem)
    const torn = this.#endTorn(line)
    if (torn !== undefined) return torn
    this.#last = { place: checked.place, record: checked.record, where: line.where }
    this.#first ??= checked.place.sequence
    this.#from ??= checked.record.recordedat
    return undefined
  }

  /** What only the end can tell: records that are missing there. */
  problemAtEnd(): BadPlace | undefined {
    const end = this.#last
    const beyond = this.#named.find(({ sequence }) => sequence >= this.#next)
    if (beyond !== undefined) {
      const problem = `the trail ends with ${said(end?.place.sequence ?? 0)}, but ${beyond.by} names ${said(beyond.sequence)} as its last`
      return this.#bad(this.#next, this.#torn?.where ?? end?.where ?? beyond.where, problem)
    }
    if (this.#torn === undefined) return undefined
    const { where } = this.#torn
    if (this.#end !== 'open') return this.#bad(this.#next, where, 'the line is cut short')
    this.#notes.push(
      `${where.file}:${String(where.line)}: the last line is cut short: its record was not acknowledged yet, or is cut off`,
    )
    return undefined
  }

  verdict(bad: BadPlace | undefined): TrailVerdict {
    const end = this.#last
    const records = end === undefined ? 0 : end.place.sequence - (this.#first ?? 1) + 1
    const trail: VerifiedTrail = {
      trail: this.#trail,
      whole: bad === undefined,
      records,
      duplicates: this.#duplicates,
      firstSequence: this.#first ?? null,
      lastSequence: end?.place.sequence ?? null,
      lastHash: end?.place.hash ?? null,
      closed: this.#closed,
      end: this.#end,
      from: this.#from,
      to: end?.record.recordedat ?? null,
    }
    return bad === undefined ? { trail, notes: this.#notes } : { trail, bad, notes: this.#notes }
  }

  get #next(): number {
    return (this.#last?.place.sequence ?? 0) + 1
  }

  get #closed(): boolean {
    const last = this.#last?.record
    return last?.type === eventTypes.trail && textAt(last, 'change') === 'closed'
  }

  get #end(): VerifiedTrail['end'] {
    return this.#named.length > 0 ? 'named' : this.#closed ? 'closed' : 'open'
  }

  #problemOf({ place, record }: Extract<CheckedLine, { ok: true }>, where: Where): string | undefined {
    const { sequence, hash, prevHash } = place
    if (this.#last === undefined && !this.#hasArchive && sequence > 1) {
      this.#notes.push(
        `${this.#trail}: begins with ${said(sequence)}: what stood before has been delivered, and is not here`,
      )
      return this.#problemWithEnd(sequence, hash)
    }
    if (sequence < this.#next) return `the record stands after ${said(this.#next - 1)}: it is out of order`
    if (sequence > this.#next) return `${said(this.#next)} is expected here: records are missing, or out of order`
    if (prevHash !== (this.#last?.place.hash ?? firstPrevHash)) {
      return 'the record does not carry the hash of the one before it'
    }
    if (where.day !== undefined && !record.recordedat.startsWith(where.day)) {
      return `the record, of ${record.recordedat.slice(0, 10)}, stands in the folder of another day`
    }
    if (sequence === 1 && openedBy(record) === undefined)
      return 'the first record does not say that the trail was opened'
    return this.#problemWithEnd(sequence, hash)
  }

  #problemWithEnd(sequence: number, hash: string): string | undefined {
    for (const end of this.#named) {
      if (sequence > end.sequence) return `the trail goes on, but ${end.by} names ${said(end.sequence)} as its last`
      if (sequence === end.sequence && hash !== end.hash) return `${end.by} names another hash for this record`
    }
    return undefined
  }

  #takeTorn(line: TrailLine & { readonly torn: Buffer }): BadPlace | undefined {
    const before = this.#torn
    this.#torn = line
    return before === undefined ? undefined : this.#bad(this.#next, before.where, 'the line is cut short')
  }

  /** A torn line is harmless only where the same record follows, whole: its writer gave up the file and began another. */
  #endTorn(line: TrailLine): BadPlace | undefined {
    if (this.#torn === undefined) return undefined
    const { torn, where } = this.#torn
    this.#torn = undefined
    if (!Buffer.from(line.text).subarray(0, torn.length).equals(torn)) {
      return this.#bad(this.#next, where, 'the line is cut short')
    }
    this.#notes.push(
      `${where.file}:${String(where.line)}: the last line is cut short; its record stands whole at ${line.where.file}:${String(line.where.line)}`,
    )
    return undefined
  }

  #bad(sequence: number, { file, line }: Where, problem: string): BadPlace {
    return { trail: this.#trail, sequence, file, line, problem }
  }
}

function isTorn(line: TrailLine): line is TrailLine & { readonly torn: Buffer } {
  return line.torn !== undefined
}

function said(sequence: number): string {
  return sequence === 0 ? 'nothing' : `sequence ${String(sequence)}`
}
