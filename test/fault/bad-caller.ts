import type { IncomingHttpHeaders } from 'node:http'
import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { connect } from 'node:net'
import { type CallOptions, Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'

export const checkPath = '/envoy.service.auth.v3.Authorization/Check'
export const logPath = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs'

/** How a call ended: the gRPC status, and the bytes of the answer where there is one. */
export interface Ended {
  readonly code: number
  readonly bytes?: Buffer
}

/** A gRPC client that sends whatever bytes it is given. */
export class RawCaller {
  readonly #client: Client

  constructor(port: number) {
    const options = { 'grpc.max_send_message_length': -1, 'grpc.use_local_subchannel_pool': 1 }
    this.#client = new Client(`127.0.0.1:${String(port)}`, credentials.createInsecure(), options)
  }

  check(bytes: Buffer, options: CallOptions = {}): Promise<Ended> {
    return new Promise((resolve) => {
      const answered = (error: ServiceError | null, answer?: Buffer): void => {
        resolve({ code: error?.code ?? status.OK, ...(answer === undefined ? {} : { bytes: answer }) })
      }
      this.#client.makeUnaryRequest(checkPath, asIs, asIs, bytes, new Metadata(), options, answered)
    })
  }

  /** A Check that is cancelled at once. */
  cancelled(bytes: Buffer): Promise<number> {
    return new Promise((resolve) => {
      const call = this.#client.makeUnaryRequest(checkPath, asIs, asIs, bytes, (error) => {
        resolve(error?.code ?? status.OK)
      })
      setImmediate(() => {
        call.cancel()
      })
    })
  }

  /** An access-log stream. */
  openLog(): LogStream {
    let ended: (how: Ended) => void
    const end = new Promise<Ended>((resolve) => (ended = resolve))
    const call = this.#client.makeClientStreamRequest(logPath, asIs, asIs, (error, answer?: Buffer) => {
      ended({ code: error?.code ?? status.OK, ...(answer === undefined ? {} : { bytes: answer }) })
    })
    return {
      send: (bytes) =>
        new Promise((resolve) =>
          call.write(bytes, () => {
            resolve()
          }),
        ),
      end: () => {
        call.end()
        return end
      },
      cancel: () => {
        call.cancel()
        return end
      },
    }
  }

  close(): void {
    this.#client.close()
  }
}

export interface LogStream {
  send(bytes: Buffer): Promise<void>
  end(): Promise<Ended>
  cancel(): Promise<Ended>
}

function asIs(bytes: Buffer): Buffer {
  return bytes
}

/** Sends bytes to a port, waits until the server has ended the connection, or ends it once there is nothing to wait for. */
export function sendRaw(port: number, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      resolve()
    })
    socket.resume()
  })
}

/** An HTTP/2 connection on which calls are begun that no gRPC client would make. */
export class RawSession {
  readonly #session: ClientHttp2Session
  readonly closed: Promise<void>

  constructor(port: number) {
    this.#session = connectHttp2(`http://127.0.0.1:${String(port)}`)
    this.#session.on('error', () => undefined)
    this.closed = new Promise((resolve) => this.#session.once('close', resolve))
  }

  /** Begins a call; `frame` is the body as it stands on the wire, and is not ended. */
  begin(path: string, frame: Buffer, encoding = 'identity'): ClientHttp2Stream {
    const stream = this.#session.request({
      ...{
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        'grpc-encoding': encoding,
      },
    })
    stream.on('error', () => undefined)
    stream.resume()
    stream.write(frame)
    return stream
  }

  /** Begins a call, ends it, and returns the gRPC status; null where the stream was reset. */
  call(path: string, frame: Buffer, encoding?: string): Promise<string | null> {
    return new Promise((resolve) => {
      const stream = this.begin(path, frame, encoding)
      let code: string | null = null
      stream.on('response', (headers) => (code = textOf(headers['grpc-status']) ?? code))
      stream.on('trailers', (trailers: IncomingHttpHeaders) => (code = textOf(trailers['grpc-status']) ?? code))
      stream.on('close', () => {
        resolve(code)
      })
      stream.end()
    })
  }

  /** A request that is not gRPC; returns its HTTP status. */
  get(path: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const stream = this.#session.request({ ':path': path })
      stream.on('response', (headers) => {
        resolve(headers[':status'] ?? 0)
      })
      stream.on('error', reject)
      stream.resume()
    })
  }

  reset(stream: ClientHttp2Stream): Promise<void> {
    return new Promise((resolve) => {
      if (stream.closed) {
        resolve()
        return
      }
      stream.once('close', () => {
        resolve()
      })
      stream.close(constants.NGHTTP2_CANCEL)
    })
  }

  get destroyed(): boolean {
    return this.#session.destroyed
  }

  /** Ends the connection without a word. */
  destroy(): void {
    this.#session.destroy()
  }
}

/** A message as gRPC frames it; `length` and `flag` may say what is not so. */
export function framed(bytes: Buffer, { length = bytes.length, flag = 0 } = {}): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt8(flag)
  head.writeUInt32BE(length, 1)
  return Buffer.concat([head, bytes])
}

function textOf(header: string | string[] | undefined): string | undefined {
  return header === undefined ? undefined : String(header)
}
