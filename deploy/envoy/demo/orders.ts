// The service behind the sidecar: an upstream for HTTP, gRPC and TCP.

import { createServer as createHttp, type Server } from 'node:http'
import { createServer as createHttp2, type Http2Server, type ServerHttp2Stream } from 'node:http2'
import { createServer as createTcp, type AddressInfo, type Server as TcpServer } from 'node:net'

/** A small upstream: answers what it was asked and by whom, over HTTP, gRPC and TCP. */
export interface Orders {
  readonly http: number
  readonly grpc: number
  readonly tcp: number
  close(): void
}

export async function startOrders(): Promise<Orders> {
  const http = createHttp((request, response) => {
    request.resume().on('end', () => {
      const { method, url, headers } = request
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ method, url, headers }))
    })
  })
  const grpc = createHttp2().on('stream', answerGrpc)
  const tcp = createTcp((socket) => {
    socket.on('error', () => undefined).pipe(socket)
  })
  const [httpPort, grpcPort, tcpPort] = await Promise.all([listen(http), listen(grpc), listen(tcp)])
  return {
    http: httpPort,
    grpc: grpcPort,
    tcp: tcpPort,
    close: () => {
      http.close().closeAllConnections()
      grpc.close()
      tcp.close()
    },
  }
}

function answerGrpc(stream: ServerHttp2Stream): void {
  stream.on('error', () => undefined)
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': '0' })
  })
  // One empty message: a flag and a length of four bytes.
  stream.resume().on('end', () => stream.end(Buffer.alloc(5)))
}

function listen(server: Server | Http2Server | TcpServer): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      resolve((server.address() as AddressInfo).port)
    })
  })
}
