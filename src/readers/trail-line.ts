import { isUtf8 } from 'node:buffer'
import { basename } from 'node:path'
import { segmentPath, type Segment } from '../archive/layout.ts'
import { readSegment, type SegmentLine } from '../archive/read.ts'
import { checkLine, type CheckedLine } from '../audit/chain.ts'
import { maxRecordBytes } from '../audit/redact.ts'
import type { SpooledRecord } from '../spool/spooled-record.ts'

/** Where a line stands. */
export interface Where {
  /** Below the data folder; `spool` for the spool. */
  readonly file: string
  /** 1-based; the position of a record in the spool. */
  readonly line: number
  /** The day that the folder of a segment names. */
  readonly day?: string
}

/** One line of a trail as it was found, whatever it is worth. */
export interface TrailLine {
  readonly where: Where
  readonly text: string
  /** What the line is worth by itself: whether it is a record of this trail with the hash that it carries. */
  readonly checked: CheckedLine
  /** Sequence by which lines are merged: the line's own, as far as it can be believed, else that of its place. */
  readonly sequence: number
  /** Set where the file ends in the middle of this line. */
  readonly torn?: Buffer
}

export const spoolFile = 'spool'

/** The lines of one segment. Throws ARCHIVE_UNREADABLE. */
export async function* segmentLines(archiveDir: string, segment: Segment): AsyncGenerator<TrailLine> {
  const path = segmentPath(segment)
  let previous = segment.first - 1
  for await (const line of readSegment(`${archiveDir}/${path}`)) {
    const text = line.bytes.toString()
    const checked = belongingTo(segment.trail, checkSegmentLine(line, text))
    previous = placeAfter(previous, checked)
    const where = { file: `${basename(archiveDir)}/${path}`, line: line.number, day: segment.day }
    yield { where, text, checked, sequence: previous, ...(line.end === 'torn' ? { torn: line.bytes } : {}) }
  }
}

/** The lines of records as the spool holds them, all of one trail. */
export function* spoolLines(records: Iterable<SpooledRecord>): Generator<TrailLine> {
  for (const { position, trail, sequence, line } of records) {
    const checked = belongingTo(trail, checkLine(line))
    const moved = checked.ok && checked.place.sequence !== sequence
    const problem = `the spool keeps the record as number ${String(sequence)} of the trail`
    yield {
      where: { file: spoolFile, line: position },
      text: line,
      checked: moved ? { ok: false, problem } : checked,
      sequence,
    }
  }
}

function checkSegmentLine(line: SegmentLine, text: string): CheckedLine {
  if (line.end === 'torn') return { ok: false, problem: 'the file ends in the middle of the line' }
  if (line.end === 'damaged') {
    return { ok: false, problem: 'the sealed segment is damaged: from here on it cannot be decompressed' }
  }
  if (line.end === 'too-long') {
    return { ok: false, problem: `the line is longer than a record may be (${String(maxRecordBytes)} bytes)` }
  }
  // Bytes that are not UTF-8 would be read as U+FFFD, and could then have the right hash.
  return isUtf8(line.bytes) ? checkLine(text) : { ok: false, problem: 'the line is not UTF-8' }
}

function belongingTo(trail: string, checked: CheckedLine): CheckedLine {
  if (!checked.ok || checked.place.trail === trail) return checked
  return { ok: false, problem: `the record belongs to trail ${checked.place.trail}` }
}

/** A line that claims a place beyond the next one is met where it stands, not where it claims to. */
function placeAfter(previous: number, checked: CheckedLine): number {
  return checked.ok ? Math.min(checked.place.sequence, previous + 1) : previous + 1
}
