import { readLedger, unrecorded } from './ledger.ts'
import { linesOf } from './lines.ts'

/** What a topic says of the answers that a client received. Lists hold the first few of what they name. */
export interface Verdict {
  /** Answers that the client took for recorded. */
  readonly accepted: number
  /** Of these, the ones without a record. */
  readonly lost: Found
  /** Of these, the ones whose record says otherwise. */
  readonly contradicted: Found
  /** Allows without a record that allows, whatever their reason. */
  readonly unrecordedAllows: Found
  /** Decisions that stand in the trails twice, at different places, without one superseding the other. */
  readonly doubled: Found
  /** Places (trail, sequence) with two hashes. */
  readonly forks: Found
  /** Places that are missing before the last of their trail. */
  readonly holes: Found
  /** Denials that say that their record may be missing; and how many of them are, in fact. */
  readonly refused: number
  readonly refusedUnrecorded: number
  /** What the trails say themselves of decisions that they lack. */
  readonly gapDecisions: number
  readonly gapAccesses: number
  readonly trails: readonly string[]
  /** Different records, and how often one was delivered again. */
  readonly records: number
  readonly redelivered: number
  readonly accesses: number
}

export interface Found {
  readonly count: number
  readonly first: readonly string[]
}

/** Compares the ledger of a client with the records of a topic, each file read once and never held. */
export async function judge(ledger: string, dump: string): Promise<Verdict> {
  const { decisions, ...rest } = await readTopic(dump)
  const [lost, contradicted, unrecordedAllows] = [new Finding(), new Finding(), new Finding()]
  let [accepted, refused, refusedUnrecorded] = [0, 0, 0]
  for await (const { decisionId, effect, reason } of readLedger(ledger)) {
    const recorded = decisions.get(decisionId)
    const allowed = recorded?.startsWith('allow ') ?? false
    if (effect === 'allow' && !allowed) unrecordedAllows.add(decisionId)
    if (unrecorded.has(reason)) {
      refused += 1
      if (recorded === undefined || allowed) refusedUnrecorded += 1
      continue
    }
    accepted += 1
    if (recorded === undefined) lost.add(decisionId)
    else if (recorded !== `${effect} ${reason}`) contradicted.add(decisionId)
  }
  return { accepted, lost, contradicted, unrecordedAllows, refused, refusedUnrecorded, ...rest }
}

/** The part of a record that is looked at. */
interface Line {
  readonly type: string
  readonly trail: string
  readonly sequence: string
  readonly hash: string
  readonly data: {
    readonly decisionId?: string
    readonly effect?: string
    readonly reason?: string
    readonly supersedes?: boolean
    readonly change?: string
    readonly of?: string
    readonly count?: number
  }
}

async function readTopic(dump: string) {
  const places = new Places()
  // `<effect> <reason>` of each decision id; a superseding record comes later, and counts.
  const decisions = new Map<string, string>()
  const shared = new Map<string, string>()
  const doubled = new Finding()
  let [gapDecisions, gapAccesses, accesses] = [0, 0, 0]
  for await (const line of linesOf(dump)) {
    const { type, data, ...place } = JSON.parse(line) as Line
    if (!places.isNew(place)) continue
    if (type === 'io.countersign.access.v1') accesses += 1
    if (type === 'io.countersign.trail.v1' && data.change === 'gap') {
      if (data.of === 'decision') gapDecisions += data.count ?? 0
      if (data.of === 'access') gapAccesses += data.count ?? 0
    }
    if (type !== 'io.countersign.decision.v1') continue
    const { decisionId = '', effect = '', reason = '', supersedes } = data
    if (decisions.has(decisionId) && supersedes !== true) doubled.add(decisionId)
    const said = `${effect} ${reason}`
    if (!shared.has(said)) shared.set(said, said)
    decisions.set(decisionId, shared.get(said) ?? said)
  }
  const { trails, records, redelivered, forks } = places
  const counted = { trails, records, redelivered, gapDecisions, gapAccesses, accesses }
  return { decisions, doubled, forks, holes: places.holes(), ...counted }
}

/** The places that were seen, with the hash at each. */
class Places {
  readonly #hashes = new Map<string, string[]>()
  readonly forks = new Finding()
  records = 0
  redelivered = 0

  get trails(): string[] {
    return [...this.#hashes.keys()]
  }

  /** Whether nothing was seen at this place yet. Another hash at a place that is taken is a fork. */
  isNew({ trail, sequence, hash }: Pick<Line, 'trail' | 'sequence' | 'hash'>): boolean {
    let hashes = this.#hashes.get(trail)
    if (hashes === undefined) this.#hashes.set(trail, (hashes = []))
    const at = Number(sequence)
    const known = hashes[at]
    if (known === undefined) {
      // A string of its own: a slice would keep the whole line.
      hashes[at] = Buffer.from(hash, 'hex').toString('latin1')
      this.records += 1
      return true
    }
    if (known === Buffer.from(hash, 'hex').toString('latin1')) this.redelivered += 1
    else this.forks.add(`${trail} ${sequence}`)
    return false
  }

  holes(): Found {
    const found = new Finding()
    for (const [trail, hashes] of this.#hashes) {
      for (let at = 1; at < hashes.length; at += 1) if (hashes[at] === undefined) found.add(`${trail} ${at}`)
    }
    return found
  }
}

class Finding implements Found {
  count = 0
  readonly first: string[] = []

  add(what: string): void {
    this.count += 1
    if (this.first.length < 5) this.first.push(what)
  }
}
