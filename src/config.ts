import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { pathClasses } from './check/suspicious-path.ts'
import { CountersignError, messageOf } from './errors.ts'
import { parseListenAddress } from './grpc/address.ts'
import { parseTrustDomain } from './identity/trust-domain.ts'

// Every setting stands here once: name, type, default, unit, meaning. docs/settings.md is held to it by test/docs.test.ts.

const text = z.string().min(1)
const address = text.transform((value, context) => {
  const parsed = parseListenAddress(value)
  if (parsed.ok) return parsed.value
  context.addIssue({ code: 'custom', message: parsed.problem })
  return z.NEVER
})
const trustDomain = text.transform((value, context) => {
  const parsed = parseTrustDomain(value)
  if (parsed.ok) return parsed.value
  context.addIssue({ code: 'custom', message: parsed.problem })
  return z.NEVER
})
const milliseconds = z.int().min(1)
const pathClassNames = Object.keys(pathClasses) as (keyof typeof pathClasses)[]

const archiveSink = z.strictObject({
  type: z.literal('archive').describe('A sink that writes the records to `archive/` in the data folder.'),
  format: z.literal('cloudevents').default('cloudevents').describe('The records as they are.'),
})

const kafkaSink = z.strictObject({
  type: z.literal('kafka').describe('A sink that produces the records to a Kafka topic.'),
  format: z.literal('cloudevents').default('cloudevents').describe('The records as they are.'),
  brokers: z.array(text).min(1).describe('HOST:PORT of one or more brokers to begin with.'),
  topic: text.default('countersign.audit.v1').describe('The topic; it has to exist.'),
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
    .optional()
    .describe('Logs in to the brokers.'),
})

export const settingsSchema = z.strictObject({
  listen: address.prefault('127.0.0.1:9191').describe('Where Envoy asks: HOST:PORT, or unix:PATH.'),
  admin: address
    .prefault('127.0.0.1:9190')
    .describe('Where metrics, `/healthz` and `/readyz` are served, without TLS.'),
  data: text.default('./countersign-data').describe('Folder of `spool/`, `archive/` and `keys/`.'),
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
    })
    .prefault({}),
  spool: z
    .strictObject({
      maxBytes: z
        .int()
        .min(1024 * 1024)
        .default(4 * 1024 ** 3)
        .describe('Bytes of records that may wait for a sink; when they are reached, requests are denied.'),
      retainDeliveredMs: z
        .int()
        .min(0)
        .default(600_000)
        .describe('How long delivered records stay in the spool, in milliseconds.'),
    })
    .prefault({}),
  sinks: z
    .record(
      z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'up to 63 lower-case letters, digits and "-"'),
      z.discriminatedUnion('type', [archiveSink, kafkaSink]),
    )
    .refine((sinks) => Object.keys(sinks).length > 0, 'at least one sink is needed: records have to go somewhere')
    .refine(
      (sinks) => Object.values(sinks).filter(({ type }) => type === 'archive').length <= 1,
      'one sink of type archive at the most: two would write the same files',
    )
    .prefault({ archive: { type: 'archive' } })
    .describe('Where records are delivered, by a name of your own; each name has its own cursor.'),
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

export type Settings = Readonly<z.output<typeof settingsSchema>>

/** Settings of some source, not yet checked: nested as in the YAML file. */
export type RawSettings = Record<string, unknown>

export interface SettingsSources {
  /** Path of a YAML file. */
  readonly file?: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** From the command line. */
  readonly flags: RawSettings
}

/**
 * Reads the settings: defaults, file, environment, flags, in rising order. Throws CONFIG_INVALID, which names every unknown
 * key and bad value, what was found and what is allowed.
 */
export function readSettings(sources: SettingsSources): Settings {
  const layers = [sources.file === undefined ? {} : readFile(sources.file), fromEnvironment(sources.environment)]
  const merged = merge(merge({}, layers[0] ?? {}), layers[1] ?? {})
  // A sink that a flag adds stands beside the archive, not in place of it.
  if (sources.flags['sinks'] !== undefined) merged['sinks'] ??= { archive: { type: 'archive' } }
  const raw = merge(merged, sources.flags)
  const result = settingsSchema.safeParse(raw)
  if (result.success) return deepFreeze(result.data)
  const problems = result.error.issues.map((issue) => describeIssue(issue, raw))
  throw new CountersignError('CONFIG_INVALID', problems.join('\n'))
}

/** `sha256:` digest of the settings, without passwords: two runs with the same digest ran with the same settings. */
export function settingsDigest(settings: Settings): string {
  const shown = JSON.stringify(settings, (key, value: unknown) => (key === 'password' ? undefined : value))
  return `sha256:${hash('sha256', shown)}`
}

/** One setting as docs/settings.md lists it. */
export interface SettingDescription {
  /** Dotted path; `sinks.<name>.kafka.` stands before those of a sink of that type. */
  readonly name: string
  readonly environment: string | null
  readonly description: string
}

interface JsonSchema {
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly const?: unknown
}

/** Every setting, in the order of the schema. */
export function describeSettings(): readonly SettingDescription[] {
  const schema = z.toJSONSchema(settingsSchema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
  return describeMembers(schema, '')
}

function describeMembers(schema: JsonSchema, prefix: string): SettingDescription[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, member]) => describeMember(member, prefix + key))
}

function describeMember(schema: JsonSchema, name: string): SettingDescription[] {
  const self = schema.description === undefined ? [] : [{ name, ...bothNames(name), description: schema.description }]
  const kinds = typeof schema.additionalProperties === 'object' ? (schema.additionalProperties.oneOf ?? []) : []
  const ofKinds = kinds.flatMap((kind) => {
    const type = String(kind.properties?.['type']?.const)
    return describeMembers(kind, `${name}.<${type}>.`)
  })
  const alternatives = (schema.anyOf ?? []).flatMap((alternative) => describeMembers(alternative, `${name}.`))
  return [...self, ...describeMembers(schema, `${name}.`), ...ofKinds, ...alternatives]
}

function bothNames(name: string): { environment: string | null } {
  return { environment: name.includes('<') ? null : environmentName(name) }
}

function environmentName(name: string): string {
  const words = name.replaceAll('.', '_').replace(/([a-z0-9])([A-Z])/g, '$1_$2')
  return `COUNTERSIGN_${words.toUpperCase()}`
}

function readFile(path: string): RawSettings {
  let content: unknown
  try {
    content = parseYaml(readFileSync(path, 'utf8'))
  } catch (thrown) {
    throw new CountersignError('CONFIG_INVALID', `${path}: ${messageOf(thrown)}`, { cause: thrown })
  }
  if (content === null || content === undefined) return {}
  if (isObject(content)) return content
  throw new CountersignError('CONFIG_INVALID', `${path}: settings are a mapping of names to values`)
}

/** Kubernetes itself sets these for a Service named `countersign`. */
const ofKubernetes = /^COUNTERSIGN_(?:SERVICE_|PORT(?:_|$))/

function fromEnvironment(environment: SettingsSources['environment']): RawSettings {
  const known = new Map(describeSettings().map(({ name, environment: variable }) => [variable, name]))
  const raw: RawSettings = {}
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('COUNTERSIGN_') || ofKubernetes.test(variable) || value === undefined) continue
    const name = known.get(variable)
    if (name === undefined) {
      throw new CountersignError('CONFIG_INVALID', `${variable}: no setting has this name; docs/settings.md lists them`)
    }
    assign(raw, name.split('.'), fromText(name, value))
  }
  return raw
}

/** Lists are written `a,b`; numbers, true and false as such; whole objects in YAML's `{a: b}`. */
function fromText(name: string, value: string): unknown {
  if (/^(?:identity\.trustDomains|paths\.allow|tls\.callers)$/.test(name)) return value.split(',')
  if (name === 'sinks' || name === 'tls') return parseYaml(value) as unknown
  if (/^(?:true|false)$/.test(value)) return value === 'true'
  return /^\d+$/.test(value) && name !== 'replica' ? Number(value) : value
}

function assign(raw: RawSettings, [first = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    raw[first] = value
    return
  }
  const below = isObject(raw[first]) ? raw[first] : {}
  raw[first] = below
  assign(below, rest, value)
}

function merge(below: RawSettings, above: RawSettings): RawSettings {
  const merged = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const under = merged[key]
    merged[key] = isObject(value) && isObject(under) ? merge(under, value) : value
  }
  return merged
}

function describeIssue(issue: z.core.$ZodIssue, raw: RawSettings): string {
  const name = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => [...issue.path, key].join('.'))
    return `${keys.join(', ')}: no setting has this name; docs/settings.md lists them`
  }
  const found = issue.path.reduce<unknown>((value, key) => memberOf(value, String(key)), raw)
  return `${name}: ${found === undefined ? 'is missing' : `found ${JSON.stringify(found)}`}; ${allowedBy(issue)}`
}

function allowedBy(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return `allowed: ${issue.values.map(String).join(', ')}`
    case 'invalid_type':
      return `allowed: ${issue.expected === 'int' ? 'a whole number' : `a value of type ${issue.expected}`}`
    case 'too_small':
      return `allowed: at least ${String(issue.minimum)}${issue.origin === 'string' ? ' character' : ''}`
    case 'too_big':
      return `allowed: at most ${String(issue.maximum)}`
    case 'invalid_union':
      return `allowed: ${'options' in issue && Array.isArray(issue.options) ? issue.options.join(', ') : issue.message}`
    default:
      return `allowed: ${issue.message}`
  }
}

function memberOf(value: unknown, key: string): unknown {
  const members = new Map<string, unknown>(value !== null && typeof value === 'object' ? Object.entries(value) : [])
  return members.get(key)
}

function isObject(value: unknown): value is RawSettings {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

function deepFreeze<T>(value: T): T {
  if (value !== null && typeof value === 'object') {
    for (const member of Object.values(value)) deepFreeze(member)
    Object.freeze(value)
  }
  return value
}
