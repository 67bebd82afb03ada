/** A topic as its brokers describe it. */
export interface TopicDescription {
  readonly partitions: number
  /** Replicas of the partition that has the fewest. */
  readonly replicationFactor: number
  /** Its settings in force, the brokers' defaults among them; undefined where the brokers do not tell us. */
  readonly config: ReadonlyMap<string, string> | undefined
}

/** One way in which a topic is not as a trail needs it. */
export interface TopicDifference {
  /** Such as `min.insync.replicas`. */
  readonly what: string
  readonly found: string
  readonly wanted: string
  /** What it leads to. */
  readonly why: string
  /** Records can be lost by it; what is not grave is worth a look only. */
  readonly grave: boolean
  /** The command that mends it. */
  readonly mend: string
}

export interface TopicPlace {
  readonly brokers: readonly string[]
  readonly topic: string
}

/** Settings of a topic as they should be. */
export interface RightTopic {
  readonly replicationFactor: number
  readonly config: Readonly<Record<string, string>>
}

export const safeReplicas = 3
/** What brokers take by default; batches are up to 900 kB. */
const leastMessageBytes = 1_048_588
const dayMs = 86_400_000
const yearMs = 365 * dayMs

/** What `topic create` makes; with fewer brokers, as near to it as they allow. */
export function rightTopic(replicationFactor: number, retentionMs = yearMs): RightTopic {
  return {
    replicationFactor,
    config: {
      'min.insync.replicas': String(Math.min(2, replicationFactor)),
      'unclean.leader.election.enable': 'false',
      'cleanup.policy': 'delete',
      'retention.ms': String(retentionMs),
      'max.message.bytes': String(leastMessageBytes),
      // The brokers' clock: a replica whose clock is wrong is neither refused nor forgotten early.
      'message.timestamp.type': 'LogAppendTime',
    },
  }
}

interface ConfigRule {
  readonly what: string
  readonly wanted: string
  /** The value that mends it. */
  readonly right: string
  readonly isRight: (value: string) => boolean
  readonly why: string
  readonly grave: boolean
}

const configRules: readonly ConfigRule[] = [
  {
    what: 'min.insync.replicas',
    wanted: '2 or more',
    right: '2',
    isRight: (value) => Number(value) >= 2,
    why: 'a record counts as delivered while a single broker has it',
    grave: true,
  },
  {
    what: 'unclean.leader.election.enable',
    wanted: 'false',
    right: 'false',
    isRight: (value) => value === 'false',
    why: 'a broker that lacks acknowledged records may become the leader',
    grave: true,
  },
  {
    what: 'cleanup.policy',
    wanted: 'delete',
    right: 'delete',
    isRight: (value) => value === 'delete',
    why: 'compaction keeps only the last record of each replica',
    grave: true,
  },
  {
    what: 'max.message.bytes',
    wanted: `${String(leastMessageBytes)} or more`,
    right: String(leastMessageBytes),
    isRight: (value) => Number(value) >= leastMessageBytes,
    why: 'a full batch is refused, and delivery stops',
    grave: true,
  },
  {
    what: 'retention.ms',
    wanted: `-1, or ${String(7 * dayMs)} (7 days) or more`,
    right: String(yearMs),
    isRight: (value) => value === '-1' || Number(value) >= 7 * dayMs,
    why: 'a consumer that is away for a few days misses records',
    grave: false,
  },
  {
    what: 'retention.bytes',
    wanted: '-1',
    right: '-1',
    isRight: (value) => value === '-1',
    why: 'much traffic removes records before their time',
    grave: false,
  },
]

/** The settings that the rules read. */
export const ruledSettings: readonly string[] = configRules.map(({ what }) => what)

/** Every way in which a topic is not as a trail needs it. */
export function topicDifferences(found: TopicDescription, place: TopicPlace): readonly TopicDifference[] {
  return [...replicaDifferences(found, place), ...configDifferences(found, place)]
}

/** One line for people. */
export function differenceText({ what, found, wanted, why }: TopicDifference): string {
  return `${what} is ${found}, not ${wanted}: ${why}`
}

function replicaDifferences({ replicationFactor, config }: TopicDescription, place: TopicPlace): TopicDifference[] {
  const server = `--bootstrap-server ${place.brokers.join(',')}`
  if (replicationFactor < safeReplicas)
    return [
      {
        what: 'replication factor',
        found: String(replicationFactor),
        wanted: `${String(safeReplicas)} or more`,
        why: 'records are lost with too few disks',
        grave: true,
        mend: `kafka-reassign-partitions.sh ${server} --execute --reassignment-json-file PLAN (three brokers for each partition)`,
      },
    ]
  const inSync = config?.get('min.insync.replicas')
  if (inSync === undefined || Number(inSync) < replicationFactor) return []
  return [
    {
      what: 'min.insync.replicas',
      found: inSync,
      wanted: `less than the replication factor, ${String(replicationFactor)}`,
      why: 'delivery stops while any broker is away',
      grave: false,
      mend: alterCommand(place, 'min.insync.replicas', '2'),
    },
  ]
}

function configDifferences({ config }: TopicDescription, place: TopicPlace): TopicDifference[] {
  if (config === undefined) return [unreadable(place)]
  return configRules.flatMap(({ what, wanted, right, isRight, why, grave }) => {
    const found = config.get(what)
    if (found !== undefined && isRight(found)) return []
    return [{ what, found: found ?? 'not told', wanted, why, grave, mend: alterCommand(place, what, right) }]
  })
}

function unreadable({ brokers, topic }: TopicPlace): TopicDifference {
  return {
    what: 'its configuration',
    found: 'not shown to this user',
    wanted: 'readable',
    why: 'whether it keeps what it acknowledges is not known',
    grave: true,
    mend: `kafka-acls.sh --bootstrap-server ${brokers.join(',')} --add --allow-principal User:NAME --operation DescribeConfigs --topic ${topic}`,
  }
}

function alterCommand({ brokers, topic }: TopicPlace, name: string, value: string): string {
  const entity = `--entity-type topics --entity-name ${topic}`
  return `kafka-configs.sh --bootstrap-server ${brokers.join(',')} --alter ${entity} --add-config ${name}=${value}`
}
