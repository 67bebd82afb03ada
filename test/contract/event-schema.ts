import { readFileSync } from 'node:fs'
import { Ajv2020, type AnySchemaObject, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { checkLine } from '../../src/audit/chain.ts'
import { maxRecordBytes } from '../../src/audit/redact.ts'

/** The schema as consumers get it. */
export const eventSchema = JSON.parse(
  readFileSync(new URL('../../src/audit/event.schema.json', import.meta.url), 'utf8'),
) as AnySchemaObject

/** Whether a record obeys the schema as a consumer reads it: members and types that it does not know are welcome. */
export const matchesSchema = compile(eventSchema)

const matchesExactly = compile(closed(eventSchema) as AnySchemaObject)
const definitions = eventSchema['$defs'] as Readonly<Record<string, AnySchemaObject>>

/** The event types that the schema knows. */
export const knownTypes = Object.keys(definitions).filter((name) => name.startsWith('io.countersign.'))

/**
 * What is wrong with a record that this project wrote; empty where nothing is. Stricter than the schema: a type or a member
 * that the schema does not name is a problem too, and so is what a schema cannot say (the hash, the size, the source).
 */
export function validateRecord(line: string): string[] {
  const checked = checkLine(line)
  if (!checked.ok) return [checked.problem]
  const record = JSON.parse(line) as Record<string, unknown>
  return [...schemaProblems(record), ...contractProblems(line, record)]
}

/** Fails the test unless the line is a record of the contract. Returns the record. */
export function expectValidRecord(line: string): Record<string, unknown> {
  const problems = validateRecord(line)
  if (problems.length > 0) throw new Error(`not a valid record:\n  ${problems.join('\n  ')}\n${line.slice(0, 2000)}`)
  return JSON.parse(line) as Record<string, unknown>
}

/** The member paths that the schema names for `Envelope` or for the data of an event type; items are under their array's path. */
export function schemaPaths(of: string): string[] {
  return of === 'Envelope' ? Object.keys(eventSchema['properties'] as object) : pathsOf(definitions[of] ?? {})
}

function pathsOf(schema: AnySchemaObject): string[] {
  const whole = resolved(schema)
  const parts = [whole, ...((whole['allOf'] ?? []) as AnySchemaObject[]).map((part) => part['then'] as AnySchemaObject)]
  return parts
    .flatMap((part) => Object.entries((part['properties'] ?? {}) as Record<string, AnySchemaObject>))
    .flatMap(([name, member]) => [name, ...pathsOf(member).map((path) => `${name}.${path}`)])
}

function resolved(schema: AnySchemaObject): AnySchemaObject {
  const reference = schema['$ref'] as string | undefined
  const target = reference === undefined ? schema : (definitions[reference.replace('#/$defs/', '')] ?? {})
  return target['items'] === undefined ? target : resolved(target['items'] as AnySchemaObject)
}

function compile(schema: AnySchemaObject): ValidateFunction {
  const ajv = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, strictRequired: false })
  formats.default(ajv)
  return ajv.compile(schema)
}

function schemaProblems(record: Readonly<Record<string, unknown>>): string[] {
  if (!knownTypes.includes(String(record['type']))) return [`the schema has no type ${String(record['type'])}`]
  if (matchesExactly(record)) return []
  return (matchesExactly.errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath || '/'} ${message ?? ''} ${JSON.stringify(params)}`,
  )
}

function contractProblems(line: string, record: Readonly<Record<string, unknown>>): string[] {
  const data = record['data'] as Readonly<Record<string, unknown>>
  const decision = record['type'] === 'io.countersign.decision.v1'
  const rules: readonly (readonly [boolean, string])[] = [
    [Buffer.byteLength(line) <= maxRecordBytes, `the record has more than ${String(maxRecordBytes)} bytes`],
    [!/[\n\r\u0085\u2028\u2029]/.test(line), 'the record holds a line separator'],
    [record['source'] === `/countersign/${String(record['trail'])}`, 'source does not name the trail'],
    [Object.keys(record).at(-1) === 'hash', 'hash is not the last member'],
    [
      !decision || (record['id'] === data['decisionId']) !== data['supersedes'],
      'the id of a decision is its decision id, and that of a superseding record is not',
    ],
  ]
  return rules.flatMap(([holds, problem]) => (holds ? [] : [problem]))
}

/** The schema with every object closed, so that a member that it does not name is found. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed)
  if (schema === null || typeof schema !== 'object') return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closeBelow(name, value)]))
  return 'properties' in copy && 'type' in copy ? { ...copy, unevaluatedProperties: false } : copy
}

function closeBelow(name: string, value: unknown): unknown {
  return ['if', 'const', 'enum', 'required'].includes(name) ? value : closed(value)
}
