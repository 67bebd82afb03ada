import type { ServerUnaryCall } from '@grpc/grpc-js'
import { parseSpiffeId, type SpiffeId } from '../identity/spiffe-id.ts'

/** Who calls: an identity that the port's TLS proved, nobody where the port has no TLS, or a certificate that names no workload. */
export type Caller =
  | { readonly kind: 'proved'; readonly id: SpiffeId; readonly address: string }
  | { readonly kind: 'plaintext'; readonly address: string }
  | { readonly kind: 'invalid'; readonly problem: string; readonly address: string }

type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext' | 'getPeer'>

/** Reads the caller of one call. An X509-SVID has exactly one URI SAN (X509-SVID, section 2). */
export function callerOf(call: AnyCall): Caller {
  const address = hostOf(call.getPeer())
  const { transportSecurityType, sslPeerCertificate } = call.getAuthContext()
  if (transportSecurityType !== 'ssl') return { kind: 'plaintext', address }
  const invalid = (problem: string): Caller => ({ kind: 'invalid', problem, address })
  const uris = uriNames(sslPeerCertificate?.subjectaltname ?? '')
  if (uris === undefined) return invalid('the names of the certificate cannot be read')
  const [uri] = uris
  if (uri === undefined) return invalid('the certificate has no URI SAN')
  if (uris.length > 1) return invalid('the certificate has more than one URI SAN')
  const id = parseSpiffeId(uri)
  return id.ok ? { kind: 'proved', id: id.value, address } : invalid(id.problem)
}

/**
 * The URIs of what Node.js writes as `URI:…, DNS:…`; undefined where it is written otherwise. A name with special characters
 * stands in quotes, as JSON, today even with its commas escaped: what stands in quotes is never a name of its own.
 */
function uriNames(names: string): string[] | undefined {
  const uris: string[] = []
  const name = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y
  while (name.lastIndex < names.length) {
    const [, kind, value = ''] = name.exec(names) ?? []
    if (kind === undefined) return undefined
    if (kind === 'URI') uris.push(value)
  }
  return uris
}

function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}
