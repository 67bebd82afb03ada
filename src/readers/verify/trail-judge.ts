import type { NamedEnd } from './assembly.ts'
import { asProblem, type Blamed } from './blame.ts'
import { problemsOfEnd } from './ends.ts'
import { said } from './problem-list.ts'
import type { Place, Problem } from './problem.ts'
import type { TrailCheck } from './trail-check.ts'
import { endOf } from './verified-trail.ts'

/** Says what is wrong with one trail, when all its lines have been met. */
export class TrailJudge {
  readonly notes: string[] = []
  readonly #check: TrailCheck
  readonly #named: readonly NamedEnd[]
  readonly #bad: readonly Blamed[]
  readonly #lost: TrailCheck['lost']

  constructor(check: TrailCheck, named: readonly NamedEnd[], bad: readonly Blamed[], lost: TrailCheck['lost']) {
    this.#check = check
    this.#named = named
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
    const harmless = check.problems.isEmpty && ends.length === 0 && hole === undefined
    const bad = this.#bad.filter((line) => !(harmless && this.#isUnfinished(line)))
    const lines = new Map(bad.map((line) => [asProblem(line), line]))
    const found = [...lines.keys(), ...check.problems.all, ...ends, ...this.#missing()]
    found.sort((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0))
    const [first] = found
    if (first === undefined) return announced
    const line = lines.get(first)
    return [...announced, line === undefined ? first : asProblem(line, true)]
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
    const { source, file, line } = place
    return { kind: 'lost', trail: this.#check.trail, sequence: from, toSequence: to, source, file, line, problem }
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
      problems.all.some(({ sequence }) => sequence !== null && sequence >= from && sequence <= to)
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
    if (endOf(this.#check, this.#named) !== 'open' || this.#check.tip.sequence >= expected) return false
    this.notes.push(`${at}: the last line is cut short: its record was not acknowledged yet, or is cut off`)
    return true
  }
}
