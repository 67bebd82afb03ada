import { isIP } from 'node:net'
import type { Parsed } from '../identity/parsed.ts'

/** Where to listen: a host with a port, or a Unix socket. Made only by `parseListenAddress`. */
export interface ListenAddress {
  readonly text: string
  /** As grpc-js wants it. */
  readonly target: string
  readonly host: string | null
  readonly port: number | null
  /** Path of the Unix socket, or null. */
  readonly socket: string | null
}

/** Parses `HOST:PORT`, `[IPv6]:PORT` or `unix:PATH`. Port 0 lets the system choose. */
export function parseListenAddress(text: string): Parsed<ListenAddress> {
  if (text.startsWith('unix:')) {
    // gRPC also writes absolute paths as unix:///path.
    const socket = text.slice('unix:'.length).replace(/^\/\/(?=\/)/, '')
    return socket.length > 0
      ? { ok: true, value: { text, target: `unix:${socket}`, host: null, port: null, socket } }
      : { ok: false, problem: 'the path of the Unix socket is missing: unix:PATH' }
  }
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || (bracketed !== undefined && isIP(bracketed) !== 6)) {
    return { ok: false, problem: 'the form is HOST:PORT, [IPv6]:PORT or unix:PATH' }
  }
  if (Number(port) > 65535) return { ok: false, problem: 'a port is a number from 0 to 65535' }
  return { ok: true, value: { text, target: text, host, port: Number(port), socket: null } }
}

/** An address with a host and a port. */
export interface TcpAddress extends ListenAddress {
  readonly host: string
  readonly port: number
}

/** Parses `HOST:PORT` or `[IPv6]:PORT` alone. */
export function parseTcpAddress(text: string): Parsed<TcpAddress> {
  const parsed = parseListenAddress(text)
  if (!parsed.ok) return parsed
  const { host, port } = parsed.value
  if (host === null || port === null) return { ok: false, problem: 'the form is HOST:PORT or [IPv6]:PORT' }
  return { ok: true, value: { ...parsed.value, host, port } }
}

/** Whether nobody outside this machine can reach the address. */
export function mayBePlaintext({ host }: ListenAddress): boolean {
  if (host === null || host === 'localhost' || host === '::1') return true
  return isIP(host) === 4 && host.startsWith('127.')
}
