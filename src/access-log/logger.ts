import type { _envoy_service_accesslog_v3_StreamAccessLogsMessage_Identifier__Output as Identifier } from '../wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'

/** The access logger that a stream belongs to, as Envoy names itself. */
export interface Logger {
  readonly node: string | null
  readonly cluster: string | null
  readonly logName: string | null
}

export const unknownLogger: Logger = { node: null, cluster: null, logName: null }

/** Reads a stream's identifier; undefined where the message has none. */
export function loggerOf(identifier: Identifier | undefined): Logger | undefined {
  if (identifier === undefined) return undefined
  const { node, log_name: logName } = identifier
  return { node: node?.id ?? null, cluster: node?.cluster ?? null, logName: logName ?? null }
}
