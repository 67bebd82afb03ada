import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { IncomingRecord } from '../archive/incoming.ts'
import type { PublishedPart } from '../archive/intake.ts'
import type { Settings } from '../config.ts'
import { CountersignError } from '../errors.ts'
import { type ArchivedTopic, type ArchiveTopicSettings, archiveTopic } from '../sinks/archive-topic.ts'
import { readLogin } from '../sinks/kafka/login.ts'
import { type Admin, startAdmin } from '../telemetry/admin.ts'
import { type Log, openLog } from '../telemetry/log.ts'
import { createMetrics, type Metrics } from '../telemetry/metrics.ts'

/** What came of a run of `countersign archive`. */
export interface ArchiveOutcome {
  /** False where something that was read could not be archived or committed in time: it is read again at the next start. */
  readonly done: boolean
  readonly records: number
  readonly forks: number
  readonly rejected: number
}

export interface RunningArchive {
  readonly adminPort: number
  /** Archives what was read, and stops within the grace time. */
  stop(): Promise<ArchiveOutcome>
}

interface Totals {
  records: number
  duplicates: number
  forks: number
  rejected: number
  segments: number
}

interface Parts {
  readonly log: Log
  readonly metrics: Metrics
  readonly totals: Totals
  readonly topic: ArchivedTopic
}

const progressMs = 10_000
/** Forks and rejected messages that are told one by one, of each segment or part. */
const toldOneByOne = 20

/** Starts to archive the topic that the settings name. Throws CONFIG_INVALID or ADDRESS_IN_USE; Kafka may come later. */
export async function startArchive(settings: Settings): Promise<RunningArchive> {
  const topicSettings = readTopicSettings(settings)
  const { log, close: closeLog } = openLog(settings.log.level, settings.replica)
  const metrics = createMetrics('archive')
  const totals: Totals = { records: 0, duplicates: 0, forks: 0, rejected: 0, segments: 0 }
  const topic = startTopic(topicSettings, settings.replica, { log, metrics, totals })
  const admin = await startAdminPort(settings, { log, metrics, totals, topic }).catch(async (thrown: unknown) => {
    await topic.stop(0)
    throw thrown
  })
  const { group, archiveDir } = topicSettings
  log('info', 'archiving', { topic: topicSettings.topic, group, archive: archiveDir, admin: settings.admin.text })
  const progress = tellProgress({ log, metrics, totals, topic })
  return {
    adminPort: admin.port,
    stop: async () => {
      clearInterval(progress)
      log('info', 'stopping')
      const done = await topic.stop(settings.shutdown.graceMs)
      await admin.close()
      const { records, forks, rejected } = totals
      log(done ? 'info' : 'warn', 'stopped', { done, ...totals })
      await closeLog()
      return { done, records, forks, rejected }
    },
  }
}

function readTopicSettings({ data, archive }: Settings): ArchiveTopicSettings {
  const { brokers, sasl, ...rest } = archive
  if (brokers === undefined) {
    throw new CountersignError('CONFIG_INVALID', 'archive.brokers: nothing found; name the brokers, or give --brokers')
  }
  if (existsSync(join(data, 'spool'))) {
    const message = `data: ${data} is the data folder of a server, which writes its own archive; choose another folder`
    throw new CountersignError('CONFIG_INVALID', message)
  }
  return {
    ...rest,
    brokers,
    ...(sasl === undefined ? {} : { sasl: readLogin('archive', sasl) }),
    archiveDir: join(data, 'archive'),
    rejectedDir: join(data, 'rejected'),
  }
}

function startTopic(
  settings: ArchiveTopicSettings,
  replica: string,
  { log, metrics, totals }: Omit<Parts, 'topic'>,
): ArchivedTopic {
  return archiveTopic(settings, {
    clientId: `countersign-archive-${replica}`,
    log: (level, message, fields) => {
      log(level, message, fields)
    },
    onSegment: ({ forks }) => {
      totals.segments += 1
      totals.forks += forks.length
      metrics.count('countersign_archive_segments_total', {})
      metrics.count('countersign_archive_forks_total', {}, forks.length)
      tellForks(forks, log)
    },
    onPublished: (partition, part) => {
      countPart(part, totals, metrics)
      tellRejected(settings.topic, partition, part, log)
    },
    onTrouble: ({ code, message }) => {
      metrics.count('countersign_archive_failures_total', { code })
      log('warn', 'archiving failed and will be tried again', { code, problem: message })
    },
  })
}

function countPart({ records, duplicates, rejected }: PublishedPart, totals: Totals, metrics: Metrics): void {
  totals.records += records
  totals.duplicates += duplicates
  totals.rejected += rejected.length
  metrics.count('countersign_archive_records_total', {}, records)
  metrics.count('countersign_archive_duplicates_total', {}, duplicates)
  metrics.count('countersign_archive_rejected_total', {}, rejected.length)
}

function tellForks(forks: readonly IncomingRecord[], log: Log): void {
  for (const { trail, sequence, hash } of forks.slice(0, toldOneByOne)) {
    log('error', 'another record stands in the same place: a fork; both are kept', { trail, sequence, hash })
  }
  if (forks.length > toldOneByOne) log('error', 'more forks in the same segment', { forks: forks.length })
}

function tellRejected(topic: string, partition: number, { rejected }: PublishedPart, log: Log): void {
  for (const { offset, problem } of rejected.slice(0, toldOneByOne)) {
    log('error', 'a message is no record and was kept aside', { topic, partition, offset, problem })
  }
  if (rejected.length > toldOneByOne) log('error', 'more messages are no records', { messages: rejected.length })
}

function startAdminPort(settings: Settings, { metrics, topic }: Parts): Promise<Admin> {
  const health = () => {
    const { isMember, kafkaProblem, archiveProblem } = topic.status()
    const waiting = isMember ? null : 'the group has given this instance no partition'
    return {
      kafka: { part: 'kafka', problem: kafkaProblem ?? waiting },
      archive: { part: 'archive', problem: archiveProblem },
    }
  }
  return startAdmin(settings.admin.host, settings.admin.port, {
    liveness: () => [],
    // An instance beyond the number of partitions stands by, and is ready to.
    readiness: () => [health().archive, { part: 'kafka', problem: topic.status().kafkaProblem }],
    warnings: () => [health().kafka],
    metrics,
    refresh: () => {
      const { lag, bufferedBytes } = topic.status()
      metrics.set('countersign_archive_buffered_bytes', {}, bufferedBytes)
      metrics.reset('countersign_archive_lag_records')
      for (const [partition, records] of lag) {
        metrics.set('countersign_archive_lag_records', { partition: String(partition) }, records)
      }
    },
  })
}

/** One line in a while, and none while nothing happens. */
function tellProgress({ log, totals, topic }: Parts): NodeJS.Timeout {
  let told = ''
  return setInterval(() => {
    const { lag, bufferedBytes } = topic.status()
    const line = { ...totals, lag: [...lag.values()].reduce((sum, records) => sum + records, 0), bufferedBytes }
    const text = JSON.stringify(line)
    if (text !== told) log('info', 'archived', line)
    told = text
  }, progressMs)
}
