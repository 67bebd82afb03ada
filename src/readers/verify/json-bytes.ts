const quote = 0x22
const backslash = 0x5c
const minus = 0x2d
const dot = 0x2e
const zero = 0x30
const nine = 0x39

/** What may follow a backslash beside `u`: `"`, `\`, `/`, b, f, n, r, t. */
const escapes = new Set(Buffer.from('"\\/bfnrt'))
/** Bytes of a text that stand for themselves: 1. */
const plain = new Uint8Array(256).fill(1, 0x20)
plain[quote] = 0
plain[backslash] = 0
const words = ['true', 'false', 'null'].map((word) => ({ head: word.charCodeAt(0), bytes: Buffer.from(word) }))
/** A record is a few levels deep; what is deeper is left to JSON.parse. */
const deepest = 32

/**
 * Whether the bytes from `start` to `end`, which must be UTF-8, are one JSON object without white space, as records are written.
 * MUST NOT say yes where JSON.parse throws; where it says no, ask JSON.parse. It looks at each byte once and makes no objects, because
 * verifying reads far more than it needs to understand.
 */
export function isPlainJson(bytes: Uint8Array, start: number, end: number): boolean {
  const scan = new Scan(bytes, end)
  return bytes[start] === 0x7b && scan.value(start, 0) === end
}

class Scan {
  readonly #bytes: Uint8Array
  readonly #end: number

  constructor(bytes: Uint8Array, end: number) {
    this.#bytes = bytes
    this.#end = end
  }

  /** Each returns where its part ends, or -1. */
  value(at: number, depth: number): number {
    const head = this.#bytes[at] as number
    if (at >= this.#end || depth > deepest) return -1
    if (head === quote) return this.#string(at)
    if (head === 0x7b) return this.#object(at, depth)
    if (head === 0x5b) return this.#array(at, depth)
    if (head === minus || (head >= zero && head <= nine)) return this.#number(at)
    return this.#word(at, head)
  }

  #object(start: number, depth: number): number {
    const bytes = this.#bytes
    if (bytes[start + 1] === 0x7d) return start + 2
    for (let at = start + 1; ; at += 1) {
      if (bytes[at] !== quote) return -1
      at = this.#string(at)
      if (at === -1 || bytes[at] !== 0x3a) return -1
      at = this.value(at + 1, depth + 1)
      if (at === -1) return -1
      if (bytes[at] === 0x7d) return at < this.#end ? at + 1 : -1
      if (bytes[at] !== 0x2c) return -1
    }
  }

  #array(start: number, depth: number): number {
    const bytes = this.#bytes
    if (bytes[start + 1] === 0x5d) return start + 2
    for (let at = start + 1; ; at += 1) {
      at = this.value(at, depth + 1)
      if (at === -1) return -1
      if (bytes[at] === 0x5d) return at < this.#end ? at + 1 : -1
      if (bytes[at] !== 0x2c) return -1
    }
  }

  #string(start: number): number {
    const bytes = this.#bytes
    const end = this.#end
    for (let at = start + 1; at < end; at += 1) {
      while (at < end && plain[bytes[at] as number] === 1) at += 1
      if (at >= end) return -1
      const byte = bytes[at] as number
      if (byte === quote) return at + 1
      if (byte !== backslash) return -1
      at = this.#escape(at + 1)
      if (at === -1) return -1
    }
    return -1
  }

  /** Returns where the escape's last character stands. */
  #escape(at: number): number {
    if (escapes.has(this.#bytes[at] as number)) return at
    if (this.#bytes[at] !== 0x75) return -1
    for (let digit = at + 1; digit <= at + 4; digit += 1) {
      if (!isHex(this.#bytes[digit] as number)) return -1
    }
    return at + 4
  }

  #number(start: number): number {
    const bytes = this.#bytes
    let at = bytes[start] === minus ? start + 1 : start
    if (bytes[at] === zero) at += 1
    else at = this.#digits(at)
    if (at !== -1 && bytes[at] === dot) at = this.#digits(at + 1)
    if (at === -1) return -1
    if (((bytes[at] as number) | 0x20) !== 0x65) return at
    const sign = bytes[at + 1] === minus || bytes[at + 1] === 0x2b ? 1 : 0
    return this.#digits(at + 1 + sign)
  }

  /** One digit or more. */
  #digits(start: number): number {
    let at = start
    while ((this.#bytes[at] as number) >= zero && (this.#bytes[at] as number) <= nine) at += 1
    return at === start ? -1 : at
  }

  #word(at: number, head: number): number {
    const word = words.find((known) => known.head === head)?.bytes
    if (word === undefined) return -1
    for (let index = 1; index < word.length; index += 1) {
      if (this.#bytes[at + index] !== word[index]) return -1
    }
    return at + word.length
  }
}

function isHex(byte: number): boolean {
  return (byte >= zero && byte <= nine) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
}
