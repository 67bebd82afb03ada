import { type Logger, pino } from 'pino'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The operational log: what the server does, for those who run it. No audit data: who accessed what stands in the trail alone. */
export type Log = (level: LogLevel, message: string, fields?: object) => void

export interface OpenLog {
  readonly log: Log
  /** Resolves when everything said so far is written, or nobody has read it for a second. What an exit interrupts would be written twice. */
  readonly flush: () => Promise<void>
}

const longestFlushMs = 1000

/** A log that writes JSON lines to standard error, and holds up nobody where they are read slowly. */
export function openLog(level: LogLevel, replica: string): OpenLog {
  const formatters = { level: (label: string) => ({ level: label }) }
  const options = { level, base: { replica }, formatters, timestamp: pino.stdTimeFunctions.isoTime }
  const logger: Logger = pino(options, pino.destination({ dest: 2, sync: false }))
  return {
    log: (at, message, fields = {}) => {
      logger[at](fields, message)
    },
    flush: () =>
      new Promise((resolve) => {
        setTimeout(resolve, longestFlushMs).unref()
        logger.flush(() => {
          resolve()
        })
      }),
  }
}
