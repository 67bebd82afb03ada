import { connect, type Socket } from 'node:net'
import { type Frame, frame, frameType, FrameReader, flags, headersFrame, preface, windowUpdate } from './frames.ts'

// One HTTP/2 connection that asks the same few questions over and over, for a few microseconds each: the load has to leave the
// machine to the server. It knows just as much of HTTP/2 as an answer of the server needs.

export interface ConnectionEvents {
  /** The bytes of an answer, which came whole, and how long it took. */
  readonly onAnswer: (message: Buffer, microseconds: number) => void
  /** Calls that ended without an answer. */
  readonly onFailed: (calls: number) => void
  /** There may be room for more calls. */
  readonly onRoom: () => void
}

interface Call {
  readonly startedUs: number
  readonly body: Buffer[]
}

const reconnectMs = 20
const largestWindow = 2 ** 31 - 1

/** Stays connected: where the server goes away, it tries again until `close`. */
export class Connection {
  readonly #port: number
  readonly #headers: Buffer
  readonly #events: ConnectionEvents
  readonly #calls = new Map<number, Call>()
  #socket: Socket | undefined
  #open = false
  #leaving = false
  #closed = false
  #nextStream = 1
  /** Bytes of bodies that the server takes at the moment. */
  #window = 65_535
  #received = 0
  #pending: Buffer[] = []

  constructor(port: number, path: string, events: ConnectionEvents) {
    this.#port = port
    this.#headers = headersFrame(path, `127.0.0.1:${port}`)
    this.#events = events
    this.#connect()
  }

  get underWay(): number {
    return this.#calls.size
  }

  /** Whether a call of so many bytes may be sent. */
  takes(bytes: number): boolean {
    return this.#open && !this.#leaving && this.#window >= bytes
  }

  /** Prepares a call; `flush` sends it. The body is a gRPC message with its prefix. */
  call(body: Buffer): void {
    const stream = this.#nextStream
    this.#nextStream += 2
    const headers = Buffer.from(this.#headers)
    headers.writeUInt32BE(stream, 5)
    this.#pending.push(headers, frame(frameType.data, flags.endStream, stream, body))
    this.#window -= body.length
    this.#calls.set(stream, { startedUs: performance.now() * 1000, body: [] })
  }

  flush(): void {
    if (this.#pending.length === 0) return
    this.#socket?.write(Buffer.concat(this.#pending))
    this.#pending = []
  }

  close(): void {
    this.#closed = true
    this.#socket?.destroy()
  }

  #connect(): void {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true })
    this.#socket = socket
    this.#nextStream = 1
    this.#window = 65_535
    this.#received = 0
    this.#leaving = false
    this.#pending = []
    const reader = new FrameReader()
    socket.on('connect', () => {
      const settings = Buffer.alloc(6)
      settings.writeUInt16BE(4, 0) // INITIAL_WINDOW_SIZE
      settings.writeUInt32BE(largestWindow, 2)
      const grant = windowUpdate(largestWindow - 65_535)
      socket.write(Buffer.concat([preface, frame(frameType.settings, 0, 0, settings), grant]))
    })
    socket.on('data', (chunk) => {
      for (const each of reader.read(chunk)) this.#take(each)
      if (this.#leaving && this.#calls.size === 0) socket.destroy()
      this.#events.onRoom()
      this.flush()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#lost()
    })
  }

  #lost(): void {
    this.#open = false
    const calls = this.#calls.size
    this.#calls.clear()
    if (calls > 0) this.#events.onFailed(calls)
    if (this.#closed) return
    setTimeout(() => {
      if (!this.#closed) this.#connect()
    }, reconnectMs)
  }

  #take({ type, flags: set, stream, payload }: Frame): void {
    switch (type) {
      case frameType.settings:
        if ((set & flags.ack) === 0) this.#pending.push(frame(frameType.settings, flags.ack, 0, Buffer.alloc(0)))
        this.#open = true
        break
      case frameType.ping:
        if ((set & flags.ack) === 0) this.#pending.push(frame(frameType.ping, flags.ack, 0, payload))
        break
      case frameType.windowUpdate:
        if (stream === 0) this.#window += payload.readUInt32BE(0)
        break
      case frameType.data:
        this.#takeData(stream, payload)
        break
      case frameType.goAway:
        this.#leaving = true
        break
      case frameType.resetStream:
        this.#end(stream, false)
        break
      default: // HEADERS: the last ones are the trailers
        if ((set & flags.endStream) !== 0) this.#end(stream, true)
    }
  }

  #takeData(stream: number, payload: Buffer): void {
    this.#calls.get(stream)?.body.push(payload)
    this.#received += payload.length
    if (this.#received < 2 ** 29) return
    this.#pending.push(windowUpdate(this.#received))
    this.#received = 0
  }

  /** An answer counts once the server has ended the call in order. */
  #end(stream: number, inOrder: boolean): void {
    const call = this.#calls.get(stream)
    if (call === undefined) return
    this.#calls.delete(stream)
    const body = Buffer.concat(call.body)
    const whole = inOrder && body.length >= 5 && body.length === 5 + body.readUInt32BE(1)
    if (whole) this.#events.onAnswer(body.subarray(5), performance.now() * 1000 - call.startedUs)
    else this.#events.onFailed(1)
  }
}
