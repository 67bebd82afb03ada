/** Frames of HTTP/2 (RFC 9113), as far as a client of unary gRPC calls needs them. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const frameType = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const
export const flags = { endStream: 0x1, ack: 0x1, endHeaders: 0x4 } as const

const headBytes = 9

export function frame(type: number, set: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = set
  bytes.writeUInt32BE(stream, 5)
  payload.copy(bytes, headBytes)
  return bytes
}

/** Lets the other side send so many more bytes on the connection. */
export function windowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(bytes, 0)
  return frame(frameType.windowUpdate, 0, 0, payload)
}

/** The HEADERS frame of a gRPC call, for stream 0: whoever sends it writes the stream in. */
export function headersFrame(path: string, authority: string): Buffer {
  // HPACK (RFC 7541): two fields of the static table, then literals that are not indexed.
  const block = Buffer.concat([
    Buffer.from([0x83, 0x86]), // :method POST, :scheme http
    Buffer.from([0x04]), // :path
    text(path),
    Buffer.from([0x01]), // :authority
    text(authority),
    Buffer.from([0x0f, 0x10]), // content-type
    text('application/grpc'),
    Buffer.from([0x00]),
    text('te'),
    text('trailers'),
  ])
  return frame(frameType.headers, flags.endHeaders, 0, block)
}

function text(value: string): Buffer {
  if (value.length > 126) throw new Error(`too long for one byte of length: ${value}`)
  return Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'latin1')])
}

/** Cuts what comes from a socket into frames. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0)

  read(chunk: Buffer): readonly Frame[] {
    const frames: Frame[] = []
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (bytes.length - at >= headBytes) {
      const end = at + headBytes + bytes.readUIntBE(at, 3)
      if (end > bytes.length) break
      const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff
      const payload = bytes.subarray(at + headBytes, end)
      frames.push({ type: bytes[at + 3] ?? 0, flags: bytes[at + 4] ?? 0, stream, payload })
      at = end
    }
    this.#rest = bytes.subarray(at)
    return frames
  }
}
