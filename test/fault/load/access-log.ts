import { Client, type ClientWritableStream, credentials } from '@grpc/grpc-js'
import { v7 as uuidv7 } from 'uuid'
import { accessLogService } from '../../../src/grpc/services.ts'
import type { StreamAccessLogsMessage } from '../../../src/wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import { servedEntry, sidecar } from '../../access-log/entries.ts'

/** How many entries were written to streams that are open, that the server ended in order, and that broke. */
export interface AccessStatus {
  readonly open: number
  readonly ended: number
  readonly broken: number
}

export interface AccessLog {
  /** Entries per second from now on. */
  setRate(perSecond: number): void
  status(): AccessStatus
  /** Ends the stream and waits for the server to end it too. */
  close(): Promise<void>
}

const everyMs = 100
const definition = accessLogService['StreamAccessLogs']

/** Tells of accesses as an Envoy does: one stream, many entries in a message, several messages a second. */
export function startAccessLog(port: number): AccessLog {
  if (definition === undefined) throw new Error('the access log service has no StreamAccessLogs')
  const { path, requestSerialize, responseDeserialize } = definition
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure())
  const status = { open: 0, ended: 0, broken: 0 }
  let rate = 0
  let stream: ClientWritableStream<StreamAccessLogsMessage> | undefined
  let over: Promise<void> = Promise.resolve()

  const openStream = (): ClientWritableStream<StreamAccessLogsMessage> => {
    let settled = (): void => undefined
    over = new Promise((resolve) => (settled = resolve))
    const opened = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) => {
      status[error === null ? 'ended' : 'broken'] += status.open
      status.open = 0
      stream = undefined
      settled()
    })
    opened.write({ identifier: { node: { id: sidecar.node, cluster: sidecar.cluster }, log_name: sidecar.logName } })
    return opened
  }
  const timer = setInterval(() => {
    if (rate === 0) return
    stream ??= openStream()
    const entries = Math.round((rate * everyMs) / 1000)
    stream.write({ http_logs: { log_entry: Array.from({ length: entries }, entry) } })
    status.open += entries
  }, everyMs)
  return {
    setRate: (perSecond) => (rate = perSecond),
    status: () => ({ ...status }),
    close: async () => {
      clearInterval(timer)
      stream?.end()
      await Promise.race([over, new Promise((resolve) => setTimeout(resolve, 10_000))])
      client.close()
    },
  }
}

function entry() {
  const id = uuidv7()
  const served = servedEntry({ stream_id: id })
  return { ...served, request: { ...served.request, request_id: id } }
}
