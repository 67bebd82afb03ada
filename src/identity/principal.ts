import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts'
import type { TrustDomain } from './trust-domain.ts'

/** The workload that a peer certificate proves, in a trust domain that the settings accept. Made only by `identifyPeer`. */
export interface Principal {
  readonly id: SpiffeId
  /** Kubernetes namespace and service account, where the path has Istio's form `/ns/<namespace>/sa/<service account>`. */
  readonly namespace: string | null
  readonly serviceAccount: string | null
}

/** What the identity that a peer presented is worth. `text` is what was presented, for the record only. */
export type PeerIdentity =
  | { readonly kind: 'proved'; readonly principal: Principal }
  | { readonly kind: 'missing' }
  | { readonly kind: 'invalid'; readonly text: string; readonly problem: string }
  | { readonly kind: 'unknown-trust-domain'; readonly principal: Principal }

/**
 * Reads the identity that Envoy took from a peer certificate (`source.principal`: the first URI SAN, else the first DNS
 * SAN, else the subject, whatever its scheme). Only a strict SPIFFE ID of a workload in an accepted trust domain is
 * proved: X509-SVID, section 2, gives an id without a path to signing certificates.
 */
export function identifyPeer(text: string, accepted: ReadonlySet<TrustDomain>): PeerIdentity {
  if (text === '') return { kind: 'missing' }
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) return { kind: 'invalid', text, problem: parsed.problem }
  const id = parsed.value
  if (id.path === '') return { kind: 'invalid', text, problem: 'the SPIFFE ID names a trust domain, not a workload' }
  const principal = principalOf(id)
  return accepted.has(id.trustDomain) ? { kind: 'proved', principal } : { kind: 'unknown-trust-domain', principal }
}

function principalOf(id: SpiffeId): Principal {
  const istio = /^\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(id.path)
  return { id, namespace: istio?.[1] ?? null, serviceAccount: istio?.[2] ?? null }
}
