import type { _envoy_service_auth_v3_AttributeContext_HttpRequest__Output as HttpRequest } from '../wire/envoy/service/auth/v3/AttributeContext.ts'

/** A request's headers by lower-case name; of a repeated header, the values are joined by a comma. */
export type Headers = ReadonlyMap<string, string>

/** Reads the headers in either form that Envoy has: `headers`, or `header_map` where `encode_raw_headers` is set. */
export function headersOf(http: HttpRequest | undefined): Headers {
  // A map: of a plain object, `constructor` and its kin would be found although nobody sent them.
  const headers = new Map<string, string>()
  for (const [name, value] of Object.entries(http?.headers ?? {})) headers.set(name.toLowerCase(), value)
  for (const { key, value, raw_value: raw } of http?.header_map?.headers ?? []) {
    const name = (key ?? '').toLowerCase()
    const text = raw === undefined || raw.length === 0 ? (value ?? '') : raw.toString('utf8')
    const known = headers.get(name)
    headers.set(name, known === undefined ? text : `${known},${text}`)
  }
  return headers
}
