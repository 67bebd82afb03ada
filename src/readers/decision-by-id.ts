import type { ParsedRecord } from '../audit/chain.ts'
import { eventTypes } from '../audit/event.ts'
import { reasons, type Reason } from '../decision/decision.ts'
import { textAt } from './members.ts'
import { query } from './query.ts'
import type { DataFolder, DayRange } from './source.ts'

/**
 * The record of a decision: the one that says what was answered, where a second record superseded the first. Undefined where
 * the data folder holds none. Throws ARCHIVE_UNREADABLE and what the spool throws.
 */
export async function decisionById(folder: DataFolder, decisionId: string): Promise<ParsedRecord | undefined> {
  // The id tells the day on which it was made. Clocks, and ids that others made, may tell another.
  const day = dayOf(decisionId)
  return (day && (await find(folder, decisionId, day))) ?? (await find(folder, decisionId, {}))
}

async function find(folder: DataFolder, decisionId: string, days: DayRange): Promise<ParsedRecord | undefined> {
  const matches = (record: ParsedRecord) =>
    record.type === eventTypes.decision && textAt(record, 'decisionId') === decisionId
  let found: ParsedRecord | undefined
  for await (const { record } of query(folder, { days, matches })) found = record
  return found
}

/** The day of a UUIDv7, and the one after it: a record may be superseded past midnight. */
export function dayOf(decisionId: string): DayRange | undefined {
  if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7/.test(decisionId)) return undefined
  const ms = Number.parseInt(decisionId.slice(0, 8) + decisionId.slice(9, 13), 16)
  const [from, to] = [ms, ms + 86_400_000].map((time) => new Date(time).toISOString().slice(0, 10))
  return from === undefined || to === undefined ? undefined : { from, to }
}

/** What a reason means; an empty text where this version does not know it. */
export function meaningOf(reason: string): string {
  return Object.hasOwn(reasons, reason) ? reasons[reason as Reason] : ''
}
