import type { Place, Problem, ProblemKind } from './problem.ts'

const mostProblems = 500

/** What was found wrong with one trail, in the order in which it was met. */
export class ProblemList {
  readonly all: Problem[] = []
  readonly #trail: string

  constructor(trail: string) {
    this.#trail = trail
  }

  get isEmpty(): boolean {
    return this.all.length === 0
  }

  add(kind: ProblemKind, sequence: number, place: Place, problem: string, to = sequence): void {
    this.put(this.of(kind, sequence, place, problem, to))
  }

  /** Of very many the first are kept, by sequence: one of them is named. */
  put(problem: Problem): void {
    this.all.push(problem)
    if (this.all.length < 2 * mostProblems) return
    this.all.sort((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0))
    this.all.length = mostProblems
  }

  /** A problem that is not added yet. */
  of(kind: ProblemKind, sequence: number, place: Place, problem: string, to = sequence): Problem {
    return { kind, trail: this.#trail, sequence, toSequence: to === sequence ? null : to, ...place, problem }
  }
}

export function said(sequence: number): string {
  return sequence === 0 ? 'nothing' : `sequence ${String(sequence)}`
}
