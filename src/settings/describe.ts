/** One setting, as docs/settings.md lists it and the environment names it. */
export interface SettingDescription {
  /** Dotted path; `sinks.<kafka>.` stands before those of a sink of that type. */
  readonly name: string
  /** Null where there is no variable of its own. */
  readonly environment: string | null
  readonly description: string
  readonly kind: 'text' | 'number' | 'boolean' | 'list' | 'mapping'
}

/** What is read here of a JSON Schema (2020-12). */
export interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly const?: unknown
}

const kinds = { string: 'text', integer: 'number', number: 'number', boolean: 'boolean', array: 'list' } as const

/** Every setting of a schema, in its order; those without a description are only a level of nesting. */
export function describeSchema(schema: JsonSchema, prefix = ''): SettingDescription[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, member]) => describeMember(member, prefix + key))
}

function describeMember(schema: JsonSchema, name: string): SettingDescription[] {
  const members = [schema, ...(schema.anyOf ?? [])].flatMap((part) => describeSchema(part, `${name}.`))
  return [...describeSelf(schema, name), ...members, ...describeNamed(schema, name)]
}

function describeSelf({ description, type = '' }: JsonSchema, name: string): SettingDescription[] {
  if (description === undefined) return []
  const kind = Object.hasOwn(kinds, type) ? kinds[type as keyof typeof kinds] : 'mapping'
  return [{ name, environment: name.includes('<') ? null : environmentName(name), description, kind }]
}

/** The members of what has a name of the user's own, by its `type`. */
function describeNamed({ additionalProperties }: JsonSchema, name: string): SettingDescription[] {
  const types = typeof additionalProperties === 'object' ? (additionalProperties.oneOf ?? []) : []
  return types.flatMap((type) => describeSchema(type, `${name}.<${String(type.properties?.['type']?.const)}>.`))
}

function environmentName(name: string): string {
  const words = name.replaceAll('.', '_').replace(/([a-z0-9])([A-Z])/g, '$1_$2')
  return `COUNTERSIGN_${words.toUpperCase()}`
}
