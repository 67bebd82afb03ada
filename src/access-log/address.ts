import type { Address__Output } from '../wire/envoy/config/core/v3/Address.ts'

/** An address as text: host alone, or with its port; the path of a Unix socket; undefined where there is none. */
export function addressOf(address: Address__Output | undefined, form: 'host' | 'with-port'): string | undefined {
  const socket = address?.socket_address
  if (socket?.address === undefined) return address?.pipe?.path
  if (form === 'host' || socket.port_value === undefined) return socket.address
  const host = socket.address.includes(':') ? `[${socket.address}]` : socket.address
  return `${host}:${socket.port_value}`
}
