/** Counts what is under way and makes the caller wait while it is too much. */
export class Backlog {
  readonly #limit: number
  #underWay = 0
  #room: (() => void) | undefined
  #released = false

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Takes one more. Resolves at once while there is room, else when enough has ended. The work must not reject. */
  async add(work: Promise<unknown>): Promise<void> {
    this.#underWay += 1
    void work.finally(() => {
      this.#underWay -= 1
      if (this.#underWay < this.#limit) this.#room?.()
    })
    if (this.#released || this.#underWay < this.#limit) return
    await new Promise<void>((resolve) => (this.#room = resolve))
  }

  /** Holds nobody up any more. */
  release(): void {
    this.#released = true
    this.#room?.()
  }
}
