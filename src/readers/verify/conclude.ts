import type { Assembly, NamedEnd } from './assembly.ts'
import { blame, type Blamed } from './blame.ts'
import { problemsOfEnd } from './ends.ts'
import { changedBit } from './changed-bit.ts'
import type { Place, Problem } from './problem.ts'
import { said, type TrailCheck } from './trail-check.ts'

/** One trail, as far as it is whole. */
export interface VerifiedTrail {
  readonly trail: string
  readonly whole: boolean
  /** Records that were judged: up to the first problem. */
  readonly records: number
  /** Records that came more than once. */
  readonly duplicates: number
  readonly firstSequence: number | null
  readonly lastSequence: number | null
  readonly lastHash: string | null
  /** Whether its last record says that its writer closed it. */
  readonly closed: boolean
  /** What within the data speaks for its end: the trail that follows names it, or the closing record; else nothing does. */
  readonly end: 'named' | 'closed' | 'open'
  /** Up to which sequence an earlier run or an outside checkpoint vouches for it; 0 where none does. */
  readonly provenTo: number
  readonly provenBy: 'state' | 'checkpoints' | null
  readonly endProven: boolean
  /** The last checkpoint that agrees with the records. `key` is null where signatures were not checked. */
  readonly signed: { readonly size: number; readonly root: string; readonly key: string | null } | null
  /** Where its last record stands. */
  readonly lastPlace: Place | null
  /** `recordedat` of the first and the last record. */
  readonly from: string | null
  readonly to: string | null
}

export interface Conclusion {
  readonly trails: readonly VerifiedTrail[]
  readonly problems: readonly Problem[]
  readonly notes: readonly string[]
}

/** Judges the trails when all their lines have been met. */
export function conclude(assembly: Assembly): Conclusion {
  const blamed = blame(assembly.bad, assembly.trails)
  const trails: VerifiedTrail[] = []
  const problems: Problem[] = []
  const notes: string[] = []
  const lost = [...assembly.trails.values()].flatMap((check) => check.lost)
  for (const check of [...assembly.trails.values()].sort(byAge)) {
    const own = blamed.filter(({ trail }) => trail === check.trail)
    const judge = new TrailJudge(check, assembly, own, lost)
    const found = judge.problems()
    problems.push(...found)
    trails.push(judge.trail(found))
    notes.push(...check.notes, ...judge.notes)
  }
  problems.push(...blamed.filter(({ trail }) => trail === null || !assembly.trails.has(trail)).map(asProblem))
  return { trails, problems, notes }
}

/** What speaks for an end that nothing outside the data proves. */
const evidence = {
  named: 'the trail that follows names it',
  closed: 'its last record closes it',
  open: 'it is still being written, or nothing says what its last record was',
}

class TrailJudge {
  readonly notes: string[] = []
  readonly #check: TrailCheck
  readonly #assembly: Assembly
  readonly #bad: readonly Blamed[]
  readonly #lost: TrailCheck['lost']

  constructor(check: TrailCheck, assembly: Assembly, bad: readonly Blamed[], lost: TrailCheck['lost']) {
    this.#check = check
    this.#assembly = assembly
    this.#bad = bad
    this.#lost = lost.filter(({ trail }) => trail === check.trail)
  }

  /** What its writer says is lost, and the first of what is wrong beside that. */
  problems(): Problem[] {
    const announced = this.#passLost()
    const check = this.#check
    const hole = check.hole
    const ends = hole === undefined ? this.#ends(announced) : []
    check.end(this.#named)
    const harmless = check.problems.length + ends.length === 0 && hole === undefined
    const bad = this.#bad.filter((line) => !(harmless && this.#isUnfinished(line)))
    const found = [...bad.map(asProblem), ...check.problems, ...ends, ...this.#missing()]
    found.sort((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0))
    return [...announced, ...found.slice(0, 1)]
  }

  trail(problems: readonly Problem[]): VerifiedTrail {
    const check = this.#check
    const { tip, begin, signed } = check
    const isEmpty = tip.sequence < begin
    const whole = problems.length === 0
    const endProven = whole && check.provenTo === tip.sequence
    const duplicates = check.met + (check.doubles?.count ?? 0)
    const result: VerifiedTrail = {
      trail: check.trail,
      whole,
      records: tip.sequence - begin + 1,
      duplicates,
      firstSequence: isEmpty ? null : begin,
      lastSequence: isEmpty ? null : tip.sequence,
      lastHash: isEmpty ? null : tip.hash,
      closed: check.closed,
      end: this.#end,
      provenTo: check.provenTo,
      provenBy: check.provenBy ?? null,
      endProven,
      signed: signed === undefined ? null : { ...signed, root: signed.root.toString('base64') },
      lastPlace: check.lastPlace ?? null,
      from: check.from,
      to: check.to,
    }
    this.#noteOn(result)
    return result
  }

  get #named(): readonly NamedEnd[] {
    return this.#assembly.named.get(this.#check.trail) ?? []
  }

  get #end(): VerifiedTrail['end'] {
    return this.#named.length > 0 ? 'named' : this.#check.closed ? 'closed' : 'open'
  }

  /** Holes that the writer itself announced are passed: what follows them is judged. */
  #passLost(): Problem[] {
    const problems: Problem[] = []
    for (let hole = this.#check.hole; hole !== undefined; hole = this.#check.hole) {
      const { from, to, place } = hole
      const said = this.#lost.find((range) => range.from <= from && range.to >= to)
      if (said === undefined) break
      problems.push(this.#lostProblem(from, to, place, said))
      this.#check.passHole()
    }
    return problems
  }

  #lostProblem(
    from: number,
    to: number,
    place: Place,
    { by, reason, place: there }: TrailCheck['lost'][number],
  ): Problem {
    const problem = `records were lost, as ${by} says at ${there.file}:${String(there.line)} (${reason})`
    return { kind: 'lost', trail: this.#check.trail, sequence: from, toSequence: to, ...place, problem }
  }

  #ends(announced: Problem[]): Problem[] {
    const ends = problemsOfEnd(this.#check, this.#named)
    return ends.flatMap((problem) => {
      const [from, to] = [problem.sequence ?? 0, problem.toSequence ?? problem.sequence ?? 0]
      const said = this.#lost.find((range) => range.from <= from && range.to >= to)
      if (problem.kind !== 'truncated' || said === undefined) return [problem]
      announced.push(this.#lostProblem(from, to, problem, said))
      return []
    })
  }

  /** Records that are missing, and that no bad line stands for. */
  #missing(): Problem[] {
    const { hole, trail, problems } = this.#check
    const missing = (from: number, to: number, place: Place, where: string): Problem => {
      const which = from === to ? `${said(from)} is` : `sequences ${String(from)} to ${String(to)} are`
      const toSequence = to === from ? null : to
      return { kind: 'missing', trail, sequence: from, toSequence, ...place, problem: `${which} missing ${where}` }
    }
    const found: Problem[] = []
    const explained = (from: number, to: number): boolean =>
      this.#bad.some(({ sequence }) => sequence !== null && sequence >= from && sequence <= to) ||
      problems.some(({ sequence }) => sequence !== null && sequence >= from && sequence <= to)
    if (hole !== undefined && !explained(hole.from, hole.to))
      found.push(missing(hole.from, hole.to, hole.place, 'before this record'))
    for (const { from, to, place, filled } of this.#check.streams.get('archive')?.jumps ?? []) {
      if (filled || from < this.#check.begin || hole !== undefined || explained(from, to)) continue
      if (this.#lost.some((range) => range.from <= from && range.to >= to)) continue
      found.push(missing(from, to, place, 'from the archive, which goes on behind it; the spool still has it'))
    }
    return found
  }

  /** A last line that is being written, or was when its writer was killed: its record was not delivered there yet. */
  #isUnfinished({ bad }: Blamed): boolean {
    if (bad.torn === undefined || bad.source !== 'archive') return false
    const { expected, whole } = bad.torn
    const at = `${bad.file}:${String(bad.line)}`
    if (whole !== undefined) {
      this.notes.push(
        `${at}: the last line is cut short; its record stands whole at ${whole.file}:${String(whole.line)}`,
      )
      return true
    }
    if (this.#end !== 'open' || this.#check.tip.sequence >= expected) return false
    this.notes.push(`${at}: the last line is cut short: its record was not acknowledged yet, or is cut off`)
    return true
  }

  #noteOn(trail: VerifiedTrail): void {
    const { doubles } = this.#check
    const id = trail.trail
    if (doubles !== undefined) {
      const { count, first, sequence } = doubles
      const at = `${first.file}:${String(first.line)}`
      this.notes.push(
        `${id}: ${counted(count)} met again, byte for byte the same, as delivery at least once allows; first ${said(sequence)}, at ${at}`,
      )
    }
    const { begin, removed, uncheckable } = this.#check
    if (begin > 1) {
      const roots = uncheckable === 0 ? '' : `; the roots of its ${String(uncheckable)} checkpoints are not checkable`
      this.notes.push(`${id}: begins with ${said(begin)}: ${removed ?? ''}${roots}`)
    }
    if (trail.whole && !trail.endProven) {
      const proven = trail.provenTo === 0 ? '' : ` behind ${said(trail.provenTo)}`
      const signed = begin === 1 && trail.signed === null ? '; no checkpoint signs any of it' : ''
      this.notes.push(`${id}: end not proven${proven}: ${evidence[trail.end]}${signed}`)
    }
    const named = this.#named
    if (named.length > 1) {
      this.notes.push(`${id}: several trails say that they follow it: ${named.map(({ by }) => by).join(', ')}`)
    }
  }
}

function counted(count: number): string {
  return count === 1 ? '1 record was' : `${count.toLocaleString('en')} records were`
}

function asProblem({ bad, trail, sequence }: Blamed): Problem {
  const { source, file, line, found, torn } = bad
  const bit = found.bytes === undefined ? undefined : changedBit(found.bytes)
  const problem =
    torn !== undefined ? 'the line is cut short' : bit === undefined ? found.problem : `${found.problem}: ${bit}`
  return {
    kind: torn !== undefined ? 'torn' : found.kind,
    trail,
    sequence,
    toSequence: null,
    source,
    file,
    line,
    problem,
  }
}

/** A trail id ends with a UUIDv7, which grows with time. */
function byAge({ trail: a }: TrailCheck, { trail: b }: TrailCheck): number {
  const keys = [a, b].map((trail) => `${trail.slice(0, -36)}\n${trail.slice(-36)}`)
  return (keys[0] as string) < (keys[1] as string) ? -1 : 1
}
