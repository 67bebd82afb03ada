import { type Logger, pino } from 'pino'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The operational log: what the server does, for those who run it. No audit data: who accessed what stands in the trail alone. */
export type Log = (level: LogLevel, message: string, fields?: object) => void

export interface OpenLog {
  readonly log: Log
  /** Resolves when everything said is written, or nobody has read it for a second. Nothing may be said afterwards. */
  readonly close: () => Promise<void>
}

const longestCloseMs = 1000

/** A log that writes JSON lines to standard error, and holds up nobody where they are read slowly. */
export function openLog(level: LogLevel, replica: string): OpenLog {
  const formatters = { level: (label: string) => ({ level: label }) }
  const options = { level, base: { replica }, formatters, timestamp: pino.stdTimeFunctions.isoTime }
  const destination = pino.destination({ dest: 2, sync: false })
  const logger: Logger = pino(options, destination)
  return {
    log: (at, message, fields = {}) => {
      logger[at](fields, message)
    },
    // Not `flush`, which does not wait for the write under way: an exit would then put the last lines before it.
    close: () =>
      new Promise((resolve) => {
        setTimeout(resolve, longestCloseMs).unref()
        destination.once('finish', resolve)
        destination.end()
      }),
  }
}
