import type { AuditEvent } from '../../src/audit/event.ts'
import { encodeEvent, firstPrevHash, sealRecord, type Place } from '../../src/audit/record.ts'

/** The first place of a trail. */
export const firstPlace: Place = {
  trail: 'countersign-0-019aa5d5-0000-7000-8000-00000000000a',
  sequence: 1,
  prevHash: firstPrevHash,
  recordedAt: new Date('2026-11-22T10:00:00.124Z'),
}

/** The record of an event at a trail's first place. */
export function recordLine(event: AuditEvent): string {
  return sealRecord(encodeEvent(event), firstPlace).line
}
