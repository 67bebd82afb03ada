import type { ServerOptions } from '@grpc/grpc-js'
import { maxMessageBytes } from './services.ts'

/** What one connection may take of the server. */
export interface ConnectionLimits {
  readonly maxConnectionAgeMs: number
  readonly maxConcurrentStreams: number
  readonly maxSessionMemoryMb: number
}

const connectionGraceMs = 10_000

/** The limits, as the gRPC library names them. */
export function serverOptions(limits: ConnectionLimits): ServerOptions {
  return {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_concurrent_streams': limits.maxConcurrentStreams,
    'grpc.max_connection_age_ms': limits.maxConnectionAgeMs,
    'grpc.max_connection_age_grace_ms': connectionGraceMs,
    'grpc-node.max_session_memory': limits.maxSessionMemoryMb,
  }
}
