import type { CheckedLine, ParsedRecord } from '../audit/chain.ts'
import { openCheckpoint, type Checkpoint, type VerifierKey } from '../audit/checkpoint.ts'
import { eventTypes } from '../audit/event.ts'
import { LeafPath } from '../audit/merkle.ts'
import { textAt } from './members.ts'
import type { InclusionProof } from './proof.ts'
import { RecentPlaces } from './recent-places.ts'
import { recordsById } from './records-by-id.ts'
import type { DataFolder, TrailSource } from './source.ts'
import type { TrailLine } from './trail-line.ts'

/** A record, and what came of proving it. */
export interface Proving {
  readonly record: ParsedRecord
  readonly outcome: ProvingOutcome
}

export type ProvingOutcome =
  | {
      readonly kind: 'proved'
      readonly proof: InclusionProof
      readonly checkpoint: Checkpoint
      /** The key of `keys` that signed the checkpoint; undefined where none did. */
      readonly signedBy: VerifierKey | undefined
    }
  /** No checkpoint covers it yet; `ended` where none will, because its trail is no longer written. */
  | { readonly kind: 'uncovered'; readonly lastSequence: number; readonly ended: boolean }
  /** The trail, as it is found here, is not whole up to a checkpoint that covers the record. */
  | { readonly kind: 'broken'; readonly problem: string }

/**
 * Proves the records that an id names (`recordsById`), each with the first checkpoint after it, from what a data folder keeps of their
 * trails. None where the folder does not have the id. A checkpoint that bears the name of one of `keys` has to be signed with it; one
 * of another key is taken as it is, for whoever checks the proof to judge. Memory does not grow with the trail. Throws
 * ARCHIVE_UNREADABLE and what the spool throws.
 */
export async function prove(folder: DataFolder, id: string, keys: readonly VerifierKey[]): Promise<readonly Proving[]> {
  const records = await recordsById(folder, id)
  const outcomes = new Map<ParsedRecord, ProvingOutcome>()
  for (const [trail, own] of Map.groupBy(records, (record) => record.trail)) {
    const source = folder.trails.find((known) => known.trail === trail)
    if (source === undefined) continue
    const prover = new TrailProver(trail, own, keys, hasFollower(folder, trail))
    for (const [record, outcome] of await prover.prove(source)) outcomes.set(record, outcome)
  }
  return records.flatMap((record) => {
    const outcome = outcomes.get(record)
    return outcome === undefined ? [] : [{ record, outcome }]
  })
}

/** Trails are in order of replica, then of age; a trail id ends with a UUID. */
function hasFollower({ trails }: DataFolder, trail: string): boolean {
  const next = trails[trails.findIndex((known) => known.trail === trail) + 1]
  return next?.trail.slice(0, -36) === trail.slice(0, -36)
}

/** A record on the way to its checkpoint. */
interface Followed {
  readonly record: ParsedRecord
  readonly index: number
  readonly path: LeafPath
  line: string
}

type SoundLine = Extract<CheckedLine, { ok: true }>

class TrailProver {
  readonly #trail: string
  readonly #keys: readonly VerifierKey[]
  readonly #ended: boolean
  readonly #seen = new RecentPlaces()
  readonly #outcomes = new Map<ParsedRecord, ProvingOutcome>()
  #waiting: readonly Followed[]
  #last = 0

  constructor(trail: string, records: readonly ParsedRecord[], keys: readonly VerifierKey[], ended: boolean) {
    this.#trail = trail
    this.#keys = keys
    this.#ended = ended
    this.#waiting = records.map((record) => {
      const index = Number(record.sequence) - 1
      return { record, index, path: new LeafPath(index), line: '' }
    })
  }

  /** Reads the trail from its beginning until everything is proved, or cannot be. */
  async prove(source: TrailSource): Promise<ReadonlyMap<ParsedRecord, ProvingOutcome>> {
    for await (const line of source.lines()) {
      const problem = this.#take(line)
      if (problem !== undefined) this.#settle({ kind: 'broken', problem })
      if (this.#waiting.length === 0) break
    }
    this.#settle({ kind: 'uncovered', lastSequence: this.#last, ended: this.#ended })
    return this.#outcomes
  }

  #settle(outcome: ProvingOutcome): void {
    for (const { record } of this.#waiting) this.#outcomes.set(record, outcome)
    this.#waiting = []
  }

  /** Takes the next line; returns what is wrong where the trail does not go on with it. */
  #take({ checked, text, torn, where }: TrailLine): string | undefined {
    if (torn !== undefined) return undefined
    const at = `at ${where.file}:${String(where.line)}`
    if (!checked.ok) return `${at}: ${checked.problem}`
    const { sequence, hash } = checked.place
    const seen = this.#seen.see(sequence, hash)
    if (seen === 'duplicate') return undefined
    if (seen === 'fork') return `${at}: another record stands in the same place (a fork)`
    if (sequence !== this.#last + 1) return `${at}: ${this.#missingBefore(sequence)}`
    const problem = this.#close(checked)
    if (problem !== undefined) return `${at}: ${problem}`
    this.#last = sequence
    for (const followed of this.#waiting) {
      if (sequence === followed.index + 1) followed.line = text
      followed.path.append(hash)
    }
    return undefined
  }

  #missingBefore(sequence: number): string {
    const from = `sequence ${String(this.#last + 1)} is expected here, and ${String(sequence)} stands here`
    return this.#last === 0 ? `${from}: a proof needs its trail from the beginning` : from
  }

  /** Where the record is a checkpoint: proves all that it covers. */
  #close({ record, place }: SoundLine): string | undefined {
    const covered = this.#waiting.filter(({ index }) => index + 1 < place.sequence)
    if (record.type !== eventTypes.checkpoint || covered.length === 0) return undefined
    const note = textAt(record, 'note') ?? ''
    const opened = openCheckpoint(note, this.#keys)
    if (!opened.ok && opened.reason === 'bad-signature') return opened.problem
    const { checkpoint } = opened
    if (checkpoint?.origin !== this.#trail || checkpoint.size !== place.sequence - 1) {
      return 'the checkpoint is not of the records before it'
    }
    const signedBy = opened.ok ? opened.signedBy : undefined
    for (const followed of covered) {
      const { root, path } = followed.path.prove()
      if (!root.equals(checkpoint.root)) return 'the records before the checkpoint do not have the root that it states'
      const proof = { line: followed.line, index: followed.index, path, note }
      this.#outcomes.set(followed.record, { kind: 'proved', proof, checkpoint, signedBy })
    }
    this.#waiting = this.#waiting.filter((followed) => !covered.includes(followed))
    return undefined
  }
}
