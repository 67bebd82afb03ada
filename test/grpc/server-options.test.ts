import { expect, test } from '@jest/globals'
import { serverOptions } from '../../src/grpc/server-options.ts'

// The memory of a session cannot be seen from outside; the rest is tried over the wire in listener.test.ts.
test('each limit goes to the gRPC library under its own name', () => {
  expect(serverOptions({ maxConnectionAgeMs: 1, maxConcurrentStreams: 2, maxSessionMemoryMb: 3 })).toEqual({
    'grpc.max_receive_message_length': 4 * 1024 * 1024,
    'grpc.max_concurrent_streams': 2,
    'grpc.max_connection_age_ms': 1,
    'grpc.max_connection_age_grace_ms': 10_000,
    'grpc-node.max_session_memory': 3,
  })
})
