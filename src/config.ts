import { hash } from 'node:crypto'
import { hostname } from 'node:os'
import { z } from 'zod'
import { pathClasses } from './check/suspicious-path.ts'
import { CountersignError } from './errors.ts'
import { parseListenAddress, parseTcpAddress } from './grpc/address.ts'
import type { Parsed } from './identity/parsed.ts'
import { parseTrustDomain } from './identity/trust-domain.ts'
import { describeSchema, type JsonSchema, type SettingDescription } from './settings/describe.ts'
import { describeIssue } from './settings/problem.ts'
import { merge, type RawSettings, readEnvironment, readSettingsFile } from './settings/sources.ts'

// Every setting stands here once: name, type, default, unit, meaning. docs/settings.md is held to it by test/docs.test.ts.

const text = z.string().min(1)
const address = parsedBy(parseListenAddress)
const trustDomain = parsedBy(parseTrustDomain)
/** Node.js takes a longer timer for one of 1 ms. */
const broker = text.refine((value) => {
  const parsed = parseTcpAddress(value)
  return parsed.ok && parsed.value.port > 0
}, 'the form is HOST:PORT or [IPv6]:PORT')
const milliseconds = z
  .int()
  .min(1)
  .max(2 ** 31 - 1)
const pathClassNames = Object.keys(pathClasses) as (keyof typeof pathClasses)[]

const archiveSink = z.strictObject({
  type: z.literal('archive').describe('A sink that writes the records to `archive/` in the data folder.'),
  format: z.literal('cloudevents').default('cloudevents').describe('The records as they are.'),
  sealAfterMs: milliseconds
    .default(3_600_000)
    .describe('Age from which a segment that is being written is sealed, in milliseconds.'),
})

const topicName = z.string().regex(/^(?!\.\.?$)[A-Za-z0-9._-]{1,249}$/, 'up to 249 letters, digits, ".", "_" and "-"')

const kafkaAccess = {
  tls: z
    .union([
      z.boolean(),
      z.strictObject({
        ca: text
          .optional()
          .describe('File with the CA certificates (PEM) that the brokers’ certificates are checked with.'),
        certificate: text.optional().describe('File with the client certificate (PEM).'),
        key: text.optional().describe('File with the client certificate’s key (PEM).'),
      }),
    ])
    .optional()
    .describe('true for TLS with the system’s CAs, or an object with the files to use.'),
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('How to log in.'),
      username: text.describe('The user.'),
      password: text.optional().describe('The password; better kept in a file.'),
      passwordFile: text.optional().describe('File that holds the password.'),
    })
    .refine(
      ({ password, passwordFile }) => (password === undefined) !== (passwordFile === undefined),
      'either password or passwordFile',
    )
    .optional()
    .describe('Logs in to the brokers.'),
}

const kafkaSink = z.strictObject({
  type: z.literal('kafka').describe('A sink that produces the records to a Kafka topic.'),
  format: z.literal('cloudevents').default('cloudevents').describe('The records as they are.'),
  brokers: z.array(broker).min(1).describe('HOST:PORT of one or more brokers to begin with.'),
  topic: topicName.default('countersign.audit.v1').describe('The topic; it has to exist.'),
  checkpointTopic: topicName
    .optional()
    .describe('A second topic, which gets the checkpoints alone; without it they stand in the first one only.'),
  topicCheck: z
    .enum(['enforce', 'warn'])
    .default('enforce')
    .describe('What a topic that can lose records comes to: nothing is delivered to it, or a warning.'),
  compression: z.enum(['none', 'gzip', 'zstd']).default('zstd').describe('How batches are compressed.'),
  ...kafkaAccess,
})

/** What `countersign archive` reads beside `data`, `admin`, `log` and `shutdown`. */
const archiveSettings = z.strictObject({
  brokers: z.array(broker).min(1).optional().describe('HOST:PORT of one or more brokers to begin with.'),
  topic: topicName.default('countersign.audit.v1').describe('The topic that is archived.'),
  group: topicName.default('countersign-archive').describe('The consumer group whose members share the partitions.'),
  ...kafkaAccess,
  segmentBytes: z
    .int()
    .min(64 * 1024)
    .max(256 * 1024 ** 2)
    .default(8 * 1024 ** 2)
    .describe('Bytes of records of a partition that are worth a segment.'),
  segmentMs: milliseconds
    .max(3_600_000)
    .default(60_000)
    .describe('Age at which records are archived, however few they are, in milliseconds.'),
  bufferBytes: z
    .int()
    .min(1024 ** 2)
    .default(64 * 1024 ** 2)
    .describe('Bytes of records that wait in memory; when they are reached, nothing more is read.'),
  sessionTimeoutMs: milliseconds
    .min(1000)
    .max(1_800_000)
    .default(30_000)
    .describe('After how long without a sign of life the group takes the partitions of a member away.'),
})

const allSettings = z.strictObject({
  listen: address.prefault('127.0.0.1:9191').describe('Where Envoy asks: HOST:PORT, or unix:PATH.'),
  admin: parsedBy(parseTcpAddress)
    .prefault('127.0.0.1:9190')
    .describe('Where metrics, `/healthz` and `/readyz` are served, without TLS.'),
  data: text.default('./countersign-data').describe('Folder of `spool/`, `archive/`, `policy/` and `keys/`.'),
  insecure: z
    .boolean()
    .default(false)
    .describe('Accepts plaintext on an address that others can reach: anybody there can then ask and log.'),
  replica: z
    .string()
    .regex(
      /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126})$/,
      'up to 127 letters, digits, ".", "_" and "-", a letter or digit first',
    )
    .prefault(() => hostname())
    .describe('Name of this replica, the same after a restart; the host’s name where it is left out.'),
  identity: z
    .strictObject({
      trustDomains: z
        .array(trustDomain)
        .min(1)
        .prefault(['cluster.local'])
        .describe('Trust domains whose workloads are believed; all others are denied.'),
      anonymous: z
        .enum(['deny', 'pass'])
        .default('deny')
        .describe('What a request without a principal gets: a denial, or policy’s word on the subject `anonymous`.'),
    })
    .prefault({}),
  policy: z
    .strictObject({
      dir: text.default('./policy').describe('The policy folder: `model.conf`, `*.csv` and, if wanted, `tests.yaml`.'),
      candidate: text
        .optional()
        .describe('Folder of a candidate policy, which is evaluated beside the one in force and never enforced.'),
      requireSignature: z
        .boolean()
        .default(false)
        .describe('Refuses a policy without a manifest that one of `policy.signers` signed.'),
      signers: z.array(text).default([]).describe('Files with the public keys (PEM) of those who may sign a policy.'),
      minPatternSegments: z
        .int()
        .min(0)
        .max(64)
        .default(0)
        .describe('Segments that a path pattern fixes before its first wildcard; a rule with a wider one is refused.'),
    })
    .refine(({ requireSignature, signers }) => !requireSignature || signers.length > 0, {
      path: ['signers'],
      message: 'at least one key file where policy.requireSignature is true',
    })
    .prefault({}),
  paths: z
    .strictObject({
      allow: z
        .array(z.enum(pathClassNames))
        .default([])
        .describe('Classes of suspicious paths that are let through to policy.'),
    })
    .prefault({}),
  audit: z
    .strictObject({
      mode: z
        .enum(['strict', 'best-effort'])
        .default('strict')
        .describe('`strict`: no answer before its record is durable; `best-effort`: answered at once.'),
      deadlineMs: milliseconds
        .max(60_000)
        .default(120)
        .describe('How long an answer waits for its record, in milliseconds; never later than Envoy’s own deadline.'),
      require: z
        .enum(['disk', 'kafka'])
        .default('disk')
        .describe('Where a record has to be before its answer is given: on disk, or in every Kafka sink too.'),
    })
    .refine(({ mode, require: where }) => where === 'disk' || mode === 'strict', {
      path: ['require'],
      message: '"disk" where audit.mode is best-effort: no answer waits for its record',
    })
    .prefault({}),
  spool: z
    .strictObject({
      maxBytes: z
        .int()
        .min(1024 * 1024)
        .default(4 * 1024 ** 3)
        .describe('Bytes of records that the spool may hold; those kept for replay alone are freed first.'),
      whenFull: z
        .enum(['deny', 'drop-newest'])
        .default('deny')
        .describe(
          'While it is full: requests are denied and access logs held up, or what is new is dropped and counted.',
        ),
      retainDeliveredMs: z
        .int()
        .min(0)
        .default(600_000)
        .describe('How long delivered records stay in the spool, in milliseconds.'),
    })
    .prefault({}),
  checkpoint: z
    .strictObject({
      keyName: z
        .string()
        .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,126}$/, 'up to 127 letters, digits, ".", "_", "/" and "-"')
        .default('countersign')
        .describe('Name of the signing key in checkpoints, the same on every server that has the same key.'),
      keyFile: text
        .optional()
        .describe(
          'File with the Ed25519 private key (PEM) that signs checkpoints; one of its own where it is left out.',
        ),
      everyRecords: z
        .int()
        .min(1)
        .max(5000)
        .default(1000)
        .describe('A checkpoint is signed after so many records at the latest,'),
      // Far below what verifying takes for a trail whose checkpoints were taken out (docs/verify.md).
      everyMs: milliseconds
        .min(100)
        .max(60_000)
        .default(10_000)
        .describe('and after so many milliseconds, also without any traffic.'),
      file: text
        .optional()
        .describe(
          'File outside the trail that gets each checkpoint; `checkpoints.ndjson` in the data folder by default.',
        ),
    })
    .prefault({}),
  sinks: z
    .record(
      z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'up to 63 lower-case letters, digits and "-"'),
      z.discriminatedUnion('type', [archiveSink, kafkaSink]),
    )
    .refine(
      ({ checkpoints }) => checkpoints === undefined,
      '"checkpoints" is the name of the checkpoint file’s own cursor',
    )
    .refine((sinks) => Object.keys(sinks).length > 0, 'at least one sink is needed: records have to go somewhere')
    .refine(
      (sinks) => Object.values(sinks).filter(({ type }) => type === 'archive').length <= 1,
      'one sink of type archive at the most: two would write the same files',
    )
    .prefault({ archive: { type: 'archive' } })
    .describe('Where records are delivered, by a name of your own; each name has its own cursor.'),
  archive: archiveSettings.prefault({}).describe('What `countersign archive` reads, and how it writes.'),
  tls: z
    .strictObject({
      certificate: text.describe('File with this server’s certificate chain (PEM).'),
      key: text.describe('File with its private key (PEM).'),
      clientCa: text.describe('File with the CA certificates (PEM) that callers’ certificates are checked with.'),
      callers: z
        .array(text)
        .min(1)
        .describe('SPIFFE IDs of the Envoys that may call; `*` is one segment, a final `**` the rest.'),
    })
    .optional()
    .describe('mTLS on `listen`; without it, only addresses of this machine are listened on.'),
  connections: z
    .strictObject({
      maxAgeMs: milliseconds
        .default(600_000)
        .describe(
          'After this many milliseconds a connection is asked to be made anew, which spreads Envoys over replicas.',
        ),
      maxConcurrentStreams: z.int().min(1).default(1000).describe('Calls that one connection may have under way.'),
      maxSessionMemoryMb: z.int().min(1).default(64).describe('Memory that one connection may take, in megabytes.'),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('The least that the operational log says; the trail is not touched by it.'),
    })
    .prefault({}),
  shutdown: z
    .strictObject({
      graceMs: milliseconds
        .default(10_000)
        .describe('How long a stop waits for calls under way, and then for delivery, in milliseconds.'),
    })
    .prefault({}),
})

/** The settings, and what one of them demands of another. */
export const settingsSchema = allSettings.refine(
  ({ audit, sinks }) => audit.require === 'disk' || Object.values(sinks).some(({ type }) => type === 'kafka'),
  { path: ['audit', 'require'], message: '"disk" where no sink is of type kafka' },
)

export type Settings = Readonly<z.output<typeof settingsSchema>>

export interface SettingsSources {
  /** Path of a YAML file. */
  readonly file?: string
  /** The process's own where it is left out. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** From the command line, nested as in the YAML file. */
  readonly flags: RawSettings
}

/**
 * Reads the settings: defaults, file, environment, flags, in rising order. Throws CONFIG_INVALID, whose message has a line for
 * every unknown key and bad value: its name, what was found and what is allowed.
 */
export function readSettings({ file, environment = process.env, flags }: SettingsSources): Settings {
  const variables = readEnvironment(environment, describeSettings())
  const below = merge(file === undefined ? {} : readSettingsFile(file), variables.raw)
  // A sink that a flag adds stands beside the archive, not in place of it.
  if (flags['sinks'] !== undefined) below['sinks'] ??= { archive: { type: 'archive' } }
  const raw = merge(below, flags)
  const result = settingsSchema.safeParse(raw)
  const issues = result.error?.issues.map((issue) => describeIssue(issue, raw)) ?? []
  const problems = [...variables.problems, ...issues]
  if (!result.success || problems.length > 0) throw new CountersignError('CONFIG_INVALID', problems.join('\n'))
  return deepFreeze(result.data)
}

/** `sha256:` digest of the settings, without passwords: two runs with the same digest ran with the same settings. */
export function settingsDigest(settings: Settings): string {
  const shown = JSON.stringify(settings, (key, value: unknown) =>
    key === 'password' && typeof value === 'string' ? undefined : value,
  )
  return `sha256:${hash('sha256', shown)}`
}

/** Every setting, in the order of the schema. */
export function describeSettings(): readonly SettingDescription[] {
  return describeSchema(z.toJSONSchema(settingsSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema)
}

function parsedBy<T>(parse: (value: string) => Parsed<T>) {
  return z
    .string()
    .min(1)
    .transform((value, context): T => {
      const parsed = parse(value)
      if (parsed.ok) return parsed.value
      context.addIssue({ code: 'custom', message: parsed.problem })
      return z.NEVER
    })
}

function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object') {
    for (const member of Object.values(value)) deepFreeze(member)
    Object.freeze(value)
  }
  return value
}
