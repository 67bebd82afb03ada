import { Command, CommanderError } from 'commander'
import { startArchive } from '../app/archive.ts'
import { readSinks } from '../app/inputs.ts'
import { type RunningServer, startServer } from '../app/server.ts'
import { drainSpool } from '../app/spool-drain.ts'
import { readSettings, type Settings } from '../config.ts'
import { CountersignError, type ErrorCode, messageOf } from '../errors.ts'
import { type ArchiveEnd, archiveCommand, type ArchiveFlags, archiveSettingsOf } from './commands/archive.ts'
import { policyCheckCommand } from './commands/policy-check.ts'
import { policyDiffCommand } from './commands/policy-diff.ts'
import { policyExplainCommand } from './commands/policy-explain.ts'
import { policyKeygenCommand } from './commands/policy-keygen.ts'
import { policyReplayCommand } from './commands/policy-replay.ts'
import { policySignCommand } from './commands/policy-sign.ts'
import { policyTestCommand } from './commands/policy-test.ts'
import { proveCommand } from './commands/prove.ts'
import { queryCommand } from './commands/query.ts'
import { serveCommand, type ServeFlags, settingsOf } from './commands/serve.ts'
import { type Drain, spoolDrainCommand } from './commands/spool-drain.ts'
import { topicCheckCommand, topicCreateCommand } from './commands/topic.ts'
import { verifyCommand } from './commands/verify.ts'
import { processIo } from './print.ts'

/** Exit statuses: 2 for what the caller has to write differently, 1 for what failed, 75 (EX_TEMPFAIL) for records left in the spool. */
const usageStatus = 2
const failureStatus = 1
const leftStatus = 75

const usageCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['USAGE', 'CONFIG_INVALID', 'KEY_INVALID'])

const io = processIo()

/** Runs one command line; sets the process's exit status. Never throws. */
export async function run(argv: readonly string[], version: string): Promise<void> {
  try {
    await program(version).parseAsync(argv)
  } catch (thrown) {
    process.exitCode = report(thrown)
  }
}

function program(version: string): Command {
  const countersign = new Command('countersign')
    .description('Authorizes every request of a service mesh by SPIFFE identity, and keeps the proof.')
    .version(version)
    .addCommand(serveCommand((flags) => serve(flags, version)))
    .addCommand(archiveCommand(io, archive))
    .addCommand(queryCommand(io))
    .addCommand(verifyCommand(io, lanesOf))
    .addCommand(proveCommand(io))
    .addCommand(
      new Command('spool')
        .description('Work with the spool, where records wait for their delivery.')
        .addCommand(spoolDrainCommand(io, drainer(version))),
    )
    .addCommand(
      new Command('topic')
        .description('Work with the topics of Kafka that the trail is delivered to.')
        .addCommand(topicCreateCommand(io, lanesOf))
        .addCommand(topicCheckCommand(io, lanesOf)),
    )
    .addCommand(
      new Command('policy')
        .description('Work with policy folders.')
        .addCommand(policyCheckCommand(io))
        .addCommand(policyTestCommand(io))
        .addCommand(policyExplainCommand(io))
        .addCommand(policyDiffCommand(io))
        .addCommand(policyReplayCommand(io))
        .addCommand(policySignCommand(io))
        .addCommand(policyKeygenCommand(io)),
    )
  everywhere(countersign, version)
  return countersign
}

/** Usage errors are thrown, not exited on, and every command answers --version. */
function everywhere(command: Command, version: string): void {
  command.exitOverride().showHelpAfterError('(--help tells what is allowed)')
  for (const child of command.commands) {
    child.version(version)
    everywhere(child, version)
  }
}

async function serve(flags: ServeFlags, version: string): Promise<void> {
  const stop = nextStopSignal()
  const server = await startServer(settingsFrom(flags), version)
  await stop
  await stopServer(server)
}

async function archive(flags: ArchiveFlags): Promise<ArchiveEnd> {
  const stop = nextStopSignal()
  const file = flags.config === undefined ? {} : { file: flags.config }
  const running = await startArchive(readSettings({ ...file, flags: archiveSettingsOf(flags) }))
  await stop
  void nextStopSignal().then(() => process.exit(leftStatus))
  return running.stop()
}

/** The first signal ends the delivery in order; the spool keeps what is left. */
function drainer(version: string): Drain {
  return (dir, { config, giveUpAfter, ...sink }, onProgress) => {
    const stop = new AbortController()
    void nextStopSignal().then(() => {
      stop.abort()
    })
    const settingsFor = (data: string, replica: string): Settings => {
      const file = config === undefined ? {} : { file: config }
      return readSettings({
        ...file,
        flags: { ...settingsOf({ ...(config === undefined ? {} : { config }), ...sink, data }), replica },
      })
    }
    return drainSpool(dir, settingsFor, version, { patienceMs: giveUpAfter * 1000, stop: stop.signal, onProgress })
  }
}

function lanesOf(file: string): ReturnType<typeof readSinks> {
  return readSinks(readSettings({ file, flags: {} }))
}

function settingsFrom(flags: ServeFlags): Settings {
  const file = flags.config === undefined ? {} : { file: flags.config }
  return readSettings({ ...file, flags: settingsOf(flags) })
}

async function stopServer(server: RunningServer): Promise<void> {
  // Whoever asks twice does not want to wait.
  void nextStopSignal().then(() => process.exit(leftStatus))
  const { left, missed } = await server.drain()
  if (left > 0) io.err(`countersign: ${left} records stay in the spool; they are delivered when it is served again`)
  if (missed > 0) io.err(`countersign: ${missed} events have no record, and no gap could be written that counts them`)
  process.exit(left + missed === 0 ? 0 : leftStatus)
}

function nextStopSignal(): Promise<void> {
  return new Promise((resolve) => {
    const stop = (): void => {
      process.off('SIGINT', stop).off('SIGTERM', stop)
      resolve()
    }
    process.on('SIGINT', stop).on('SIGTERM', stop)
  })
}

function report(thrown: unknown): number {
  // commander has already told what is wrong, or has shown its help.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : usageStatus
  if (!(thrown instanceof CountersignError)) {
    io.err(`countersign: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown)}`)
    return failureStatus
  }
  for (const line of thrown.message.split('\n')) io.err(`countersign: ${thrown.code}: ${line}`)
  return usageCodes.has(thrown.code) ? usageStatus : failureStatus
}
