import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** What goes wrong on the way between clients and one broker. */
export type Fault =
  | { readonly kind: 'none' }
  /** Cuts the connection when the broker has answered a produce, in place of the answer: every so many answers. */
  | { readonly kind: 'cut before the acknowledgement'; readonly every: number }
  /** Holds everything up by so many milliseconds, each way. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Nothing passes, neither way, and nobody is told; what is under way passes when it ends. */
  | { readonly kind: 'black hole' }

/** A TCP proxy in front of one broker. It understands as much of Kafka's protocol as it needs to find the answers to produces. */
export interface FaultProxy {
  readonly port: number
  set(fault: Fault): void
  /** Answers to produces that came from the broker, and those of them that the client never got. */
  counts(): { readonly produces: number; readonly cut: number }
  close(): Promise<void>
}

const host = '127.0.0.1'

/** Listens on `port` (0: any) and passes everything on to `target`, until told otherwise. */
export async function startFaultProxy(port: number, target: number): Promise<FaultProxy> {
  const proxy = new Proxy(target)
  await proxy.listen(port)
  return proxy
}

class Proxy implements FaultProxy {
  readonly #target: number
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #fault: Fault = { kind: 'none' }
  #passes = Promise.withResolvers<undefined>()
  #produces = 0
  #cut = 0

  constructor(target: number) {
    this.#target = target
    this.#server = createServer((client) => {
      this.#join(client)
    })
    this.#passes.resolve(undefined)
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject).listen(port, host, resolve)
    })
  }

  set(fault: Fault): void {
    this.#passes.resolve(undefined)
    this.#fault = fault
    if (fault.kind === 'black hole') this.#passes = Promise.withResolvers<undefined>()
  }

  counts(): { produces: number; cut: number } {
    return { produces: this.#produces, cut: this.#cut }
  }

  async close(): Promise<void> {
    this.set({ kind: 'none' })
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #join(client: Socket): void {
    const broker = connect(this.#target, host)
    for (const [one, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(one.setNoDelay(true))
      one.on('error', () => undefined)
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
    /** Correlation ids of produces that the broker has not answered yet. */
    const produces = new Set<number>()
    void this.#pass(client, broker, (frame) => {
      if (frame.readInt16BE(4) === produceKey) produces.add(frame.readInt32BE(8))
      return true
    })
    void this.#pass(broker, client, (frame) => !produces.delete(frame.readInt32BE(4)) || this.#letsAnswer())
  }

  /** Passes whole frames on, in order, each when its time has come; `lets` tells whether it may pass at all. */
  async #pass(from: Socket, to: Socket, lets: (frame: Buffer) => boolean): Promise<void> {
    try {
      let rest: Buffer = Buffer.alloc(0)
      for await (const chunk of withTimes(from)) {
        rest = Buffer.concat([rest, chunk.bytes])
        for (let frame = frameOf(rest); frame !== undefined; frame = frameOf(rest)) {
          rest = rest.subarray(frame.length)
          await this.#until(chunk.at)
          if (!lets(frame)) {
            from.destroy()
            return
          }
          if (!to.write(frame)) await new Promise((resolve) => to.once('drain', resolve).once('close', resolve))
        }
      }
    } catch {
      // A connection that breaks is what the proxy is for.
    }
    to.destroy()
  }

  async #until(at: number): Promise<void> {
    await this.#passes.promise
    if (this.#fault.kind === 'delay') await sleep(Math.max(0, at + this.#fault.ms - performance.now()))
    await this.#passes.promise
  }

  #letsAnswer(): boolean {
    this.#produces += 1
    if (this.#fault.kind !== 'cut before the acknowledgement' || this.#produces % this.#fault.every !== 0) return true
    this.#cut += 1
    return false
  }
}

const produceKey = 0

/** The first whole frame: four bytes of length, and what they count. */
function frameOf(bytes: Buffer): Buffer | undefined {
  if (bytes.length < 4) return undefined
  const length = 4 + bytes.readInt32BE(0)
  return bytes.length < length ? undefined : bytes.subarray(0, length)
}

interface Chunk {
  readonly bytes: Buffer
  /** When it came. */
  readonly at: number
}

async function* withTimes(socket: Socket): AsyncGenerator<Chunk> {
  for await (const bytes of socket as AsyncIterable<Buffer>) yield { bytes, at: performance.now() }
}
