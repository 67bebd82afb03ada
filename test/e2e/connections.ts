import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Client } from '../../deploy/envoy/demo/request.ts'

/** Opens TLS to a gRPC port and waits for the server's first bytes, which follow its verdict on the certificate. */
export function greet(port: number, { certificate }: Client): Promise<string | false | null> {
  const own = certificate === undefined ? {} : { cert: certificate.certificate, key: certificate.key }
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...own })
    socket.once('error', reject)
    socket.once('data', () => {
      resolve(socket.alpnProtocol)
      socket.destroy()
    })
    socket.once('close', () => {
      reject(new Error('the connection was closed'))
    })
  })
}

/** Sends an HTTP request without TLS, and waits for the end of the connection. */
export function sendPlaintext(port: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1', () =>
      socket.write('GET /orders/1 HTTP/1.1\r\nhost: orders.shop\r\n\r\n'),
    )
    socket.on('error', () => undefined)
    socket.on('close', () => {
      resolve()
    })
    socket.resume()
  })
}
