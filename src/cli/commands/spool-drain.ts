import { Command, InvalidArgumentError } from 'commander'
import { commanderOutput, exitByUsage, type Io, visible } from '../print.ts'

export interface DrainFlags {
  readonly config?: string
  readonly kafka?: string
  readonly topic?: string
  readonly giveUpAfter: number
}

/** What the command is told while a spool is drained. */
export interface Progress {
  /** Records that at least one sink lacks. */
  readonly left: number
  /** What keeps sinks from taking them, by the sink's name. */
  readonly troubles: ReadonlyMap<string, string>
}

/** Drains the spool of the data folder `dir`, until nothing is left or `giveUpAfter` seconds pass in which no sink takes anything. */
export type Drain = (
  dir: string,
  flags: DrainFlags,
  onProgress: (progress: Progress) => void,
) => Promise<{ readonly left: number; readonly replica: string }>

const status = { drained: 0, left: 75 }
/** How often progress is told where nobody watches a terminal, in milliseconds. */
const linesMs = 5000
const defaultSeconds = 60

/** `countersign spool drain`: delivers what a replica that is gone left behind. Sets `process.exitCode`. */
export function spoolDrainCommand(io: Io, drain: Drain): Command {
  return new Command('drain')
    .description('Deliver what a replica that is gone left in its data folder.')
    .argument('<dir>', 'its data folder')
    .option('--config <file>', 'settings in YAML, whose sinks get the records')
    .option('--kafka <brokers>', 'deliver to Kafka too: HOST:PORT, or several with commas between')
    .option('--topic <name>', 'the topic for --kafka (default: countersign.audit.v1)')
    .option('--give-up-after <seconds>', 'stop when no sink takes anything for so long', parseSeconds, defaultSeconds)
    .addHelpText(
      'after',
      `
The spool is taken under the name of its own replica; the records keep their trail, sequence and hash.
Exit status: 0 everything is delivered, 1 the spool cannot be used, 2 usage, 75 some records stay in the spool.

Example:
  countersign spool drain /mnt/countersign-2 --config countersign.yaml`,
    )
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (dir: string, flags: DrainFlags) => {
      const teller = progressTeller(io)
      const { left, replica } = await drain(dir, flags, teller.tell)
      teller.end()
      const outcome = left === 0 ? 'everything is delivered' : `${left} records stay in the spool`
      io.err(visible(`${replica}: ${outcome}`))
      process.exitCode = left === 0 ? status.drained : status.left
    })
}

/** On a terminal one line is written over; elsewhere there is a line now and then. Troubles are told once each. */
function progressTeller(io: Io): { readonly tell: (progress: Progress) => void; readonly end: () => void } {
  const terminal = io.columns !== undefined && process.stderr.isTTY
  const told = new Map<string, string>()
  let nextMs = 0
  const wipe = (): void => {
    if (terminal) process.stderr.write('\r\u001b[K')
  }
  return {
    tell: ({ left, troubles }) => {
      for (const [sink, problem] of troubles) {
        if (told.get(sink) === problem) continue
        told.set(sink, problem)
        wipe()
        io.err(visible(`${sink}: ${problem}`))
      }
      const text = `${left} records wait`
      if (terminal) process.stderr.write(`\r\u001b[K${text}`)
      else if (performance.now() >= nextMs) {
        io.err(text)
        nextMs = performance.now() + linesMs
      }
    },
    end: wipe,
  }
}

function parseSeconds(text: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('allowed: a whole number of seconds from 1 on.')
}
