/**
 * The trails of each replica in each part, so that it is known which is the oldest there. What is removed as agreed is always what
 * stands first: where records of an older trail are left, the younger ones of its replica have to be there from their first on.
 */
export class ReplicaOrder {
  /** The oldest trail so far, by part and replica. */
  readonly #oldest = new Map<string, string>()

  /** Notes a trail that was met in a part; says whether none of its replica that is older was met there before. */
  meets(part: string, trail: string): boolean {
    const key = keyOf(part, trail)
    const oldest = this.#oldest.get(key)
    if (oldest === undefined || ageOf(trail) < ageOf(oldest)) this.#oldest.set(key, trail)
    return oldest === undefined || ageOf(trail) <= ageOf(oldest)
  }

  hasOlder(part: string, trail: string): boolean {
    const oldest = this.#oldest.get(keyOf(part, trail))
    return oldest !== undefined && ageOf(oldest) < ageOf(trail)
  }

  /** Whether an older trail was met in each part that has any of its replica, and there is one. */
  hasOlderAll(trail: string): boolean {
    const own = [...this.#oldest].filter(([key]) => key.endsWith(keyOf('', trail)))
    return own.length > 0 && own.every(([, oldest]) => ageOf(oldest) < ageOf(trail))
  }
}

/** A trail's id is that of its replica, a hyphen, and a UUIDv7, which grows with time. */
const uuidLength = 36

function keyOf(part: string, trail: string): string {
  return `${part}\n${trail.slice(0, -uuidLength)}`
}

function ageOf(trail: string): string {
  return trail.slice(-uuidLength)
}
