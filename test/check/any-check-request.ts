import fc from 'fast-check'
import type { AttributeContext } from '../../src/wire/envoy/service/auth/v3/AttributeContext.ts'
import type { CheckRequest } from '../../src/wire/envoy/service/auth/v3/CheckRequest.ts'
import { hostileText } from '../cases/access-requests.ts'
import { orders, web } from './calls.ts'

const text = (...usual: string[]): fc.Arbitrary<string> => fc.oneof(fc.constantFrom('', ...usual), hostileText)

const headerName = fc.oneof(
  fc.constantFrom('x-request-id', 'user-agent', 'traceparent', 'content-type', 'constructor', '__proto__', 'toString'),
  hostileText,
)

const headerValue = text('application/grpc', 'Bearer secret', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')

const address = fc.record(
  { socket_address: fc.record({ address: text('10.1.2.3', '::1'), port_value: fc.nat(0xffff_ffff) }) },
  { requiredKeys: [] },
)

const peer = fc.record(
  {
    address,
    principal: text(web, orders, 'spiffe://cluster.local', 'spiffe://other.example/x', 'anonymous', 'CN=web'),
  },
  { requiredKeys: [] },
)

const http = fc.record(
  {
    id: hostileText,
    method: text('GET', 'POST', 'CONNECT', 'OPTIONS'),
    path: fc.oneof(
      text('/', '/orders/1', '/a/%2e%2e/b', '*', '/a?b=c'),
      hostileText.map((tail) => `/${tail}`),
    ),
    host: text('orders.shop', 'ORDERS.shop:8443', '[::1]:80'),
    headers: fc
      .array(fc.tuple(headerName, headerValue), { maxLength: 8 })
      .map((pairs) => Object.fromEntries(pairs) as Record<string, string>),
    header_map: fc.record({
      headers: fc.array(
        fc.record(
          {
            key: headerName,
            value: headerValue,
            raw_value: fc.uint8Array({ maxLength: 40 }).map((raw) => Buffer.from(raw)),
          },
          { requiredKeys: [] },
        ),
        { maxLength: 8 },
      ),
    }),
  },
  { requiredKeys: [] },
)

const time = fc.record(
  { seconds: fc.oneof(fc.maxSafeInteger(), fc.integer()), nanos: fc.integer() },
  { requiredKeys: [] },
)

const attributes: fc.Arbitrary<AttributeContext> = fc.record(
  { source: peer, destination: peer, request: fc.record({ time, http }, { requiredKeys: [] }) },
  { requiredKeys: [] },
)

/** Any message that the types allow, hostile ones among them. */
export const anyCheckRequest: fc.Arbitrary<CheckRequest> = fc.record({ attributes }, { requiredKeys: [] })
