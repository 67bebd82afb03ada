import type { Cursor } from '../protocol.ts'

/** Cursors that wait to be written, by sink. */
export class CursorMoves {
  readonly #moves = new Map<string, Cursor>()

  get size(): number {
    return this.#moves.size
  }

  /** The newer position counts; but where one of two goes back, what is written has to go back too. */
  add(cursor: Cursor): void {
    const rewound = cursor.rewound || this.#moves.get(cursor.sink)?.rewound === true
    this.#moves.set(cursor.sink, { ...cursor, rewound })
  }

  take(): readonly Cursor[] {
    const moves = [...this.#moves.values()]
    this.#moves.clear()
    return moves
  }

  /** Gives back what could not be written; what came meanwhile is newer. */
  restore(cursors: readonly Cursor[]): void {
    const newer = this.take()
    for (const cursor of [...cursors, ...newer]) this.add(cursor)
  }
}
