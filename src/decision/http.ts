import type { Action, Resource } from './access-request.ts'

/** Splits a request target into its path and the names of the query's parameters; values are left out. */
export function splitTarget(target: string): { readonly path: string; readonly query: readonly string[] } {
  const mark = target.indexOf('?')
  if (mark === -1) return { path: target, query: [] }
  const parameters = new URLSearchParams(target.slice(mark + 1))
  return { path: target.slice(0, mark), query: [...new Set(parameters.keys())] }
}

/**
 * The action of an HTTP request. A client chooses its content type: a gRPC call keeps its path, so no rule on paths is evaded by
 * calling a request gRPC.
 */
export function httpAction(method: string | undefined, isGrpc: boolean, path: string): Action {
  const rpc = isGrpc ? /^\/([^/]+\/[^/]+)$/.exec(path)?.[1] : undefined
  return {
    protocol: isGrpc ? 'grpc' : 'http',
    ...(method === undefined || method === '' ? {} : { method }),
    ...(rpc === undefined ? {} : { rpc }),
  }
}

/** Whether a content type is that of a gRPC call over HTTP/2 (gRPC's wire protocol, "Requests"). */
export function isGrpcContent(contentType: string | undefined): boolean {
  return /^application\/grpc(?:\+|;|$)/i.test(contentType ?? '')
}

/** What is accessed. Empty texts are left out: they stand for what Envoy did not say. */
export function resourceOf(principal: string, authority: string, target: string, port: number | undefined): Resource {
  const host = hostName(authority)
  const { path, query } = splitTarget(target)
  return {
    ...(principal === '' ? {} : { principal }),
    ...(host === '' ? {} : { host }),
    ...(path === '' ? {} : { path }),
    ...(port === undefined || port > 65_535 ? {} : { port }),
    query,
  }
}

/**
 * Host names compare without regard to case (RFC 9110, section 4.2.3), the port is a token of its own, and a final dot
 * (RFC 1034, section 3.1) names the same host.
 */
function hostName(authority: string): string {
  return authority.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '')
}

/** A protobuf Timestamp as a date; undefined where it is absent, or outside of the years 0001 to 9999 that it may have. */
export function timeOf(
  timestamp: { readonly seconds?: number; readonly nanos?: number } | undefined,
): Date | undefined {
  const { seconds, nanos = 0 } = timestamp ?? {}
  if (seconds === undefined || !(seconds >= firstSecond && seconds <= lastSecond)) return undefined
  const time = new Date(seconds * 1000 + Math.trunc(nanos / 1e6))
  const year = time.getUTCFullYear()
  return year >= 1 && year <= 9999 ? time : undefined
}

const firstSecond = Date.parse('0001-01-01T00:00:00Z') / 1000
const lastSecond = Date.parse('9999-12-31T23:59:59Z') / 1000
