import type { ParsedRecord } from '../audit/chain.ts'
import { eventTypes } from '../audit/event.ts'
import { dayOf } from './decision-by-id.ts'
import { textAt } from './members.ts'
import { query } from './query.ts'
import type { DataFolder, DayRange } from './source.ts'

/**
 * The records that an id names, in the order in which they were recorded: of a decision, by its decision id or by the id of one of
 * its records, all records of it; else the record whose event has the id. None where the data folder does not have it. Throws
 * ARCHIVE_UNREADABLE and what the spool throws.
 */
export async function recordsById(folder: DataFolder, id: string): Promise<readonly ParsedRecord[]> {
  // The id tells the day on which it was made. Clocks, and ids that others made, may tell another.
  const day = dayOf(id)
  const soon = day === undefined ? [] : await find(folder, id, day)
  return soon.length > 0 ? soon : find(folder, id, {})
}

async function find(folder: DataFolder, id: string, days: DayRange): Promise<readonly ParsedRecord[]> {
  const found: ParsedRecord[] = []
  for await (const { record } of query(folder, { days, matches: (record) => isNamed(record, id) })) found.push(record)
  const decisionId = found.map(decisionIdOf).find((known) => known !== undefined)
  return decisionId === undefined || decisionId === id ? found : find(folder, decisionId, days)
}

function isNamed(record: ParsedRecord, id: string): boolean {
  return record.id === id || decisionIdOf(record) === id
}

/** Undefined where the record is not a decision: an access carries the id of its decision too. */
function decisionIdOf(record: ParsedRecord): string | undefined {
  return record.type === eventTypes.decision ? textAt(record, 'decisionId') : undefined
}
