import { type Logger, pino } from 'pino'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The operational log: what the server does, for those who run it. No audit data: who accessed what stands in the trail alone. */
export type Log = (level: LogLevel, message: string, fields?: object) => void

/** A log that writes JSON lines to standard error. */
export function createLog(level: LogLevel, replica: string): Log {
  const formatters = { level: (label: string) => ({ level: label }) }
  const options = { level, base: { replica }, formatters, timestamp: pino.stdTimeFunctions.isoTime }
  const logger: Logger = pino(options, pino.destination({ dest: 2, sync: false }))
  return (at, message, fields = {}) => {
    logger[at](fields, message)
  }
}
