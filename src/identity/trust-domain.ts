import type { Parsed } from './parsed.ts'

declare const proved: unique symbol

/** A SPIFFE trust domain name, for example `cluster.local`. Made only by `parseTrustDomain`. */
export type TrustDomain = string & { readonly [proved]: 'TrustDomain' }

/**
 * Parses a trust domain name as the SPIFFE-ID standard, section 2.1, has it: 1 to 255 bytes of lower-case letters,
 * digits, dots, hyphens and underscores.
 */
export function parseTrustDomain(text: string): Parsed<TrustDomain> {
  if (text === '') return { ok: false, problem: 'the trust domain is empty' }
  if (text.length > 255) {
    return { ok: false, problem: `the trust domain has ${String(text.length)} bytes; at most 255 are allowed` }
  }
  if (!/^[a-z0-9._-]+$/.test(text)) {
    return {
      ok: false,
      problem: `the trust domain ${JSON.stringify(text)} may hold only lower-case letters, digits, ".", "-" and "_"`,
    }
  }
  return { ok: true, value: text as TrustDomain }
}
