import { CountersignError, type ErrorCode, messageOf } from '../errors.ts'

// SQLite's primary result codes (sqlite.org/rescode.html), the low byte of `errcode`.
const busy = 5
const full = 13

/** Turns what SQLite threw into an error with a code; `doing` says what was tried. Only a full disk may pass by itself. */
export function spoolFault(doing: string, thrown: unknown): CountersignError {
  if (thrown instanceof CountersignError) return thrown
  const code = codeOf(thrown)
  return new CountersignError(code, `${doing}: ${messageOf(thrown)}`, {
    cause: thrown,
    retryable: code === 'SPOOL_FULL',
  })
}

/** Whether SQLite found the file locked by somebody else. */
export function isBusy(thrown: unknown): boolean {
  return primaryCode(thrown) === busy
}

function codeOf(thrown: unknown): ErrorCode {
  return primaryCode(thrown) === full ? 'SPOOL_FULL' : 'SPOOL_FAILED'
}

function primaryCode(thrown: unknown): number | undefined {
  if (thrown === null || typeof thrown !== 'object' || !('errcode' in thrown)) return undefined
  return typeof thrown.errcode === 'number' ? thrown.errcode & 0xff : undefined
}
