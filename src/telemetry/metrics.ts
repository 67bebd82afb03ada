import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Every metric, in one table; docs/metrics.md is held to it by test/docs.test.ts. */
export const metricTable = {
  countersign_checks_total: {
    type: 'counter',
    help: 'Checks answered, by effect and reason.',
    labels: ['effect', 'reason'],
  },
  countersign_check_duration_seconds: {
    type: 'histogram',
    help: 'Time from a Check’s arrival to its answer.',
    labels: [],
  },
  countersign_callers_refused_total: { type: 'counter', help: 'Calls refused because of who made them.', labels: [] },
  countersign_records_appended_total: { type: 'counter', help: 'Records committed to the spool.', labels: [] },
  countersign_spool_waiting_records: { type: 'gauge', help: 'Records in the spool that a sink lacks.', labels: [] },
  countersign_spool_waiting_bytes: { type: 'gauge', help: 'Bytes of those records.', labels: [] },
  countersign_spool_oldest_waiting_seconds: { type: 'gauge', help: 'Age of the oldest of them.', labels: [] },
  countersign_spool_retained_bytes: { type: 'gauge', help: 'Bytes of records that are kept for replay.', labels: [] },
  countersign_spool_queued_events: { type: 'gauge', help: 'Events in memory that wait for the disk.', labels: [] },
  countersign_spool_writable: { type: 'gauge', help: '1 while the spool can append.', labels: [] },
  countersign_spool_lost_total: {
    type: 'counter',
    help: 'Files of the spool that could be written to no more.',
    labels: ['code'],
  },
  countersign_spool_reopened_total: { type: 'counter', help: 'Files that took the place of a lost one.', labels: [] },
  countersign_events_missed_total: {
    type: 'counter',
    help: 'Events that have no record; a gap counts them.',
    labels: ['of', 'reason'],
  },
  countersign_checkpoint_records: { type: 'gauge', help: 'Records that the last checkpoint signs.', labels: [] },
  countersign_checkpoint_timestamp_seconds: {
    type: 'gauge',
    help: 'When the last checkpoint was signed, in seconds since 1970.',
    labels: [],
  },
  countersign_sink_lag_records: { type: 'gauge', help: 'Records that the sink lacks.', labels: ['sink'] },
  countersign_sink_delivered_total: { type: 'counter', help: 'Records that the sink has taken.', labels: ['sink'] },
  countersign_sink_failures_total: {
    type: 'counter',
    help: 'Deliveries that failed and were tried again.',
    labels: ['sink', 'code'],
  },
  countersign_sink_rewinds_total: {
    type: 'counter',
    help: 'Times that the sink had lost records, and the spool was delivered again.',
    labels: ['sink'],
  },
  countersign_sink_topic_problems: {
    type: 'gauge',
    help: 'Ways in which the sink’s topic is not as it should be.',
    labels: ['sink'],
  },
  countersign_access_log_entries_total: {
    type: 'counter',
    help: 'Access-log entries, by what they say of the decision.',
    labels: ['mediation', 'phase'],
  },
  countersign_access_log_malformed_total: {
    type: 'counter',
    help: 'Access-log messages that could not be decoded.',
    labels: [],
  },
  countersign_policy_in_force: { type: 'gauge', help: '1 for the policy version in force.', labels: ['version'] },
  countersign_policy_loaded_timestamp_seconds: {
    type: 'gauge',
    help: 'When a policy was put in force last, in seconds since 1970.',
    labels: [],
  },
  countersign_policy_warnings: { type: 'gauge', help: 'Warnings about the policy in force.', labels: [] },
  countersign_policy_problems: { type: 'gauge', help: 'Problems of the version that was refused.', labels: [] },
  countersign_policy_last_good: { type: 'gauge', help: '1 while the kept copy is in force.', labels: [] },
  countersign_policy_copy_failing: { type: 'gauge', help: '1 while no usable copy is kept.', labels: [] },
  countersign_policy_rejected_total: { type: 'counter', help: 'Policy versions that were refused.', labels: [] },
  countersign_candidate_loaded: { type: 'gauge', help: '1 for the candidate version loaded.', labels: ['version'] },
  countersign_candidate_loaded_timestamp_seconds: {
    type: 'gauge',
    help: 'When a candidate was loaded last, in seconds since 1970.',
    labels: [],
  },
  countersign_candidate_warnings: { type: 'gauge', help: 'Warnings about the candidate.', labels: [] },
  countersign_candidate_problems: { type: 'gauge', help: 'Problems of a refused candidate.', labels: [] },
  countersign_candidate_rejected_total: { type: 'counter', help: 'Candidate versions that were refused.', labels: [] },
  countersign_candidate_decisions_total: {
    type: 'counter',
    help: 'Decisions while a candidate was loaded, by what it would have decided.',
    labels: ['agreement'],
  },
  countersign_archive_records_total: { type: 'counter', help: 'Records archived from the topic.', labels: [] },
  countersign_archive_duplicates_total: {
    type: 'counter',
    help: 'Records of the topic that the archive had already.',
    labels: [],
  },
  countersign_archive_forks_total: {
    type: 'counter',
    help: 'Records that were archived beside another record in the same place.',
    labels: [],
  },
  countersign_archive_rejected_total: {
    type: 'counter',
    help: 'Messages of the topic that are no records and were kept aside.',
    labels: [],
  },
  countersign_archive_segments_total: { type: 'counter', help: 'Segments published.', labels: [] },
  countersign_archive_failures_total: {
    type: 'counter',
    help: 'Tries to read the topic or to write the archive that failed.',
    labels: ['code'],
  },
  countersign_archive_lag_records: {
    type: 'gauge',
    help: 'Records of a partition of this instance that are not archived.',
    labels: ['partition'],
  },
  countersign_archive_buffered_bytes: { type: 'gauge', help: 'Bytes that wait in memory.', labels: [] },
} as const satisfies Record<string, { type: string; help: string; labels: readonly string[] }>

type Table = typeof metricTable
type NameOf<Type> = { [Name in keyof Table]: Table[Name]['type'] extends Type ? Name : never }[keyof Table]
type LabelsOf<Name extends keyof Table> = Record<Table[Name]['labels'][number], string>

/** The metrics of one process. */
export interface Metrics {
  count<Name extends NameOf<'counter'>>(name: Name, labels: LabelsOf<Name>, by?: number): void
  set<Name extends NameOf<'gauge'>>(name: Name, labels: LabelsOf<Name>, value: number): void
  observe(name: NameOf<'histogram'>, seconds: number): void
  /** Forgets all values of a gauge, so that a label that is gone does not stay. */
  reset(name: NameOf<'gauge'>): void
  /** In Prometheus’s text format. */
  render(): Promise<{ readonly contentType: string; readonly body: string }>
}

const seconds = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]

/** The metrics of a server, or of `countersign archive`: an alert must not see the zeros of what the process does not do. */
export function createMetrics(of: 'server' | 'archive' = 'server'): Metrics {
  const registry = new Registry()
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  for (const [name, { type, help, labels }] of Object.entries(metricTable)) {
    if (name.startsWith('countersign_archive_') !== (of === 'archive')) continue
    const common = { name, help, labelNames: [...labels], registers: [registry] }
    if (type === 'counter') counters.set(name, new Counter(common))
    if (type === 'gauge') gauges.set(name, new Gauge(common))
    if (type === 'histogram') histograms.set(name, new Histogram({ ...common, buckets: seconds }))
  }
  return {
    count: (name, labels, by = 1) => counters.get(name)?.inc(labels, by),
    set: (name, labels, value) => gauges.get(name)?.set(labels, value),
    observe: (name, value) => histograms.get(name)?.observe(value),
    reset: (name) => {
      gauges.get(name)?.reset()
    },
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}
