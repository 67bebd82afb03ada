import type { GapReason, TrailGap } from '../../audit/event-data.ts'
import { formatSequence } from '../../audit/record.ts'
import type { Sql } from '../file/sql.ts'
import type { Evidence, TrailEvidence } from './evidence.ts'

/** Consecutive sequences of one trail. */
interface Range {
  readonly from: number
  readonly to: number
}

/**
 * What the new file lacks of what the old one held for a sink: a gap for each range, in order. Where nothing is missing, or where the
 * last trail's end is not known for sure, one gap says that.
 */
export function missingGaps(
  sql: Sql,
  evidence: Evidence,
  trails: readonly TrailEvidence[],
  reason: GapReason,
  now: Date,
): readonly TrailGap[] {
  const gaps = trails.flatMap((trail) =>
    rangesOf(sql, evidence, trail).map((range) => gapOf(sql, trail, range, reason, now, trail === trails.at(-1))),
  )
  const last = trails.at(-1)
  const endIsNamed = last !== undefined && gaps.at(-1)?.toSequence === formatSequence(last.sequence)
  if (gaps.length > 0 && (endIsNamed || last?.isExact === true)) return gaps
  return [...gaps, endGap(last, reason, now)]
}

function rangesOf(sql: Sql, evidence: Evidence, trail: TrailEvidence): readonly Range[] {
  if (trail.base === null) {
    const from = trail.delivered + 1
    return trail.sequence < from ? [] : [{ from, to: trail.sequence }]
  }
  const { base } = trail
  // Where the cursors are gone too, what the archive has is all that is known to be delivered.
  const delivered = evidence.cursors.length === 0 ? base + trail.delivered : evidence.delivered
  const first = Math.max(delivered, base) + 1
  const last = base + trail.sequence
  const present = sql.iterate(
    'SELECT position FROM records WHERE position BETWEEN ? AND ? ORDER BY position',
    ...[first, last],
  )
  const ranges: Range[] = []
  let expected = first
  for (const row of present) {
    const position = Number(row['position'])
    if (position > expected) ranges.push({ from: expected - base, to: position - 1 - base })
    expected = position + 1
  }
  if (expected <= last) ranges.push({ from: expected - base, to: trail.sequence })
  return ranges.flatMap((range) => withoutNamed(range, base, evidence.holes))
}

/** What an earlier gap has named is not named again. */
function withoutNamed(range: Range, base: number, holes: Evidence['holes']): readonly Range[] {
  return holes.reduce<readonly Range[]>(
    (ranges, { first, last }) =>
      ranges.flatMap(({ from, to }) =>
        [
          { from, to: Math.min(to, first - base - 1) },
          { from: Math.max(from, last - base + 1), to },
        ]
          .filter((part) => part.from <= part.to)
          .filter((part, index, parts) => index === 0 || part.from !== parts[0]?.from),
      ),
    [range],
  )
}

function gapOf(
  sql: Sql,
  { trail, base, sequence, isExact }: TrailEvidence,
  { from, to }: Range,
  reason: GapReason,
  now: Date,
  isLast: boolean,
): TrailGap {
  return {
    ...common(trail, reason),
    fromSequence: formatSequence(from),
    toSequence: formatSequence(to),
    count: to - from + 1,
    countExact: !isLast || to < sequence || isExact,
    from: timeNear(sql, base, from - 1, now),
    to: timeNear(sql, base, to + 1, now),
  }
}

/** That nothing is missing; or that nobody knows whether something is, behind the last record. */
function endGap(last: TrailEvidence | undefined, reason: GapReason, now: Date): TrailGap {
  const isExact = last?.isExact ?? false
  return {
    ...common(last?.trail ?? null, reason),
    fromSequence: isExact || last === undefined ? null : formatSequence(last.sequence + 1),
    toSequence: null,
    count: 0,
    countExact: isExact,
    from: now.toISOString(),
    to: now.toISOString(),
  }
}

function common(
  trail: string | null,
  reason: GapReason,
): Pick<TrailGap, 'change' | 'of' | 'trail' | 'reason' | 'envoy'> {
  return { change: 'gap', of: 'trail', trail, reason, envoy: null }
}

/** When the record next to the gap was taken; now, where there is none. */
function timeNear(sql: Sql, base: number | null, sequence: number, now: Date): string {
  const ms =
    base === null ? null : sql.number('SELECT recorded_ms AS value FROM records WHERE position = ?', base + sequence)
  return (ms === null ? now : new Date(ms)).toISOString()
}
