import {
  type ChannelCredentials,
  type Client,
  type ClientReadableStream,
  type ClientWritableStream,
  credentials,
  makeGenericClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js'
import { service as healthService } from 'grpc-health-check'
import type { Certificate } from '../../deploy/envoy/demo/certificates.ts'
import { accessLogService, authorizationService } from '../../src/grpc/services.ts'
import type { StreamAccessLogsMessage } from '../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import type { CheckRequest } from '../../src/wire/envoy/service/auth/v3/CheckRequest.ts'
import type { CheckResponse__Output } from '../../src/wire/envoy/service/auth/v3/CheckResponse.ts'

/** What Envoy does, without Envoy. */
export interface PepClient {
  /** Rejects with a ServiceError. */
  check(request?: CheckRequest, options?: { readonly deadline?: number }): Promise<CheckResponse__Output>
  /** Opens an access-log stream; `ended` resolves with the server's status code. */
  logs(): { readonly stream: ClientWritableStream<StreamAccessLogsMessage>; readonly ended: Promise<number> }
  health(service?: string): Promise<string>
  /** Collects the states that a watch brings; `ended` resolves when the server ends it. */
  watch(): { readonly seen: readonly string[]; readonly ended: Promise<void> }
  close(): void
}

interface Calls {
  Check(request: object, metadata: object, answered: (error: ServiceError | null, value: unknown) => void): void
  StreamAccessLogs(answered: (error: ServiceError | null) => void): ClientWritableStream<StreamAccessLogsMessage>
  check(request: object, answered: (error: ServiceError | null, value: { status: string }) => void): void
  watch(request: object): ClientReadableStream<{ status: string }>
}

/** A client of the server at `target`: plaintext, or with the certificate given (none at all where it is null). */
export function connectPep(target: string, tls?: { readonly ca: string; readonly own: Certificate | null }): PepClient {
  const channel = tls === undefined ? credentials.createInsecure() : tlsCredentials(tls)
  // The workload's certificate has no DNS name: Envoy checks its SPIFFE ID.
  const options = { 'grpc.ssl_target_name_override': 'countersign', 'grpc.use_local_subchannel_pool': 1 }
  const [authorization, accessLog, health] = [authorizationService, accessLogService, healthService].map(
    (service) => new (makeGenericClientConstructor(service, 'test'))(target, channel, options),
  ) as unknown as [Client & Calls, Client & Calls, Client & Calls]
  return {
    check: (request = {}, callOptions = {}) =>
      new Promise((resolve, reject) => {
        authorization.Check(request, callOptions, (error, value) => {
          if (error === null) resolve(value as CheckResponse__Output)
          else reject(error)
        })
      }),
    logs: () => {
      const { promise: ended, resolve } = Promise.withResolvers<number>()
      const stream = accessLog.StreamAccessLogs((error) => {
        resolve(error?.code ?? 0)
      })
      return { stream, ended }
    },
    health: (service = '') =>
      new Promise((resolve, reject) => {
        health.check({ service }, (error, value) => {
          if (error === null) resolve(value.status)
          else reject(error)
        })
      }),
    watch: () => watch(health),
    close: () => {
      for (const client of [authorization, accessLog, health]) client.close()
    },
  }
}

function watch(health: Calls): ReturnType<PepClient['watch']> {
  const seen: string[] = []
  const { promise: ended, resolve } = Promise.withResolvers<undefined>()
  const stream = health.watch({ service: '' })
  stream.on('data', ({ status }: { status: string }) => seen.push(status))
  stream.on('error', () => undefined)
  stream.on('end', () => {
    resolve(undefined)
  })
  return { seen, ended }
}

function tlsCredentials({ ca, own }: { readonly ca: string; readonly own: Certificate | null }): ChannelCredentials {
  const key = own === null ? null : Buffer.from(own.key)
  const certificate = own === null ? null : Buffer.from(own.certificate)
  return credentials.createSsl(Buffer.from(ca), key, certificate, { checkServerIdentity: () => undefined })
}
