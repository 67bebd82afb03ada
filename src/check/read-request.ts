import type { AccessRequest, Action, Context, Refusal, Resource } from '../decision/access-request.ts'
import { httpAction, isGrpcContent, resourceOf, splitTarget, timeOf } from '../decision/http.ts'
import { parseTraceparent } from '../decision/trace.ts'
import { identifyPeer } from '../identity/principal.ts'
import type { TrustDomain } from '../identity/trust-domain.ts'
import type {
  _envoy_service_auth_v3_AttributeContext_HttpRequest__Output as HttpRequest,
  AttributeContext__Output as AttributeContext,
} from '../wire/envoy/service/auth/v3/AttributeContext.ts'
import type { CheckRequest__Output } from '../wire/envoy/service/auth/v3/CheckRequest.ts'
import { headersOf, type Headers } from './headers.ts'
import { maxPathBytes, type PathClass, pathProblem } from './suspicious-path.ts'

/** One call of `Authorization/Check`, as the port received it. */
export interface CheckCall {
  /** Undefined where the bytes could not be decoded. */
  readonly message: CheckRequest__Output | undefined
  /** The Envoy that asks: its identity where the port has mTLS, and its address. */
  readonly pep: { readonly principal?: string; readonly address: string }
  /** How long the answer may take, in milliseconds; the setting decides where it is left out. */
  readonly withinMs?: number
  /** Aborted when Envoy waits no more: it has denied by then. */
  readonly gone?: AbortSignal
}

export interface Reading {
  readonly trustDomains: ReadonlySet<TrustDomain>
  /** Classes of suspicious paths that are let through to policy. */
  readonly allowedPaths: ReadonlySet<PathClass>
  readonly now: () => Date
}

/**
 * Reads what Envoy asks. MUST NOT throw: what is not well formed becomes a request with a refusal, so that it is denied and
 * recorded with whatever could be read.
 */
export function readCheckRequest(call: CheckCall, reading: Reading): AccessRequest {
  const attributes: AttributeContext = call.message?.attributes ?? {}
  const http = attributes.request?.http
  const headers = headersOf(http)
  const action = readAction(http, headers)
  const resource = readResource(attributes, http)
  const refusal = call.message === undefined ? undecodable : refusalOf(attributes, action, resource, reading)
  const address = attributes.source?.address?.socket_address?.address
  return {
    time: timeOf(attributes.request?.time) ?? reading.now(),
    subject: {
      peer: identifyPeer(attributes.source?.principal ?? '', reading.trustDomains),
      ...(address === undefined ? {} : { address }),
    },
    action,
    resource,
    context: readContext(headers),
    pep: call.pep,
    ...(refusal === undefined ? {} : { refusal }),
  }
}

const undecodable: Refusal = { reason: 'REQUEST_MALFORMED', detail: 'the Check message could not be decoded' }

function readAction(http: HttpRequest | undefined, headers: Headers): Action {
  if (http === undefined) return { protocol: 'tcp' }
  return httpAction(http.method, isGrpcContent(headers.get('content-type')), splitTarget(http.path ?? '').path)
}

function readResource(attributes: AttributeContext, http: HttpRequest | undefined): Resource {
  const { destination } = attributes
  const port = destination?.address?.socket_address?.port_value
  return resourceOf(destination?.principal ?? '', http?.host ?? '', http?.path ?? '', port)
}

function refusalOf(
  attributes: AttributeContext,
  action: Action,
  resource: Resource,
  reading: Reading,
): Refusal | undefined {
  const malformed = malformedPart(attributes, action, resource)
  if (malformed !== undefined) return { reason: 'REQUEST_MALFORMED', detail: malformed }
  if (resource.path === undefined) return undefined
  const suspicious = pathProblem(resource.path, reading.allowedPaths)
  return suspicious === undefined ? undefined : { reason: 'PATH_SUSPICIOUS', detail: suspicious }
}

function malformedPart(attributes: AttributeContext, action: Action, resource: Resource): string | undefined {
  if (attributes.source === undefined && attributes.destination === undefined) {
    return 'the Check message names neither source nor destination'
  }
  if (resource.principal?.includes('\uFFFD') === true) return 'the destination’s principal is not UTF-8'
  if (action.protocol === 'tcp') return undefined
  if (action.method === undefined || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(action.method)) {
    return 'the method is not a token of RFC 9110'
  }
  // eslint-disable-next-line no-control-regex -- they are what is looked for
  if (/[\uFFFD\s\u0000-\u001f\u007f/\\@?#]/.test(resource.host ?? ''))
    return 'the host has a character that no host name has'
  return pathForm(action.method, resource.path)
}

/** The forms of a request target that reach Envoy's filters (RFC 9112, section 3.2): origin, asterisk, authority. */
function pathForm(method: string, path: string | undefined): string | undefined {
  if (path === undefined) return method === 'CONNECT' ? undefined : 'the request has no path'
  if (Buffer.byteLength(path) > maxPathBytes) return `the path is longer than ${maxPathBytes} bytes`
  if (path.startsWith('/') || (method === 'OPTIONS' && path === '*')) return undefined
  return 'the path does not begin with a slash'
}

function readContext(headers: Headers): Context {
  const requestId = headers.get('x-request-id')
  const userAgent = headers.get('user-agent')
  return {
    ...(requestId === undefined ? {} : { requestId }),
    ...(userAgent === undefined ? {} : { userAgent }),
    ...parseTraceparent(headers.get('traceparent')),
  }
}
