/**
 * Tells the records of one trail that were seen before from new ones. Bounded: it knows the places that it met last, which
 * is enough for readers, because lines come merged by sequence.
 */
export class RecentPlaces {
  readonly #hashes = new Map<number, readonly string[]>()
  readonly #limit: number

  constructor(limit = 4096) {
    this.#limit = limit
  }

  /** `fork`: another record stands in the same place. */
  see(sequence: number, hash: string): 'new' | 'duplicate' | 'fork' {
    const known = this.#hashes.get(sequence)
    if (known?.includes(hash) === true) return 'duplicate'
    this.#hashes.set(sequence, [...(known ?? []), hash])
    if (this.#hashes.size > this.#limit) this.#forgetOldest()
    return known === undefined ? 'new' : 'fork'
  }

  #forgetOldest(): void {
    const [oldest] = this.#hashes.keys()
    if (oldest !== undefined) this.#hashes.delete(oldest)
  }
}
