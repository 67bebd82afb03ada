import { Command } from 'commander'
import type { Io } from '../print.ts'

export interface ArchiveFlags {
  readonly config?: string
  readonly brokers?: string
  readonly topic?: string
  readonly group?: string
  readonly data?: string
  readonly admin?: string
}

/** What came of it, as the command line tells it. */
export interface ArchiveEnd {
  readonly done: boolean
  readonly forks: number
  readonly rejected: number
}

/** `countersign archive`; `archive` runs until it has been stopped. Sets `process.exitCode`. */
export function archiveCommand(io: Io, archive: (flags: ArchiveFlags) => Promise<ArchiveEnd>): Command {
  return new Command('archive')
    .description('Write a topic into an archive, each record once. Runs until it is stopped.')
    .option('--config <file>', 'settings in YAML (docs/settings.md lists them all)')
    .option('--brokers <brokers>', 'the brokers: HOST:PORT, or several with commas between')
    .option('--topic <name>', 'the topic (default: countersign.audit.v1)')
    .option('--group <name>', 'the consumer group whose members share the partitions (default: countersign-archive)')
    .option('--data <dir>', 'folder of archive/ and rejected/ (default: ./countersign-data)')
    .option('--admin <host:port>', 'metrics, /healthz and /readyz (default: 127.0.0.1:9190)')
    .addHelpText(
      'after',
      `
Several instances of one group share the partitions and may write to one folder; rebalances lose and double nothing. The folder
must not be that of a server.
Exit status: 0 everything that was read is archived, 1 could not start, 2 bad settings, 75 some of it is read again at the next start.

Example:
  countersign archive --brokers kafka-1:9092,kafka-2:9092 --data /var/lib/countersign-archive`,
    )
    .allowExcessArguments(false)
    .action(async (flags: ArchiveFlags) => {
      const { done, forks, rejected } = await archive(flags)
      if (forks > 0)
        io.err(`countersign: forks: ${forks} records claim places that others have; see "countersign verify"`)
      if (rejected > 0) io.err(`countersign: ${rejected} messages are no records and stand in rejected/`)
      if (!done) io.err('countersign: some of what was read is not archived; it is read again at the next start')
      process.exitCode = done ? 0 : 75
    })
}

/** The settings that the flags stand for, nested as in the YAML file. */
export function archiveSettingsOf({ brokers, topic, group, data, admin }: ArchiveFlags): Record<string, unknown> {
  const archive = {
    ...(brokers === undefined ? {} : { brokers: brokers.split(',').map((broker) => broker.trim()) }),
    ...(topic === undefined ? {} : { topic }),
    ...(group === undefined ? {} : { group }),
  }
  return {
    ...(Object.keys(archive).length === 0 ? {} : { archive }),
    ...(data === undefined ? {} : { data }),
    ...(admin === undefined ? {} : { admin }),
  }
}
