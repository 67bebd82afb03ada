import type { CheckCall, Reading } from '../../src/check/read-request.ts'
import { authorizationService, type Decoded } from '../../src/grpc/services.ts'
import type { AttributeContext } from '../../src/wire/envoy/service/auth/v3/AttributeContext.ts'
import type { CheckRequest, CheckRequest__Output } from '../../src/wire/envoy/service/auth/v3/CheckRequest.ts'
import type { CheckResponse, CheckResponse__Output } from '../../src/wire/envoy/service/auth/v3/CheckResponse.ts'
import { acceptedDomains } from '../cases/access-requests.ts'

export const web = 'spiffe://cluster.local/ns/shop/sa/web'
export const orders = 'spiffe://cluster.local/ns/shop/sa/orders'

export const now = new Date('2026-11-22T10:00:00.500Z')

export const reading: Reading = { trustDomains: acceptedDomains, allowedPaths: new Set(), now: () => now }

/** The method as the server has it: bytes that are no message are handed over as undecodable. */
export const checkMethod = authorizationService['Check'] as unknown as {
  requestSerialize(message: CheckRequest): Buffer
  requestDeserialize(bytes: Buffer): Decoded<CheckRequest__Output>
  responseSerialize(response: CheckResponse): Buffer
  responseDeserialize(bytes: Buffer): CheckResponse__Output
}

export type Http = NonNullable<NonNullable<AttributeContext['request']>['http']>

/** An HTTP request as Envoy describes it, changed where `http` says so. */
export function httpAttributes(http: Http = {}): AttributeContext {
  return {
    source: { principal: web, address: { socket_address: { address: '10.1.2.3', port_value: 40_000 } } },
    destination: { principal: orders, address: { socket_address: { address: '10.1.2.9', port_value: 8443 } } },
    request: {
      time: { seconds: Date.parse('2026-11-22T10:00:00Z') / 1000, nanos: 123_000_000 },
      http: { id: '7', method: 'GET', path: '/orders/1', host: 'orders.shop', ...http },
    },
  }
}

/** A call with these attributes, encoded and decoded as it would be on its way from Envoy. */
export function callWith(attributes: AttributeContext): CheckCall {
  return received(checkMethod.requestSerialize({ attributes }))
}

/** A call of these bytes. */
export function received(bytes: Buffer): CheckCall {
  return { message: checkMethod.requestDeserialize(bytes).message, pep: { principal: orders, address: '10.1.2.9' } }
}

export function httpCall(http: Http = {}): CheckCall {
  return callWith(httpAttributes(http))
}

/** An answer as Envoy reads it. */
export function asEnvoyReads(response: CheckResponse): CheckResponse__Output {
  return checkMethod.responseDeserialize(checkMethod.responseSerialize(response))
}
