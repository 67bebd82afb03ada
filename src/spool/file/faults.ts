import { CountersignError, type ErrorCode, messageOf } from '../../errors.ts'

// SQLite's primary result codes (sqlite.org/rescode.html), the low byte of `errcode`.
const busy = 5
const readOnly = 8
const corrupt = 11
const full = 13
const notADatabase = 26
/** SQLITE_READONLY_DBMOVED: the file was renamed or deleted. */
const moved = 1032

const fullDisk = ['ENOSPC', 'EDQUOT']
const notWritable = ['EROFS', 'EACCES', 'EPERM']

interface Meaning {
  readonly code: ErrorCode
  readonly retryable: boolean
}

const final: Meaning = { code: 'SPOOL_FAILED', retryable: false }

/**
 * Turns what SQLite or the system threw into an error with a code; `doing` says what was tried. A full disk gets room again, whoever
 * locked the file lets go of it, and a file system that is read-only may be made writable again: none has changed anything. All else
 * is final for the file, a failed sync or write above all.
 */
export function spoolFault(doing: string, thrown: unknown): CountersignError {
  if (thrown instanceof CountersignError) return thrown
  const { code, retryable } = meaningOf(thrown)
  return new CountersignError(code, `${doing}: ${messageOf(thrown)}`, { cause: thrown, retryable })
}

/** Whether SQLite found the file locked by somebody else. */
export function isBusy(thrown: unknown): boolean {
  return primary(sqliteCode(thrown)) === busy
}

/** Whether the fault is the file's, and not of what it was asked to hold. */
export function isOfFile({ code, cause }: CountersignError): boolean {
  if (code === 'SPOOL_DAMAGED' || code === 'SPOOL_REPLACED' || code === 'SPOOL_VERSION') return true
  return sqliteCode(cause) !== undefined || systemCode(cause) !== undefined
}

function meaningOf(thrown: unknown): Meaning {
  const extended = sqliteCode(thrown)
  if (extended === moved) return { code: 'SPOOL_REPLACED', retryable: false }
  switch (primary(extended)) {
    case full:
      return { code: 'SPOOL_FULL', retryable: true }
    case busy:
      return { code: 'SPOOL_IN_USE', retryable: true }
    case readOnly:
      return { code: 'SPOOL_FAILED', retryable: true }
    case corrupt:
    case notADatabase:
      return { code: 'SPOOL_DAMAGED', retryable: false }
    default:
      return meaningOfSystem(systemCode(thrown))
  }
}

function meaningOfSystem(code: string | undefined): Meaning {
  if (code === undefined) return final
  if (fullDisk.includes(code)) return { code: 'SPOOL_FULL', retryable: true }
  return notWritable.includes(code) ? { code: 'SPOOL_FAILED', retryable: true } : final
}

function sqliteCode(thrown: unknown): number | undefined {
  if (thrown === null || typeof thrown !== 'object' || !('errcode' in thrown)) return undefined
  return typeof thrown.errcode === 'number' ? thrown.errcode : undefined
}

function primary(code: number | undefined): number | undefined {
  return code === undefined ? undefined : code & 0xff
}

function systemCode(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !('syscall' in thrown) || !('code' in thrown)) return undefined
  return typeof thrown.code === 'string' ? thrown.code : undefined
}
