import { fileURLToPath } from 'node:url'
import { loadPackageDefinition, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

const protoFolder = fileURLToPath(new URL('../../proto', import.meta.url))

/** Largest Check message, in bytes; a larger one is denied as malformed. */
export const maxCheckBytes = 1024 * 1024
/** Largest message of any kind, in bytes: an access-log message holds many entries. */
export const maxMessageBytes = 4 * 1024 * 1024

const loaded = loadPackageDefinition(
  loadSync(['envoy/service/auth/v3/external_auth.proto', 'envoy/service/accesslog/v3/als.proto'], {
    includeDirs: [protoFolder],
    keepCase: true,
    longs: Number,
    enums: String,
    oneofs: true,
  }),
)

export const authorizationName = 'envoy.service.auth.v3.Authorization'
export const accessLogName = 'envoy.service.accesslog.v3.AccessLogService'

/** Envoy's authorization service; a request that cannot be decoded is handed over as undefined, so that it can be denied. */
export const authorizationService = tolerant(serviceOf(authorizationName), maxCheckBytes)
/** Envoy's access log service, as tolerant. */
export const accessLogService = tolerant(serviceOf(accessLogName), maxMessageBytes)

function serviceOf(name: string): ServiceDefinition<UntypedServiceImplementation> {
  let part: unknown = loaded
  for (const step of name.split('.')) part = (part as Record<string, unknown>)[step]
  return (part as { service: ServiceDefinition<UntypedServiceImplementation> }).service
}

/** grpc-js would answer bytes that are no message with an RPC error, which nobody records. */
function tolerant(
  service: ServiceDefinition<UntypedServiceImplementation>,
  maxBytes: number,
): ServiceDefinition<UntypedServiceImplementation> {
  return Object.fromEntries(
    Object.entries(service).map(([method, definition]) => {
      const requestDeserialize = (bytes: Buffer): unknown => {
        if (bytes.length > maxBytes) return { undecodable: true }
        try {
          return { message: definition.requestDeserialize(bytes) as unknown }
        } catch {
          return { undecodable: true }
        }
      }
      return [method, { ...definition, requestDeserialize }]
    }),
  )
}

/** What the tolerant services hand to their handlers. */
export interface Decoded<Message> {
  /** Undefined where the bytes could not be decoded. */
  readonly message?: Message
}
