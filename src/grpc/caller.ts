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
  const uris = uriNames(sslPeerCertificate?.subjectaltname ?? '')
  const [uri] = uris
  if (uri === undefined) return { kind: 'invalid', problem: 'the certificate has no URI SAN', address }
  if (uris.length > 1) return { kind: 'invalid', problem: 'the certificate has more than one URI SAN', address }
  const id = parseSpiffeId(uri)
  return id.ok ? { kind: 'proved', id: id.value, address } : { kind: 'invalid', problem: id.problem, address }
}

/** Node writes SANs as `URI:…, DNS:…`, and quotes those with special characters, which no SPIFFE ID has. */
function uriNames(names: string): string[] {
  return names
    .split(', ')
    .filter((name) => name.startsWith('URI:'))
    .map((name) => name.slice('URI:'.length))
}

function hostOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}
