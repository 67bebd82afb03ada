import { Command, InvalidArgumentError } from 'commander'
import { CountersignError } from '../../errors.ts'
import { differenceText, rightTopic, safeReplicas } from '../../sinks/kafka/topic-rules.ts'
import { createTopic, type FoundTopic, lookAtTopic, type TopicTarget } from '../../sinks/kafka/topics.ts'
import type { SinkSettings } from '../../sinks/protocol.ts'
import { commanderOutput, exitByUsage, type Io, visible } from '../print.ts'

/** The lanes of delivery that a file of settings names. Throws CONFIG_INVALID. */
export type ReadLanes = (config: string) => Readonly<Record<string, SinkSettings>>

interface PlaceFlags {
  readonly config?: string
  readonly brokers?: readonly string[]
  readonly topic: string
}

interface CreateFlags extends PlaceFlags {
  readonly partitions: number
  readonly replicationFactor: number
  readonly retentionMs?: number
}

interface Target extends TopicTarget {
  readonly checkpoints: boolean
}

const status = { right: 0, wrong: 1 }
const defaultPartitions = 6
const defaultTopic = 'countersign.audit.v1'
/** Few and small, and needed for as long as anything is verified against them. */
const checkpointTopic = { partitions: 1, retentionMs: -1 }

const createExamples = `
Examples:
  countersign topic create --config countersign.yaml
  countersign topic create --brokers kafka-1:9092,kafka-2:9092
  countersign topic create --brokers 127.0.0.1:9092 --replication-factor 1     # a broker on its own, for a first look

A topic that is there already is never altered. Exit status: 0 made, or there and right, 1 there and wrong, or no answer, 2 usage.`

/** `countersign topic create`: makes the topics of a trail as they should be. Sets `process.exitCode`. */
export function topicCreateCommand(io: Io, readLanes: ReadLanes): Command {
  return placed(new Command('create'), io)
    .description('make the topics that records and checkpoints are delivered to')
    .option('--partitions <n>', 'partitions of the records’ topic', parseWhole, defaultPartitions)
    .option('--replication-factor <n>', 'brokers that keep each record', parseWhole, safeReplicas)
    .option('--retention-ms <ms>', 'how long records stay in the topic (default: a year)', parseWhole)
    .addHelpText('after', createExamples)
    .action(async (flags: CreateFlags) => {
      for (const target of targetsOf(flags, readLanes)) {
        const { partitions, retentionMs } = target.checkpoints ? checkpointTopic : flags
        const topic = await createTopic(target, partitions, rightTopic(flags.replicationFactor, retentionMs))
        tell(io, topic)
      }
    })
}

/** `countersign topic check`: says how the topics of a trail differ from what they should be. Sets `process.exitCode`. */
export function topicCheckCommand(io: Io, readLanes: ReadLanes): Command {
  return placed(new Command('check'), io)
    .description('say whether the topics can lose records, and what mends them')
    .addHelpText('after', '\nExit status: 0 right, 1 wrong, absent, or no answer, 2 usage.')
    .action(async (flags: PlaceFlags) => {
      for (const target of targetsOf(flags, readLanes)) {
        const topic = await lookAtTopic(target)
        if (topic !== undefined) tell(io, topic)
        else absent(io, target)
      }
    })
}

function placed(command: Command, io: Io): Command {
  return command
    .option('--config <file>', 'settings in YAML: all topics of its Kafka sinks')
    .option('--brokers <brokers>', 'HOST:PORT, or several with commas between', parseBrokers)
    .option('--topic <name>', 'the topic, with --brokers', defaultTopic)
    .allowExcessArguments(false)
    .configureOutput(commanderOutput(io))
    .exitOverride(exitByUsage)
}

function targetsOf({ config, brokers, topic }: PlaceFlags, readLanes: ReadLanes): readonly Target[] {
  if ((config === undefined) === (brokers === undefined))
    throw new CountersignError('USAGE', 'give either --config or --brokers')
  if (brokers !== undefined) return [{ brokers, topic, checkpoints: false }]
  const lanes = Object.values(readLanes(config ?? ''))
  const targets = lanes.flatMap((lane) =>
    lane.type === 'kafka' ? [{ ...lane, checkpoints: lane.records === 'checkpoints' }] : [],
  )
  if (targets.length === 0) throw new CountersignError('USAGE', `${config ?? ''} names no sink of type kafka`)
  return targets
}

function tell(io: Io, { topic, made, description, differences }: FoundTopic): void {
  const { partitions, replicationFactor } = description
  const grave = differences.some((difference) => difference.grave)
  const state = grave ? 'it can lose records' : 'as a trail needs it'
  const shape = `${partitions} partition${partitions === 1 ? '' : 's'}, replication factor ${replicationFactor}`
  io.out(visible(`${topic}: ${made ? 'made' : 'is there already'}, ${shape}, ${state}`))
  for (const difference of differences) {
    io.out(visible(`  ${differenceText(difference)}`))
    io.out(visible(`    ${difference.mend}`))
  }
  // Who asked for few brokers knows; what was found to be wrong may be news.
  if (grave && !made) process.exitCode = status.wrong
}

function absent(io: Io, { topic }: Target): void {
  io.out(visible(`${topic}: there is none; countersign topic create makes it`))
  process.exitCode = status.wrong
}

function parseBrokers(text: string): readonly string[] {
  const brokers = text.split(',').map((broker) => broker.trim())
  if (brokers.every((broker) => /^.+:\d{1,5}$/.test(broker))) return brokers
  throw new InvalidArgumentError('allowed: HOST:PORT, or several with commas between.')
}

function parseWhole(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('allowed: a whole number from 1 on.')
}
