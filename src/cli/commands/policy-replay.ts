import { Command, Option } from 'commander'
import { CountersignError } from '../../errors.ts'
import { loadPolicy, type LoadedPolicy } from '../../policy/load.ts'
import { parseFilter, type Filter } from '../../readers/filter.ts'
import { replay, type Replay, type ReplayOptions } from '../../readers/replay.ts'
import { commanderOutput, counted, exitByUsage, visible, type Io } from '../print.ts'
import { problemLines } from '../problem-text.ts'
import { replayText } from '../replay-text.ts'

/** Which changes make the exit status 1. */
const failures = {
  allow: ['allow'],
  deny: ['deny'],
  effect: ['allow', 'deny'],
  any: ['allow', 'deny', 'rule'],
} as const

interface ReplayFlags {
  readonly policy: string
  readonly data: string
  readonly since?: string
  readonly until?: string
  readonly failOn: keyof typeof failures
  readonly json?: true
}

const examples = `
Each decision that a policy decided is put to this policy as it was asked then, and the answers are compared. The data folder is
only read; it may be that of a running server. Hashes are not checked: "countersign verify" does that.

Examples:
  countersign policy replay --policy ./new-policy --since 7d
  countersign policy replay --policy ./new-policy --since 2026-11-15 --until 2026-11-22 --fail-on allow
  countersign policy replay --policy ./new-policy --json | jq '.changes.allow.routes.groups[] | [.count, .route]'

Exit status: 0 nothing would change, 1 something would (see --fail-on), 2 usage, the policy would be refused, the data or some of
its lines cannot be read, or there was nothing to replay.`

/** `countersign policy replay`: what a policy would change of what was decided. */
export function policyReplayCommand(
  io: Io,
  now: () => Date = () => new Date(),
  onProgress: Progress = progressOf(process.stderr),
): Command {
  const command = new Command('replay')
    .description('put the decisions of the archive to a policy and say what would change')
    .requiredOption('--policy <dir>', 'folder that holds model.conf and *.csv')
    .option('--data <dir>', 'data folder of the server', './countersign-data')
    .option('--since <time>', 'recorded at this time or later: RFC 3339, a date, or a duration back from now (7d)')
    .option('--until <time>', 'recorded before: as --since')
    .addOption(
      new Option('--fail-on <change>', 'which change makes the exit status 1: effect is allow or deny, any also rules')
        .choices(Object.keys(failures))
        .default('any'),
    )
    .option('--json', 'everything, as one JSON object')
    .addHelpText('after', examples)
  return command
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (flags: ReplayFlags) => {
      const { since, until } = flags
      const time = { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) }
      const filter = parseFilter(time, now())
      if (!filter.ok) return command.error(`error: ${filter.problem}`, { exitCode: 2, code: 'countersign.usage' })
      process.exitCode = await run(io, flags, filter.value, onProgress)
    })
}

async function run(io: Io, flags: ReplayFlags, filter: Filter, onProgress: Progress): Promise<number> {
  const policy = await loadPolicy(flags.policy)
  if (!policy.ok) {
    if (flags.json === true) io.out(JSON.stringify({ problems: policy.problems }))
    else io.err(problemLines(flags.policy, policy.problems))
    return 2
  }
  const result = await replayFolder(io, flags.data, filter, policy, onProgress)
  if (result === undefined) return 2
  io.out(flags.json === true ? JSON.stringify(result) : replayText(result, io.columns))
  for (const trouble of troublesOf(result, flags.data)) io.err(trouble)
  return statusOf(result, flags.failOn)
}

async function replayFolder(
  io: Io,
  dir: string,
  filter: Filter,
  { ruleSet }: LoadedPolicy,
  onProgress: Progress,
): Promise<Replay | undefined> {
  try {
    const policy = { ruleSet, reads: ruleSet.model.reads.tokens }
    return await replay(dir, filter, policy, onProgress === undefined ? {} : { onProgress })
  } catch (fault) {
    if (!(fault instanceof CountersignError)) throw fault
    io.err(`${fault.code}: ${fault.message}`)
    return undefined
  } finally {
    onProgress?.(0, 0, 0)
  }
}

function statusOf({ changes, replayed, unreadable }: Replay, failOn: keyof typeof failures): number {
  if (unreadable.count > 0 || replayed === 0) return 2
  return failures[failOn].some((kind) => changes[kind].count > 0) ? 1 : 0
}

function troublesOf({ replayed, unreadable }: Replay, dir: string): string[] {
  const { count, places } = unreadable
  const lines = places.map(({ file, line, problem }) => visible(`${file}:${String(line)}: ${problem}`))
  if (count > places.length) lines.push(`… and ${(count - places.length).toLocaleString('en')} more`)
  if (count > 0) lines.push(`${counted(count, 'line')} could not be read: run "countersign verify --data ${dir}".`)
  if (replayed === 0) lines.push('There was nothing to replay: no decision of this time can be compared.')
  return lines
}

type Progress = ReplayOptions['onProgress']

/** How often the line of a terminal is written anew, in milliseconds. */
const everyMs = 250
const clearLine = '\r\u001b[K'

/** One line that is rewritten, where a person looks on and it takes a while; all read, nothing stays of it. */
function progressOf(stream: NodeJS.WriteStream): Progress {
  if (!stream.isTTY) return undefined
  let last = performance.now()
  return (bytes, ofBytes, decisions) => {
    if (bytes === ofBytes) {
      stream.write(clearLine)
      return
    }
    if (performance.now() - last < everyMs) return
    last = performance.now()
    const percent = Math.floor((bytes / ofBytes) * 100)
    stream.write(`${clearLine}${String(percent)} % read, ${counted(decisions, 'decision')}`)
  }
}
