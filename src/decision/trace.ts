import type { Context } from './access-request.ts'

const version00 = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}$/

/** Reads a `traceparent` header (W3C Trace Context, section 3.2); one that is not valid is as good as none. */
export function parseTraceparent(header: string | undefined): Pick<Context, 'traceparent' | 'traceId' | 'spanId'> {
  const [traceparent, traceId, spanId] = version00.exec(header ?? '') ?? []
  return traceparent === undefined || traceId === undefined || spanId === undefined
    ? {}
    : { traceparent, traceId, spanId }
}
