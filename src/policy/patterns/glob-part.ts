import { complement, type Range } from './code-units.ts'

/** What one place of a glob stands for: any text of the segment, or one character. */
export type GlobToken =
  { readonly kind: 'star' } | { readonly kind: 'literal' | 'any'; readonly ranges: readonly Range[] }

const dot = 46

/** Reads what stands between two slashes of a glob, braces expanded; or says what about it is not supported. */
export function parseGlobPart(part: string): readonly GlobToken[] | string {
  const tokens: GlobToken[] = []
  let quoted = 0
  for (let at = 0; at < part.length; at += 1) {
    const letter = part.charAt(at)
    if (letter === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' })
    } else if (letter === '?') tokens.push({ kind: 'any', ranges: [[0, 0xffff]] })
    else if (letter === '[') {
      const found = readClass(part, at)
      if (typeof found === 'string') return found
      if (found.token.kind === 'literal') quoted += 1
      tokens.push(found.token)
      at = found.end - 1
    } else tokens.push({ kind: 'literal', ranges: single(letter) })
  }
  if (quoted > 1) return 'two classes of one character, such as [a][b], in one segment are not supported'
  return dotProblem(tokens) ?? tokens
}

/** The text that the tokens stand for, where they are all literal. */
export function text(tokens: readonly GlobToken[] | string): string | undefined {
  if (typeof tokens === 'string' || tokens.some(({ kind }) => kind !== 'literal')) return undefined
  return tokens.map((token) => String.fromCharCode(codeOf(token) ?? 0)).join('')
}

/** Whether the first token is a wildcard, or is a dot. */
export function starts(tokens: readonly GlobToken[], what: 'wildcard' | 'dot'): boolean {
  const [first] = tokens
  if (first === undefined) return false
  return what === 'dot' ? first.kind === 'literal' && codeOf(first) === dot : first.kind !== 'literal'
}

/** Wildcards stand neither for the segment "." nor for "..", which no regular expression says in passing. */
function dotProblem(tokens: readonly GlobToken[]): string | undefined {
  if (!starts(tokens, 'dot') || text(tokens) !== undefined || isDotStar(tokens)) return undefined
  const covered = covers(tokens, '.') || covers(tokens, '..')
  return covered ? 'a wildcard that alone follows a leading "." is not supported' : undefined
}

/** Whether the part is `.*`: every segment that begins with a dot, but for "." and "..". */
export function isDotStar(tokens: readonly GlobToken[]): boolean {
  return tokens.length === 2 && starts(tokens, 'dot') && tokens[1]?.kind === 'star'
}

/** Whether tokens stand for a text; for short texts only. */
function covers([first, ...rest]: readonly GlobToken[], value: string): boolean {
  if (first === undefined) return value === ''
  if (first.kind === 'star') return covers(rest, value) || (value !== '' && covers([first, ...rest], value.slice(1)))
  const code = value.charCodeAt(0)
  return first.ranges.some(([from, to]) => from <= code && code <= to) && covers(rest, value.slice(1))
}

interface FoundClass {
  readonly token: GlobToken
  /** Behind the closing bracket. */
  readonly end: number
}

/** Reads `[…]` as minimatch does: a range that runs backwards holds nothing, a single character is that character. */
function readClass(part: string, start: number): FoundClass | string {
  const negated = /[!^]/.test(part.charAt(start + 1))
  const first = start + (negated ? 2 : 1)
  const end = part.indexOf(']', first + 1)
  if (end === -1) return 'a "[" lacks its "]"'
  const inside = part.slice(first, end)
  if (inside.includes('[:') || inside.includes('[')) return 'classes such as [[:alpha:]] are not supported'
  const { ranges, alone } = classRanges(inside)
  if (ranges.length === 0) return 'a class holds nothing'
  if (!alone || negated) return { token: { kind: 'any', ranges: negated ? complement(ranges) : ranges }, end: end + 1 }
  if (inside.startsWith('.')) return 'the class [.] is not supported; write a dot'
  return { token: { kind: 'literal', ranges }, end: end + 1 }
}

function classRanges(inside: string): { ranges: readonly Range[]; alone: boolean } {
  const ranges: Range[] = []
  let count = 0
  for (let at = 0; at < inside.length; at += 1) {
    const from = inside.charCodeAt(at)
    const isRange = inside.charAt(at + 1) === '-' && at + 2 < inside.length
    const to = isRange ? inside.charCodeAt(at + 2) : from
    if (isRange) at += 2
    if (from > to) continue
    count += 1
    ranges.push([from, to])
  }
  const [only] = ranges
  return { ranges, alone: count === 1 && only !== undefined && only[0] === only[1] }
}

function codeOf(token: GlobToken): number | undefined {
  return token.kind === 'star' ? undefined : token.ranges[0]?.[0]
}

function single(letter: string): readonly Range[] {
  return [[letter.charCodeAt(0), letter.charCodeAt(0)]]
}
