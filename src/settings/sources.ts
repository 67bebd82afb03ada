import { readFileSync } from 'node:fs'
import { parse as parseYaml, YAMLParseError } from 'yaml'
import { CountersignError, messageOf } from '../errors.ts'
import type { SettingDescription } from './describe.ts'

/** Settings of some source, not yet checked: nested as in the YAML file. */
export type RawSettings = Record<string, unknown>

/** What one source gives, and what is wrong with it, in one sentence each. */
export interface SourceRead {
  readonly raw: RawSettings
  readonly problems: readonly string[]
}

/** Kubernetes itself sets these for a Service named `countersign`. */
const ofKubernetes = /^COUNTERSIGN_(?:SERVICE_|PORT(?:_|$))/

/** Reads a YAML file. Throws CONFIG_INVALID where it cannot be read or is no mapping. */
export function readSettingsFile(path: string): RawSettings {
  let content: unknown
  try {
    content = parseYaml(readFileSync(path, 'utf8'))
  } catch (thrown) {
    throw new CountersignError('CONFIG_INVALID', `${path}: ${yamlProblem(thrown)}`)
  }
  if (content === null || content === undefined) return {}
  if (isMapping(content)) return content
  throw new CountersignError('CONFIG_INVALID', `${path}: settings are a mapping of names to values`)
}

/** Reads the variables that begin with COUNTERSIGN_; each has to be that of a setting. */
export function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  settings: readonly SettingDescription[],
): SourceRead {
  const known = new Map(settings.map((setting) => [setting.environment, setting]))
  const raw: RawSettings = {}
  const problems: string[] = []
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith('COUNTERSIGN_') || ofKubernetes.test(variable) || value === undefined) continue
    const setting = known.get(variable)
    if (setting === undefined) {
      problems.push(`${variable}: no setting has this name; docs/settings.md lists them`)
      continue
    }
    try {
      assign(raw, setting.name.split('.'), fromText(setting.kind, value))
    } catch (thrown) {
      problems.push(`${variable}: ${yamlProblem(thrown)}`)
    }
  }
  return { raw, problems }
}

/** Lays one source over another: mappings member by member, everything else whole. */
export function merge(below: RawSettings, above: RawSettings): RawSettings {
  // Without a prototype, a key such as `__proto__` is a key like any other, and is refused as one.
  const merged = Object.assign(Object.create(null) as RawSettings, below)
  for (const [key, value] of Object.entries(above)) {
    const under = merged[key]
    merged[key] = isMapping(value) && isMapping(under) ? merge(under, value) : value
  }
  return merged
}

export function isMapping(value: unknown): value is RawSettings {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}

/** Lists are written `a,b`; whole mappings in YAML's `{a: b}`. What is no number or truth value is left to the schema to refuse. */
function fromText(kind: SettingDescription['kind'], value: string): unknown {
  switch (kind) {
    case 'text':
      return value
    case 'number':
      return /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value
    case 'boolean':
      return /^(?:true|false)$/.test(value) ? value === 'true' : value
    case 'list':
      return value.split(',').map((member) => member.trim())
    case 'mapping':
      return parseYaml(value) as unknown
  }
}

function assign(raw: RawSettings, [first = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    raw[first] = isMapping(value) && isMapping(raw[first]) ? merge(value, raw[first]) : value
    return
  }
  const below = isMapping(raw[first]) ? raw[first] : {}
  raw[first] = below
  assign(below, rest, value)
}

/** The parser's message goes on with the lines in question, which may hold a password. */
function yamlProblem(thrown: unknown): string {
  if (thrown instanceof ReferenceError) return 'not valid YAML: an alias (*name) stands for nothing'
  const [first = ''] = messageOf(thrown).split('\n')
  return thrown instanceof YAMLParseError ? `not valid YAML: ${first.replace(/:$/, '')}` : first
}
