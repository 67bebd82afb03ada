import type { Parsed } from './parsed.ts'
import { parseTrustDomain, type TrustDomain } from './trust-domain.ts'

declare const proved: unique symbol

/** A SPIFFE ID that obeys the SPIFFE-ID standard. Made only by `parseSpiffeId`. */
export interface SpiffeId {
  /** The whole id, byte for byte as it was given. */
  readonly uri: string
  readonly trustDomain: TrustDomain
  /** Empty, or begins with a slash and has no empty segment. */
  readonly path: string
  readonly [proved]: 'SpiffeId'
}

const scheme = 'spiffe://'
const maxBytes = 2048

/**
 * Parses a SPIFFE ID by the rules of the SPIFFE-ID standard, section 2: at most 2,048 bytes; scheme `spiffe`; a
 * trust domain without user info or port; path segments of letters, digits, ".", "-" and "_", none empty, "." or ".."; no
 * query, fragment, percent-encoding or trailing slash. Nothing is normalized: two ids are equal only if their bytes are.
 */
export function parseSpiffeId(text: string): Parsed<SpiffeId> {
  if (text.length > maxBytes) {
    return { ok: false, problem: `a SPIFFE ID has at most ${String(maxBytes)} bytes; this one is longer` }
  }
  if (!text.startsWith(scheme)) return { ok: false, problem: `a SPIFFE ID begins with ${scheme}` }
  const slash = text.indexOf('/', scheme.length)
  const end = slash === -1 ? text.length : slash
  const trustDomain = parseTrustDomain(text.slice(scheme.length, end))
  if (!trustDomain.ok) return trustDomain
  const path = text.slice(end)
  const problem = path === '' ? undefined : pathProblem(path)
  if (problem !== undefined) return { ok: false, problem }
  return { ok: true, value: { uri: text, trustDomain: trustDomain.value, path } as SpiffeId }
}

function pathProblem(path: string): string | undefined {
  for (const segment of path.slice(1).split('/')) {
    if (segment === '') return 'the path has an empty segment or ends with a slash'
    if (segment === '.' || segment === '..') return `the path has the segment "${segment}"`
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) {
      return `the path segment ${JSON.stringify(segment)} may hold only letters, digits, ".", "-" and "_"`
    }
  }
  return undefined
}
