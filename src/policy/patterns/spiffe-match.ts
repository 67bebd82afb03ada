import type { Parsed } from '../../identity/parsed.ts'
import { parseSpiffeId } from '../../identity/spiffe-id.ts'
import { parseTrustDomain } from '../../identity/trust-domain.ts'
import { matchSegments, matchSegmentText, parseSegments, type Segment } from './segments.ts'

export interface SpiffePattern {
  /** Undefined for `*`: any trust domain. */
  readonly trustDomain: string | undefined
  readonly segments: readonly Segment[]
}

const scheme = 'spiffe://'

/**
 * Reads a pattern of SPIFFE IDs, for example `spiffe://cluster.local/ns/{namespace}/sa/web` or `spiffe://cluster.local/**`.
 * The trust domain is exact or `*`; the segments of the path are as in `parsePathPattern`.
 */
export function parseSpiffePattern(pattern: string): Parsed<SpiffePattern> {
  const parts = partsOf(pattern)
  if (parts === undefined) return { ok: false, problem: `a SPIFFE pattern begins with ${scheme}` }
  const trustDomain = parts.trustDomain === '*' ? undefined : parseTrustDomain(parts.trustDomain)
  if (trustDomain?.ok === false) return trustDomain
  const segments = parseSegments(parts.path)
  if (!segments.ok) return segments
  const texts = segments.value.flatMap((segment) => (segment.kind === 'text' ? [segment.text] : ['x']))
  const possible = parseSpiffeId([`${scheme}x`, ...texts].join('/'))
  if (!possible.ok) return possible
  return { ok: true, value: { trustDomain: trustDomain?.value, segments: segments.value } }
}

function partsOf(text: string): { trustDomain: string; path: string[] } | undefined {
  if (!text.startsWith(scheme)) return undefined
  const [trustDomain = '', ...path] = text.slice(scheme.length).split('/')
  return { trustDomain, path }
}

/** Whether a SPIFFE ID is covered by a pattern. False where the pattern is not valid, and for what is no SPIFFE ID. */
export function spiffeMatch(id: string, pattern: string): boolean {
  const parsed = parseSpiffePattern(pattern)
  return parsed.ok && spiffeMatches(parsed.value, id)
}

export function spiffeMatches(pattern: SpiffePattern, id: string): boolean {
  const parts = partsOf(id)
  if (parts === undefined || parts.trustDomain === '') return false
  if (pattern.trustDomain !== undefined && parts.trustDomain !== pattern.trustDomain) return false
  return matchSegments(pattern.segments, parts.path)
}

/** As `spiffeMatch`, for one pattern. */
export function compileSpiffeMatch(pattern: string): (id: string) => boolean {
  if (!parseSpiffePattern(pattern).ok) return () => false
  // The trust domain is a text or one part that is not empty, as a segment is.
  return (id) => id.startsWith(scheme) && matchSegmentText(pattern, scheme.length, id, scheme.length)
}

/** What a covered SPIFFE ID is between its slashes, from the scheme on. */
export function spiffePrefix(pattern: string): readonly Segment[] {
  const parsed = parseSpiffePattern(pattern)
  if (!parsed.ok) return [{ kind: 'rest' }]
  const { trustDomain, segments } = parsed.value
  const domain: Segment = trustDomain === undefined ? { kind: 'one' } : { kind: 'text', text: trustDomain }
  return [{ kind: 'text', text: 'spiffe:' }, { kind: 'text', text: '' }, domain, ...segments]
}
