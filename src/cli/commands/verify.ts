import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import type { VerifierKey } from '../../audit/checkpoint.ts'
import { CountersignError } from '../../errors.ts'
import { verifierKeysFile } from '../../keys/signing-key.ts'
import { readVerifierKeys } from '../../keys/verifier-keys.ts'
import { Expectations } from '../../readers/verify/expectation.ts'
import { fileParts } from '../../readers/verify/file-parts.ts'
import { expectCheckpoints } from '../../readers/verify/outside-checkpoints.ts'
import { expectState, stateOf, type Remembered } from '../../readers/verify/state.ts'
import { topicParts } from '../../readers/verify/topic-parts.ts'
import { verifyFolder } from '../../readers/verify/verify-folder.ts'
import { verifyParts, withMore, type Verification, type VerifyOptions } from '../../readers/verify/verify.ts'
import type { KafkaConnectionSettings } from '../../sinks/kafka/client.ts'
import { openTopic } from '../../sinks/kafka/read-topic.ts'
import { commanderOutput, exitByUsage, type Io } from '../print.ts'
import { replaceFile } from '../replace-file.ts'
import { verifyProof } from '../verify-proof.ts'
import { verificationText } from '../verification-text.ts'
import type { ReadLanes } from './topic.ts'

interface VerifyFlags {
  readonly data?: string
  readonly kafka?: string
  readonly config?: string
  readonly topic: string
  readonly keys?: string
  readonly proof?: string
  readonly state?: string
  readonly checkpoints?: string
  readonly once?: true
  readonly partial?: true
  readonly json?: true
}

/** Whose signatures are believed, and on whose word. */
interface Trust {
  readonly keys: readonly VerifierKey[] | undefined
  readonly by: 'keys-file' | 'data-folder' | 'nobody'
}

const defaultData = './countersign-data'
const defaultTopic = 'countersign.audit.v1'

const examples = `
Each record must have the hash that it carries, name the record before it, and stand in its place; each trail must begin
with "opened" and end where the trail after it says; each checkpoint must be signed by a trusted key and have the root of
the records before it. Only --state and --checkpoints prove that nothing was cut off at the end (docs/verify.md).

Examples:
  countersign verify --data ./countersign-data
  countersign verify --keys trusted.pub --state /var/lib/auditor/verify.json
  countersign verify --kafka 127.0.0.1:9092 --topic countersign.audit.v1 --keys trusted.pub --checkpoints outside.ndjson
  zstdcat export.ndjson.zst | countersign verify - --keys trusted.pub --json

Exit status: 0 whole, 1 broken, 2 usage, trouble, or nothing there that could be verified.`

const exitCodes = { whole: 0, broken: 1, empty: 2 } as const

/** `countersign verify`: checks records wherever they are kept, and names the first bad place. Writes nothing but `--state`. */
export function verifyCommand(io: Io, readLanes: ReadLanes = () => ({})): Command {
  return new Command('verify')
    .description('check that records are complete and unaltered')
    .argument('[file...]', 'exported records, one a line, .zst too; - is standard input')
    .option('--data <dir>', `data folder of the server: its archive and spool (default: ${defaultData})`)
    .option('--kafka <brokers>', 'all records of a topic: HOST:PORT, or several with commas between')
    .option('--topic <name>', 'the topic, with --kafka', defaultTopic)
    .option('--config <file>', 'settings in YAML: the topic of its Kafka sink, with its TLS and login')
    .option('--keys <file>', 'public keys whose signatures are believed, one NAME+ID+KEY a line')
    .option('--state <file>', 'remembers what was verified, and compares with the run before')
    .option('--checkpoints <file>', 'checkpoints that were kept outside the trail, one record a line')
    .option('--proof <file>', 'checks what "countersign prove" wrote, by itself; needs --keys')
    .option('--once', 'a record that comes twice is a failure in topics and exports too')
    .option('--partial', 'the files begin somewhere in the trails: verified from the first record that is there')
    .option('--json', 'the result as one JSON object')
    .addHelpText('after', examples)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
    .action(async (files: readonly string[], flags: VerifyFlags) => {
      process.exitCode = await verifyAll(io, files, flags, readLanes)
    })
}

async function verifyAll(io: Io, files: readonly string[], flags: VerifyFlags, readLanes: ReadLanes): Promise<number> {
  try {
    refuseSeveral(files, flags)
    if (flags.proof !== undefined) return verifyProof(io, { ...flags, proof: flags.proof })
    const trust = trustFor(files, flags)
    const expectations = new Expectations()
    const remembered = flags.state === undefined ? undefined : expectState(flags.state, expectations)
    // Before the records: what they cover must be there by then.
    const outside = flags.checkpoints === undefined ? [] : outsideOf(flags.checkpoints, trust, expectations)
    const progress = io.progress === undefined ? {} : { onProgress: showing(io) }
    const options = {
      ...(trust.keys ? { keys: trust.keys } : {}),
      expectations,
      once: flags.once === true,
      ...progress,
    }
    const result = withMore(await verifySource(files, flags, options, readLanes), {
      bad: outside,
      notes: [...notesOn(trust), ...notesOnKnown(flags, remembered, expectations)],
    })
    io.progress?.('')
    const trusted = { trust: trust.by }
    io.out(flags.json === true ? JSON.stringify({ ...result, ...trusted }) : verificationText(result, io.columns))
    // Behind the verdict, which stands also where this cannot be written.
    if (flags.state !== undefined && result.verdict !== 'empty') {
      replaceFile('--state', flags.state, stateOf(result, new Date(), remembered), 0o600)
    }
    return exitCodes[result.verdict]
  } catch (fault) {
    io.progress?.('')
    if (!(fault instanceof CountersignError)) {
      // Status 1 would say that records are broken.
      io.err(`verify failed: ${fault instanceof Error ? (fault.stack ?? fault.message) : String(fault)}`)
      return 2
    }
    for (const line of fault.message.split('\n')) io.err(`${fault.code}: ${line}`)
    return 2
  }
}

function refuseSeveral(files: readonly string[], { data, kafka, config, proof, partial }: VerifyFlags): void {
  const given = [
    files.length > 0,
    data !== undefined,
    kafka !== undefined,
    config !== undefined,
    proof !== undefined,
  ].filter(Boolean)
  if (partial === true && files.length === 0) throw new CountersignError('USAGE', '--partial goes with files')
  if (given.length > 1) throw new CountersignError('USAGE', 'give one of --data, --kafka, --config, --proof and files')
}

async function verifySource(
  files: readonly string[],
  flags: VerifyFlags,
  options: VerifyOptions,
  readLanes: ReadLanes,
): Promise<Verification> {
  if (files.length > 0) return verifyParts(await fileParts(files, flags.partial), options)
  const target = topicOf(flags, readLanes)
  if (target === undefined) return verifyFolder(flags.data ?? defaultData, options)
  const opened = await openTopic(target.settings, target.topic)
  try {
    return await verifyParts(topicParts(target.topic, opened.partitions), options)
  } finally {
    opened.close()
  }
}

function topicOf(
  { kafka, topic, config }: VerifyFlags,
  readLanes: ReadLanes,
): { readonly settings: KafkaConnectionSettings; readonly topic: string } | undefined {
  if (kafka !== undefined) return { settings: { brokers: kafka.split(',').map((broker) => broker.trim()) }, topic }
  if (config === undefined) return undefined
  // A topic of checkpoints alone is no trail.
  const lanes = Object.values(readLanes(config)).filter((lane) => lane.type === 'kafka')
  const [lane, ...more] = lanes.filter(({ records }) => records !== 'checkpoints')
  if (lane === undefined) throw new CountersignError('USAGE', `${config} names no sink of type kafka`)
  if (more.length > 0) throw new CountersignError('USAGE', `${config} names several sinks of type kafka; allowed: one`)
  return { settings: lane, topic: lane.topic }
}

function trustFor(files: readonly string[], { keys, kafka, config, data = defaultData }: VerifyFlags): Trust {
  if (keys !== undefined) return { keys: readVerifierKeys(keys), by: 'keys-file' }
  const own = verifierKeysFile(join(data, 'keys'))
  const isElsewhere = files.length > 0 || kafka !== undefined || config !== undefined
  if (isElsewhere || !existsSync(own)) return { keys: undefined, by: 'nobody' }
  return { keys: readVerifierKeys(own), by: 'data-folder' }
}

function outsideOf(file: string, { keys }: Trust, expectations: Expectations): ReturnType<typeof expectCheckpoints> {
  if (keys !== undefined) return expectCheckpoints(file, keys, expectations)
  throw new CountersignError('USAGE', '--checkpoints needs --keys: without a key nobody knows who signed them')
}

function notesOn({ by }: Trust): readonly string[] {
  switch (by) {
    case 'keys-file':
      return []
    case 'data-folder':
      return [
        'signatures were checked with the data folder’s own keys, which proves nothing against whoever owns the folder; --keys takes keys of yours',
      ]
    case 'nobody':
      return ['signatures were not checked: no key is known; --keys takes those that you trust']
  }
}

/** What was given to compare with, and has nothing. */
function notesOnKnown(
  { state, checkpoints }: VerifyFlags,
  remembered: Remembered | undefined,
  expectations: Expectations,
): readonly string[] {
  const notes: string[] = []
  if (state !== undefined && remembered === undefined) {
    notes.push(`--state: there is no ${state} yet: this run is the first, and is compared with none before it`)
  }
  if (checkpoints !== undefined && !expectations.has('checkpoints')) {
    notes.push(`--checkpoints: ${checkpoints} holds no checkpoint that is trusted: nothing was compared with it`)
  }
  return notes
}

/** Shows the bytes that were read, twice a second at most. */
function showing(io: Io): (bytes: number, total: number | undefined) => void {
  let shownAt = Date.now()
  return (bytes, total) => {
    if (Date.now() - shownAt < 500) return
    shownAt = Date.now()
    const share =
      total === undefined || total === 0
        ? ''
        : ` of ${megabytes(total)} (${String(Math.min(100, Math.floor((100 * bytes) / total)))} %)`
    io.progress?.(`verified ${megabytes(bytes)}${share}`)
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6).toLocaleString('en')} MB`
}
