import { CountersignError, type ErrorCode, messageOf } from '../errors.ts'

// SQLite's primary result codes (sqlite.org/rescode.html), the low byte of `errcode`.
const busy = 5
const full = 13

/**
 * Turns what SQLite threw into an error with a code; `doing` says what was tried. A full disk gets room again, and whoever locked
 * the file lets go of it: neither has changed anything. All else is final.
 */
export function spoolFault(doing: string, thrown: unknown): CountersignError {
  if (thrown instanceof CountersignError) return thrown
  const code = codeOf(thrown)
  return new CountersignError(code, `${doing}: ${messageOf(thrown)}`, {
    cause: thrown,
    retryable: code !== 'SPOOL_FAILED',
  })
}

/** Whether SQLite found the file locked by somebody else. */
export function isBusy(thrown: unknown): boolean {
  return primaryCode(thrown) === busy
}

function codeOf(thrown: unknown): ErrorCode {
  const primary = primaryCode(thrown)
  if (primary === full) return 'SPOOL_FULL'
  return primary === busy ? 'SPOOL_IN_USE' : 'SPOOL_FAILED'
}

function primaryCode(thrown: unknown): number | undefined {
  if (thrown === null || typeof thrown !== 'object' || !('errcode' in thrown)) return undefined
  return typeof thrown.errcode === 'number' ? thrown.errcode & 0xff : undefined
}
