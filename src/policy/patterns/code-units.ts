/** UTF-16 code units from one to another, both included. */
export type Range = readonly [from: number, to: number]

const last = 0xffff
const digits: readonly Range[] = [[48, 57]]
const lineEnds: readonly Range[] = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
]
const word: readonly Range[] = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
]
const space: readonly Range[] = [
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
]

/** Every code unit that is not in the ranges. */
export function complement(ranges: readonly Range[]): Range[] {
  const found: Range[] = []
  let from = 0
  for (const [low, high] of [...ranges].sort(([a], [b]) => a - b)) {
    if (low > from) found.push([from, low - 1])
    from = Math.max(from, high + 1)
  }
  return from <= last ? [...found, [from, last]] : found
}

/** Whether a code unit is in the ranges. */
export function holds(ranges: readonly Range[], code: number): boolean {
  return ranges.some(([from, to]) => from <= code && code <= to)
}

/** What the classes of a JavaScript regular expression stand for (ECMAScript, CharacterClassEscape). */
export const classes = {
  d: digits,
  D: complement(digits),
  w: word,
  W: complement(word),
  s: space,
  S: complement(space),
  dot: complement(lineEnds),
} as const
