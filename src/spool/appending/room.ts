/** Lets those who bring more wait until there is room for it. */
export class Room {
  #waiting: (() => void)[] = []

  /** Resolves at once where there is room, else with the next `open`, in the order of asking. */
  wait(hasRoom: boolean): Promise<void> {
    if (hasRoom) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** There is room again. */
  open(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
