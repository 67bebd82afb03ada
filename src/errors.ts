/**
 * Every fault that Countersign reports by a code. Expected outcomes (a denial, a policy's problems) are values, not errors.
 * `docs/errors.md` is held to this list by `test/docs.test.ts`.
 */
export const errorCodes = {
  ADDRESS_IN_USE: 'A port is taken by another process.',
  ARCHIVE_DAMAGED: 'A sealed segment of the archive cannot be decompressed.',
  ARCHIVE_UNREADABLE: 'The archive, or the data folder that should hold it, cannot be read.',
  ARCHIVE_UNWRITABLE: 'A segment of the archive cannot be written.',
  CONFIG_INVALID: 'A setting is unknown or has a value that is not allowed.',
  CHECKPOINTS_UNWRITABLE: 'The file of checkpoints outside the trail cannot be written.',
  KAFKA_TOPIC_WRONG: 'The topic is not made as a trail needs it, so nothing is delivered to it.',
  INPUT_UNREADABLE: 'A file that a command was given cannot be read, or is not what it should be.',
  KAFKA_UNAVAILABLE: 'Kafka did not take a batch: no broker answered, or the broker refused it.',
  KAFKA_LATE: 'Kafka has not acknowledged records for longer than an answer may wait.',
  KAFKA_REPLY_UNTRUSTED: 'Kafka acknowledged a batch in a way that does not prove that it is new; it is sent again.',
  KEY_INVALID: 'A signing key or a verifier key cannot be used.',
  LISTEN_REFUSED: 'The address may not be listened on as it is configured.',
  NODE_TOO_OLD: 'This Node.js is older than the oldest that Countersign runs on.',
  SINK_LOST_RECORDS: 'A sink lacks records that it had taken; what the spool still has is delivered again.',
  SPOOL_DAMAGED: 'The spool does not hold what it was given.',
  SPOOL_FULL: 'The disk, or the space that the spool may use, is full.',
  SPOOL_FAILED: 'The spool cannot be read or written.',
  SPOOL_IN_USE: 'Another process holds the spool.',
  SPOOL_STALLED: 'The disk has not taken records for longer than an answer may wait.',
  SPOOL_REPLACED: 'A file of the spool was deleted, replaced or rolled back.',
  SPOOL_VERSION: 'The spool was written by a newer version.',
  TLS_INVALID: 'A certificate, key or CA file cannot be used.',
  USAGE: 'The command line is not understood.',
} as const

export type ErrorCode = keyof typeof errorCodes

export interface CountersignErrorOptions {
  readonly cause?: unknown
  /** Whether the same call may succeed later without anybody changing anything. Default false. */
  readonly retryable?: boolean
}

/** The only error class that Countersign throws on purpose. `message` names the thing, the value found and what is allowed. */
export class CountersignError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean

  constructor(code: ErrorCode, message: string, options: CountersignErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CountersignError'
    this.code = code
    this.retryable = options.retryable ?? false
  }
}

/** The message of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
