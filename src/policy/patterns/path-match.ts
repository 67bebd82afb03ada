import type { Parsed } from '../../identity/parsed.ts'
import { matchSegments, matchSegmentText, parseSegments, type Segment } from './segments.ts'

/** The segments after the leading slash. */
export type PathPattern = readonly Segment[]

/**
 * Reads a path pattern, for example `/orders/{id}/items/**`. `*` and `{name}` are exactly one segment that is not empty; a
 * final `**` is the rest: any number of segments, also none, so that `/admin/**` covers `/admin` itself. Nothing else is
 * special: no case folding, no decoding, and a trailing slash is a segment (an empty one).
 */
export function parsePathPattern(pattern: string): Parsed<PathPattern> {
  if (!pattern.startsWith('/')) return { ok: false, problem: 'a path pattern begins with "/"' }
  if (/[?#]/.test(pattern))
    return { ok: false, problem: 'a path has neither query nor fragment, so "?" and "#" match nothing' }
  return parseSegments(pattern.slice(1).split('/'))
}

/** Whether a path (without query, undecoded) is covered by a pattern. False where the pattern is not valid. */
export function pathMatch(path: string, pattern: string): boolean {
  const parsed = parsePathPattern(pattern)
  return parsed.ok && pathMatches(parsed.value, path)
}

export function pathMatches(pattern: PathPattern, path: string): boolean {
  return path.startsWith('/') && matchSegments(pattern, path.slice(1).split('/'))
}

/** As `pathMatch`, for one pattern. */
export function compilePathMatch(pattern: string): (path: string) => boolean {
  if (!parsePathPattern(pattern).ok) return () => false
  return (path) => path.startsWith('/') && matchSegmentText(pattern, 1, path, 1)
}

/** What a covered path is between its slashes, the empty part before the first one included. */
export function pathPrefix(pattern: string): readonly Segment[] {
  const parsed = parsePathPattern(pattern)
  return parsed.ok ? [{ kind: 'text', text: '' }, ...parsed.value] : [{ kind: 'rest' }]
}
