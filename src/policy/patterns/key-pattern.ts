import type { Segment } from './segments.ts'

/** How a dialect of Casbin's path patterns writes a named segment. */
export type NameStyle = 'colon' | 'braces'

const [slash, star, dot, backslash] = [47, 42, 46, 92]
const opening: Readonly<Record<NameStyle, number>> = { colon: 58, braces: 123 }

/** Text that means itself to Casbin and to a regular expression, but for `.`; `\.` is a dot. */
const plainText: Readonly<Record<NameStyle, RegExp>> = {
  // A colon means a name where more follows in its segment.
  colon: /^(?:[^\\^$*+?()[\]{}|:\n\r\u2028\u2029]|\\\.)*:?$/,
  braces: /^(?:[^\\^$*+?()[\]{}|\n\r\u2028\u2029]|\\\.)*$/,
}
const name: Readonly<Record<NameStyle, RegExp>> = {
  colon: /^:[^:\n\r\u2028\u2029]+$/,
  braces: /^\{[^{}\n\r\u2028\u2029]+\}$/,
}

/**
 * Whether a pattern is made of plain segments alone: text, names, and a final `/*`. Then `matchClean` says what the regular
 * expression would say that Casbin makes of it.
 */
export function isClean(pattern: string, style: NameStyle): boolean {
  const parts = pattern.split('/')
  return parts.every((part, index) => {
    if (index > 0 && (name[style].test(part) || (part === '*' && index === parts.length - 1))) return true
    return plainText[style].test(part)
  })
}

/**
 * Matches the first `end` characters of a value against a clean pattern. A name is one segment that is not empty, `.` any
 * character but a line end, a final `/*` a slash and any text without a line end. Allocates nothing; linear in `end`.
 */
export function matchClean(pattern: string, style: NameStyle, value: string, end: number): boolean {
  const open = opening[style]
  let [at, from] = [0, 0]
  while (at < pattern.length) {
    const code = pattern.charCodeAt(at)
    if (from >= end) return false
    const found = value.charCodeAt(from)
    at += 1
    from += 1
    if (code === slash) {
      if (found !== slash) return false
      const next = pattern.charCodeAt(at)
      if (next === star) return isOneLine(value, from, end)
      if (next !== open) continue
      const start = from
      at = segmentEnd(pattern, at, pattern.length)
      from = segmentEnd(value, from, end)
      if (from === start) return false
    } else if (code === dot) {
      if (isLineEnd(found)) return false
    } else if (code === backslash) {
      if (found !== dot) return false
      at += 1
    } else if (found !== code) return false
  }
  return from === end
}

/** Whether a clean pattern has a dot that stands for any character, so that its segments need not be the value's. */
export function hasWildDot(pattern: string): boolean {
  return /(?<!\\)\./.test(pattern)
}

/** Whether all named segments are the same text, in a value that matches a clean pattern without a wild dot. */
export function namesAlike(pattern: string, style: NameStyle, value: string): boolean {
  let [at, from] = [0, 0]
  let first: string | undefined
  while (at < pattern.length) {
    const [end, valueEnd] = [segmentEnd(pattern, at, pattern.length), segmentEnd(value, from, value.length)]
    if (at > 0 && pattern.charCodeAt(at) === opening[style]) {
      first ??= value.slice(from, valueEnd)
      if (first.length !== valueEnd - from || !value.startsWith(first, from)) return false
    }
    at = end + 1
    from = valueEnd + 1
  }
  return true
}

function segmentEnd(text: string, from: number, end: number): number {
  let at = from
  while (at < end && text.charCodeAt(at) !== slash) at += 1
  return at
}

/** Whether no line ends in this part of a text: `.` of a regular expression goes no further. */
export function isOneLine(text: string, from: number, end: number): boolean {
  for (let at = from; at < end; at += 1) if (isLineEnd(text.charCodeAt(at))) return false
  return true
}

function isLineEnd(code: number): boolean {
  return code === 10 || code === 13 || code === 0x2028 || code === 0x2029
}

/** The segments of a clean pattern, up to the first `.`: that can be a slash. */
export function cleanPrefix(pattern: string, style: NameStyle): readonly Segment[] {
  const segments: Segment[] = []
  for (const [index, part] of pattern.split('/').entries()) {
    const known = index > 0 && name[style].test(part) ? { kind: 'one' as const } : textSegment(part)
    segments.push(known ?? { kind: 'rest' })
    if (known === undefined) break
  }
  return segments
}

function textSegment(part: string): Segment | undefined {
  return part === '*' || hasWildDot(part) ? undefined : { kind: 'text', text: part.replaceAll('\\.', '.') }
}
