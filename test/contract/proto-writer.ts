import jspb from 'google-protobuf'

type Writer = jspb.BinaryWriter
export type Write = (writer: Writer) => void

/** A message, field by field, whatever our definitions say of it. */
export function encode(write: Write): Buffer<ArrayBuffer> {
  const writer = new jspb.BinaryWriter()
  write(writer)
  return Buffer.from(writer.getResultBuffer())
}

/** Writes inside the message that the field numbers lead to. */
export function inside(writer: Writer, [field, ...deeper]: readonly number[], write: Write): void {
  if (field === undefined) write(writer)
  else
    writer.writeMessage(field, {}, () => {
      inside(writer, deeper, write)
    })
}

/** Writes a group, the wire type that proto3 has no field for. */
export function group(writer: Writer, field: number, write: Write): void {
  writer.writeGroup(field, {}, () => {
    write(writer)
  })
}

/** One entry of a request's `headers`. */
export function header(http: Writer, name: Uint8Array, value: Uint8Array): void {
  inside(http, [3], (entry) => {
    entry.writeBytes(1, name)
    entry.writeBytes(2, value)
  })
}

/** A CheckRequest with an HTTP request. */
export function httpOf(write: Write): Buffer<ArrayBuffer> {
  return encode((writer) => {
    inside(writer, [1, 4, 2], write)
  })
}

/** A StreamAccessLogsMessage with one HTTP entry. */
export function logEntry(write: Write): Buffer<ArrayBuffer> {
  return encode((writer) => {
    inside(writer, [2, 1], write)
  })
}
