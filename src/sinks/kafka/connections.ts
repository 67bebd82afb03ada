import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'

const keepAliveMs = 60_000

interface SocketRequest {
  readonly host: string
  readonly port: number
  readonly ssl: ConnectionOptions | boolean | undefined
  readonly onConnect: () => void
}

/**
 * The connections of one producer, held so that they can be cut. The client's own disconnect waits for answers, and its
 * retries connect anew; a batch of a producer that was given up must not reach a broker behind the back of its successor.
 */
export class KafkaConnections {
  readonly #open = new Set<Socket>()
  #closed = false

  get closed(): boolean {
    return this.#closed
  }

  /** Makes a connection for the client. Throws once closed. */
  readonly socketFactory = ({ host, port, ssl, onConnect }: SocketRequest): Socket => {
    if (this.#closed) throw new Error('the producer was discarded')
    const socket = isWanted(ssl) ? openTls(host, port, ssl, onConnect) : connect({ host, port }, onConnect)
    socket.setKeepAlive(true, keepAliveMs).setNoDelay(true)
    guardReading(socket)
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    return socket
  }

  close(): void {
    this.#closed = true
    // With an error, because the client hears of nothing else.
    for (const socket of this.#open) socket.destroy(new Error('the producer was discarded'))
  }
}

/**
 * The client throws where it reads, for example when the other side is no Kafka. Nobody could catch that, and it would
 * end the process: it ends the connection instead.
 */
function guardReading(socket: Socket): void {
  const on = socket.on.bind(socket) as (event: string, listener: (...args: unknown[]) => void) => Socket
  socket.on = ((event: string, listener: (...args: unknown[]) => void) => {
    if (event !== 'data') return on(event, listener)
    return on(event, (...args) => {
      try {
        listener(...args)
      } catch (cause) {
        socket.destroy(new Error('the other side does not speak the Kafka protocol', { cause }))
      }
    })
  }) as Socket['on']
}

function isWanted(ssl: SocketRequest['ssl']): ssl is ConnectionOptions | true {
  return ssl !== undefined && ssl !== false && (ssl as unknown) !== null
}

function openTls(host: string, port: number, ssl: ConnectionOptions | true, onConnect: () => void): Socket {
  const name = isIP(host) === 0 ? { servername: host } : {}
  return connectTls({ host, port, ...name, ...(ssl === true ? {} : ssl) }, onConnect)
}
