import type { Parsed } from '../../identity/parsed.ts'

/** One part of a pattern between two slashes. */
export type Segment =
  | { readonly kind: 'text'; readonly text: string }
  /** `*` or `{name}`: exactly one segment that is not empty. */
  | { readonly kind: 'one' }
  /** `**`, which can only be the last: whatever follows, or nothing. */
  | { readonly kind: 'rest' }

/** Reads the parts of a pattern; only a whole segment can be a wildcard. */
export function parseSegments(parts: readonly string[]): Parsed<readonly Segment[]> {
  const segments: Segment[] = []
  for (const [index, part] of parts.entries()) {
    const segment = parseSegment(part)
    if (segment === undefined) {
      const problem = `the segment ${JSON.stringify(part)} is neither plain text nor "*", "{name}" or "**"`
      return { ok: false, problem }
    }
    if (segment.kind === 'rest' && index < parts.length - 1) {
      return { ok: false, problem: '"**" may only be the last segment' }
    }
    segments.push(segment)
  }
  return { ok: true, value: segments }
}

function parseSegment(part: string): Segment | undefined {
  if (part === '**') return { kind: 'rest' }
  if (part === '*' || /^\{[A-Za-z_][A-Za-z0-9_-]*\}$/.test(part)) return { kind: 'one' }
  return /[*{}]/.test(part) ? undefined : { kind: 'text', text: part }
}

/** Whether the parts of a path are what the segments say. Linear in the number of parts. */
export function matchSegments(segments: readonly Segment[], parts: readonly string[]): boolean {
  const rest = segments.at(-1)?.kind === 'rest'
  const fixed = rest ? segments.length - 1 : segments.length
  if (rest ? parts.length < fixed : parts.length !== fixed) return false
  for (let index = 0; index < fixed; index += 1) {
    const segment = segments[index]
    if (segment?.kind === 'text' ? parts[index] !== segment.text : parts[index] === '') return false
  }
  return true
}

const [slash, star, brace] = [47, 42, 123]

/**
 * Whether a text is what a pattern says, from a segment's beginning on in each: as `matchSegments` on what `parseSegments`
 * makes of the pattern, which MUST be valid, but without taking either apart.
 */
export function matchSegmentText(pattern: string, patternFrom: number, value: string, valueFrom: number): boolean {
  let [at, from] = [patternFrom, valueFrom]
  for (;;) {
    const first = pattern.charCodeAt(at)
    if (first === star && pattern.charCodeAt(at + 1) === star) return true
    const [end, valueEnd] = [segmentEnd(pattern, at), segmentEnd(value, from)]
    const one = first === star || first === brace
    if (one ? valueEnd === from : !sameText(pattern, at, end, value, from, valueEnd)) return false
    if (end === pattern.length) return valueEnd === value.length
    if (valueEnd === value.length) return pattern.length - end === 3 && pattern.endsWith('/**')
    at = end + 1
    from = valueEnd + 1
  }
}

function segmentEnd(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) !== slash) at += 1
  return at
}

function sameText(a: string, aFrom: number, aEnd: number, b: string, bFrom: number, bEnd: number): boolean {
  if (aEnd - aFrom !== bEnd - bFrom) return false
  for (let at = aFrom; at < aEnd; at += 1) if (a.charCodeAt(at) !== b.charCodeAt(at - aFrom + bFrom)) return false
  return true
}
