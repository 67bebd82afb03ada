import { setImmediate as nextTurn } from 'node:timers/promises'
import type { AuditLog } from '../audit/audit-log.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { TrustDomain } from '../identity/trust-domain.ts'
import type { StreamAccessLogsMessage__Output } from '../wire/envoy/service/accesslog/v3/StreamAccessLogsMessage.ts'
import { Backlog } from './backlog.ts'
import { type Logger, loggerOf, unknownLogger } from './logger.ts'
import { normalizeHttp, normalizeTcp } from './normalize.ts'

export interface ReceiveParts {
  readonly auditLog: AuditLog
  readonly trustDomains: ReadonlySet<TrustDomain>
  readonly newId: () => string
  readonly now: () => Date
  /** Told of each event that was made. */
  readonly onEvent: (event: AuditEvent) => void
  /** Told of each message that could not be decoded; it is left out. */
  readonly onMalformed: (logger: Logger) => void
  /** Aborted when the server begins to stop: nothing is held up from then on, so that each stream comes to its end. */
  readonly stopping: AbortSignal
}

/** Events of one stream that may wait for the disk before the stream is held up; all streams together have a bound of their own. */
const streamBacklog = 1024
/** Events of one stream that are made before Checks, which wait on the same thread, get their turn. */
const eventsPerTurn = 8

/**
 * Receives one access-log stream to its end. Envoy waits for no acknowledgement, and drops what it cannot send: the stream is
 * read on while the disk is slow, up to a bound, and then held up by flow control: nothing more is read from the connection. A message is undefined where its bytes
 * could not be decoded. Rejects only when the stream does.
 */
export async function receive(
  messages: AsyncIterable<StreamAccessLogsMessage__Output | undefined>,
  parts: ReceiveParts,
): Promise<void> {
  const backlog = new Backlog(streamBacklog)
  const release = (): void => {
    backlog.release()
  }
  if (parts.stopping.aborted) release()
  else parts.stopping.addEventListener('abort', release)
  try {
    await takeAll(messages, backlog, parts)
  } finally {
    parts.stopping.removeEventListener('abort', release)
  }
}

async function takeAll(
  messages: AsyncIterable<StreamAccessLogsMessage__Output | undefined>,
  backlog: Backlog,
  parts: ReceiveParts,
): Promise<void> {
  // Envoy says who it is in the first message only.
  let logger = unknownLogger
  let taken = 0
  for await (const message of messages) {
    if (message === undefined) {
      parts.onMalformed(logger)
      continue
    }
    logger = loggerOf(message.identifier) ?? logger
    for (const event of eventsOf(message, logger, parts)) {
      parts.onEvent(event)
      await parts.auditLog.room()
      await backlog.add(parts.auditLog.record(event))
      taken += 1
      if (taken % eventsPerTurn === 0) await nextTurn()
    }
  }
}

/** One at a time: a message of 4 MiB may hold two million entries. */
function* eventsOf(
  message: StreamAccessLogsMessage__Output,
  logger: Logger,
  parts: ReceiveParts,
): Generator<AuditEvent, void> {
  for (const entry of message.http_logs?.log_entry ?? []) yield normalizeHttp(entry, logger, parts)
  for (const entry of message.tcp_logs?.log_entry ?? []) yield normalizeTcp(entry, logger, parts)
}
