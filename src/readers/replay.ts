import type { ParsedRecord } from '../audit/chain.ts'
import type { Filter } from './filter.ts'
import { textAt } from './members.ts'
import { stageOf } from './policy-request.ts'
import { replayDecision, type ChangeKind, type ReplayPolicy } from './replay-change.ts'
import { takeDecisions } from './replay-source.ts'
import { ChangeTally, type Changes } from './replay-tally.ts'
import type { OpenSpool } from './source.ts'

/** How often each name was met. */
export type Counts = Readonly<Record<string, number>>

/** What a policy changes of what was decided. `decisions` is the sum of what is replayed and what cannot be. */
export interface Replay {
  readonly policyVersion: string
  /** Decisions of the time asked for, each once. */
  readonly decisions: number
  readonly replayed: number
  readonly unchanged: number
  readonly changes: { readonly [kind in ChangeKind]: Changes }
  /** Their record no longer holds what the policy would read: masked or cut. By token; a decision may lack several. */
  readonly unreplayable: { readonly count: number; readonly tokens: Counts }
  /** The same under any policy, by reason. */
  readonly beforePolicy: { readonly count: number; readonly reasons: Counts }
  /** The record does not hold what a policy answered, by reason. */
  readonly noAnswer: { readonly count: number; readonly reasons: Counts }
  /** Decisions, counted above, whose answer was replaced by a denial because its record came too late. */
  readonly superseded: number
  /** Versions of policy by which the replayed decisions were made. */
  readonly decidedBy: Counts
  /** Evaluations that failed: a denial each. */
  readonly faults: number
  readonly unreadable: { readonly count: number; readonly places: readonly UnreadableLine[] }
  /** Files that end in the middle of a line. */
  readonly torn: number
}

export interface UnreadableLine {
  /** Below the data folder; `spool` for the spool. */
  readonly file: string
  readonly line: number
  readonly problem: string
}

export interface ReplayOptions {
  /** Told now and then how far it is. */
  readonly onProgress?: (bytes: number, ofBytes: number, decisions: number) => void
  readonly openSpool?: OpenSpool
}

/**
 * Puts the decisions of a data folder to a policy and counts what would change. Reads only, bounded memory. Throws
 * ARCHIVE_UNREADABLE and what the spool throws.
 */
export async function replay(
  dir: string,
  filter: Filter,
  policy: ReplayPolicy,
  { onProgress, openSpool }: ReplayOptions = {},
): Promise<Replay> {
  const tally = new ReplayTally(policy)
  const taker = {
    decision: (record: ParsedRecord) => {
      if (filter.matches(record)) tally.take(record)
    },
    unreadable: (file: string, line: number, problem: string) => {
      tally.unreadable({ file, line, problem })
    },
    torn: () => {
      tally.torn += 1
    },
    progress: (bytes: number, ofBytes: number) => onProgress?.(bytes, ofBytes, tally.decisions),
  }
  await takeDecisions(dir, filter.days, taker, openSpool)
  return tally.result()
}

/** Unreadable lines that are named. */
const maxPlaces = 20
/** Names that are counted apart; more only where somebody made them up. */
const maxNames = 200

class NameCounts {
  count = 0
  readonly #names = new Map<string, { count: number }>()

  /** Counts one decision under each of the names. */
  add(...names: readonly string[]): void {
    this.count += 1
    for (const name of names) this.#counterOf(name).count += 1
  }

  #counterOf(name: string): { count: number } {
    const counter = this.#names.get(name)
    if (counter !== undefined) return counter
    const known = this.#names.size < maxNames ? name : 'others'
    const added = this.#names.get(known) ?? { count: 0 }
    this.#names.set(known, added)
    return added
  }

  get names(): Counts {
    return Object.fromEntries([...this.#names].map(([name, { count }]) => [name, count]))
  }
}

class ReplayTally {
  decisions = 0
  torn = 0
  readonly #policy: ReplayPolicy
  readonly #changes = { allow: new ChangeTally(), deny: new ChangeTally(), rule: new ChangeTally() }
  readonly #unreplayable = new NameCounts()
  readonly #beforePolicy = new NameCounts()
  readonly #noAnswer = new NameCounts()
  readonly #decidedBy = new NameCounts()
  readonly #places: UnreadableLine[] = []
  #unchanged = 0
  #superseded = 0
  #faults = 0
  #unreadable = 0

  constructor(policy: ReplayPolicy) {
    this.#policy = policy
  }

  take(record: ParsedRecord): void {
    // The record that it supersedes holds what the policy answered.
    if (record.data['supersedes'] === true) {
      this.#superseded += 1
      return
    }
    this.decisions += 1
    const reason = textAt(record, 'reason') ?? 'none'
    const stage = stageOf(reason)
    if (stage === 'policy') this.#replay(record)
    else if (stage === 'before-policy') this.#beforePolicy.add(reason)
    else this.#noAnswer.add(reason)
  }

  unreadable(line: UnreadableLine): void {
    this.#unreadable += 1
    if (this.#places.length < maxPlaces) this.#places.push(line)
  }

  #replay(record: ParsedRecord): void {
    const replayed = replayDecision(record, this.#policy)
    if (replayed.kind === 'unreplayable') {
      this.#unreplayable.add(...replayed.tokens)
      return
    }
    this.#decidedBy.add(textAt(record, 'policyVersion') ?? 'unknown')
    if (replayed.kind === 'unchanged') {
      this.#unchanged += 1
      return
    }
    if (replayed.change.after.fault !== undefined) this.#faults += 1
    this.#changes[replayed.change.kind].add(replayed.change)
  }

  result(): Replay {
    const { allow, deny, rule } = this.#changes
    const counted = ({ count, names }: NameCounts) => ({ count, reasons: names })
    return {
      policyVersion: this.#policy.ruleSet.policyVersion,
      decisions: this.decisions,
      replayed: this.#decidedBy.count,
      unchanged: this.#unchanged,
      changes: { allow: allow.changes(), deny: deny.changes(), rule: rule.changes() },
      unreplayable: { count: this.#unreplayable.count, tokens: this.#unreplayable.names },
      beforePolicy: counted(this.#beforePolicy),
      noAnswer: counted(this.#noAnswer),
      superseded: this.#superseded,
      decidedBy: this.#decidedBy.names,
      faults: this.#faults,
      unreadable: { count: this.#unreadable, places: this.#places },
      torn: this.torn,
    }
  }
}
