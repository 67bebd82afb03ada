import { Client, credentials } from '@grpc/grpc-js'
import { authorizationService } from '../../src/grpc/services.ts'
import type { CheckRequest } from '../../src/wire/envoy/service/auth/v3/CheckRequest.ts'
import type { CheckResponse__Output } from '../../src/wire/envoy/service/auth/v3/CheckResponse.ts'

/** What a Check was answered. */
export interface Answered {
  readonly decisionId: string
  readonly effect: string
  readonly reason: string
  readonly allowed: boolean
}

/** Asks as an Envoy would, over one connection. */
export interface Asker {
  /** Rejects with the RPC error where there is no answer. */
  check(path: string): Promise<Answered>
  /** Asks, and ends the call after `afterMs` without waiting for the answer. */
  giveUp(path: string, afterMs: number): Promise<void>
  close(): void
}

/** Opens a connection to a port on 127.0.0.1. */
export function openAsker(port: number, deadlineMs = 10_000): Asker {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  const { path, requestSerialize, responseDeserialize } = authorizationService['Check'] ?? missing()
  return {
    check: (target) =>
      new Promise((resolve, reject) => {
        const options = { deadline: Date.now() + deadlineMs }
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          ordersCheck(target),
          options,
          (error, value) => {
            if (error !== null) reject(error)
            else resolve(answeredOf(value as CheckResponse__Output))
          },
        )
      }),
    giveUp: (target, afterMs) =>
      new Promise((resolve) => {
        const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, ordersCheck(target), () => {
          resolve()
        })
        setTimeout(() => {
          call.cancel()
        }, afterMs)
      }),
    close: () => {
      client.close()
    },
  }
}

/** A GET by the web workload, which the example policy lets read orders. */
export function ordersCheck(path: string): CheckRequest {
  return {
    attributes: {
      source: {
        address: { socket_address: { address: '10.1.2.3', port_value: 40000 } },
        principal: 'spiffe://cluster.local/ns/shop/sa/web',
      },
      destination: {
        address: { socket_address: { address: '10.1.2.9', port_value: 8443 } },
        principal: 'spiffe://cluster.local/ns/shop/sa/orders',
      },
      request: { http: { id: '1', method: 'GET', path, host: 'orders.shop', scheme: 'https', protocol: 'HTTP/1.1' } },
    },
  }
}

function answeredOf(response: CheckResponse__Output): Answered {
  const fields = response.dynamic_metadata?.fields ?? {}
  const text = (name: string): string => fields[name]?.stringValue ?? ''
  return {
    decisionId: text('decisionId'),
    effect: text('effect'),
    reason: text('reason'),
    allowed: (response.status?.code ?? 0) === 0 && response.ok_response !== undefined,
  }
}

function missing(): never {
  throw new Error('the authorization service has no Check')
}
