// Asks through the sidecar as a workload would: over HTTP, gRPC and TCP.

import type { IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { request as httpsRequest } from 'node:https'
import { connect as connectTls } from 'node:tls'
import type { Certificate } from './certificates.ts'

/** Who asks: a workload with its certificate, or nobody. */
export interface Client {
  readonly certificate?: Certificate
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Ask {
  readonly port: number
  readonly method?: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

// The sidecar's own certificate names a workload, not a host; these clients look at what Envoy makes of theirs.
function tlsOf({ certificate }: Client): { rejectUnauthorized: false; cert?: string; key?: string } {
  return {
    rejectUnauthorized: false,
    ...(certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key }),
  }
}

/** One HTTP/1.1 request on a connection of its own. Rejects where Envoy ends the connection. */
export function ask(client: Client, { port, method = 'GET', path, headers = {}, body = '' }: Ask): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const host = { host: 'orders.shop', ...headers }
    const options = { host: '127.0.0.1', port, method, path, headers: host, agent: false, ...tlsOf(client) }
    const request = httpsRequest(options, (response) => {
      const chunks: Buffer[] = []
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() })
      })
    })
    request.on('error', reject)
    request.end(body)
  })
}

/** One gRPC call with an empty message; returns the HTTP status and the gRPC status. */
export function callGrpc(client: Client, port: number, rpc: string): Promise<{ status: number; grpcStatus: string }> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ...tlsOf(client), ALPNProtocols: ['h2'] })
    session.on('error', reject)
    const stream = session.request({
      ':method': 'POST',
      ':path': `/${rpc}`,
      ':authority': 'orders.shop',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let status = 0
    let grpcStatus = ''
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0
      grpcStatus = String(headers['grpc-status'] ?? '')
    })
    stream.on(
      'trailers',
      (trailers: IncomingHttpHeaders) => (grpcStatus = String(trailers['grpc-status'] ?? grpcStatus)),
    )
    stream.on('error', reject)
    stream.on('close', () => {
      session.close()
      resolve({ status, grpcStatus })
    })
    stream.resume()
    stream.end(Buffer.alloc(5))
  })
}

/** Sends a line over TCP and returns what comes back; empty where the connection is ended instead. */
export function echoTcp(client: Client, port: number, line: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = ''
    const socket = connectTls({ host: '127.0.0.1', port, ...tlsOf(client) })
    socket.setEncoding('utf8')
    socket.on('secureConnect', () => socket.write(line))
    socket.on('data', (text: string) => {
      heard += text
      if (heard.length >= line.length) socket.end()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      resolve(heard)
    })
  })
}
