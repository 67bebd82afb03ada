import type { Metrics } from './metrics.ts'

/** What is measured of the spool at the moment it is asked for. */
export interface SpoolMeasures {
  readonly waitingRecords: number
  readonly waitingBytes: number
  /** When the oldest of them was recorded, in milliseconds since 1970; null where none waits. */
  readonly oldestWaitingMs: number | null
  /** Bytes of the records that every sink has. */
  readonly retainedBytes: number
  /** The last checkpoint of the trail, signed at this time in milliseconds since 1970. */
  readonly checkpoint: { readonly size: number; readonly at: number } | null
  readonly queued: number
  readonly problem: object | null
  readonly lastPosition: number
}

/** Brings the gauges of the spool and its sinks up to date. */
export function setGauges(
  metrics: Metrics,
  spool: SpoolMeasures,
  sinks: ReadonlyMap<string, { readonly position: number; readonly topicProblems: readonly string[] }>,
  nowMs: number,
): void {
  const ageMs = spool.oldestWaitingMs === null ? 0 : Math.max(0, nowMs - spool.oldestWaitingMs)
  metrics.set('countersign_spool_waiting_records', {}, spool.waitingRecords)
  metrics.set('countersign_spool_waiting_bytes', {}, spool.waitingBytes)
  metrics.set('countersign_spool_retained_bytes', {}, spool.retainedBytes)
  metrics.set('countersign_checkpoint_records', {}, spool.checkpoint?.size ?? 0)
  metrics.set('countersign_checkpoint_timestamp_seconds', {}, (spool.checkpoint?.at ?? 0) / 1000)
  metrics.set('countersign_spool_oldest_waiting_seconds', {}, ageMs / 1000)
  metrics.set('countersign_spool_queued_events', {}, spool.queued)
  metrics.set('countersign_spool_writable', {}, spool.problem === null ? 1 : 0)
  for (const [sink, { position, topicProblems }] of sinks) {
    metrics.set('countersign_sink_lag_records', { sink }, Math.max(0, spool.lastPosition - position))
    metrics.set('countersign_sink_topic_problems', { sink }, topicProblems.length)
  }
}
