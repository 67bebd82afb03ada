import type { PeerIdentity } from '../identity/principal.ts'

/** The protocols of which Envoy asks: an HTTP request, a gRPC call, or a TCP connection. */
export type Protocol = 'http' | 'grpc' | 'tcp'

/**
 * One access that somebody asks for, in the four parts of AuthZEN. Optional members are left out where Envoy did not
 * say them; an absent value equals nothing in policy.
 */
export interface AccessRequest {
  readonly time: Date
  readonly subject: Subject
  readonly action: Action
  readonly resource: Resource
  readonly context: Context
  /** The Envoy that asked. */
  readonly pep: { readonly principal?: string; readonly address: string }
  /** Set where the message itself forbids an allow, whatever the policy says. */
  readonly refusal?: Refusal
}

export interface Subject {
  readonly peer: PeerIdentity
  readonly address?: string
}

export interface Action {
  readonly protocol: Protocol
  readonly method?: string
  /** The gRPC method, for example `shop.Orders/Get`. */
  readonly rpc?: string
}

export interface Resource {
  /** The identity of the workload that Envoy serves, as its certificate says it. */
  readonly principal?: string
  readonly host?: string
  /** Without the query, undecoded. */
  readonly path?: string
  readonly port?: number
  /** Names of the query's parameters, never values. */
  readonly query: readonly string[]
}

export interface Context {
  readonly requestId?: string
  readonly traceparent?: string
  readonly traceId?: string
  readonly spanId?: string
  readonly userAgent?: string
}

export interface Refusal {
  readonly reason: 'REQUEST_MALFORMED' | 'PATH_SUSPICIOUS'
  /** What is wrong, in one sentence, without secrets. */
  readonly detail: string
}
