import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Field, Schema } from './proto-schema.ts'

const root = join(import.meta.dirname, '../..')

export interface Sample {
  /** Base64, by the official modules, every official field filled. */
  readonly bytes: string
  /** What stands in `bytes`, as the head of official-descriptors.py says. */
  readonly value: object
}

export function describeOfficially(names: readonly string[]): Schema {
  return runOfficial('describe', names) as Schema
}

export function sampleOfficially(requests: readonly { readonly type: string; readonly seed: number }[]): Sample[] {
  return runOfficial('sample', requests) as Sample[]
}

export function decodeOfficially(messages: readonly { readonly type: string; readonly bytes: Buffer }[]): object[] {
  const requests = messages.map(({ type, bytes }) => ({ type, bytes: bytes.toString('base64') }))
  return runOfficial('decode', requests) as object[]
}

function runOfficial(command: string, input: unknown): unknown {
  const python = join(root, '.cache/python/bin/python3')
  const script = join(import.meta.dirname, 'official-descriptors.py')
  const options = { input: JSON.stringify(input), encoding: 'utf8', maxBuffer: 2 ** 28 } as const
  return JSON.parse(execFileSync(python, [script, command], options))
}

/** Cuts an official value down to what our definitions name: what decoding with them is expected to give. */
export class Trimmer {
  /** Every field that occurred, as `message.field`. */
  readonly met = new Set<string>()
  readonly #ours: Schema
  readonly #official: Schema

  constructor(ours: Schema, official: Schema) {
    this.#ours = ours
    this.#official = official
  }

  message(type: string, value: object): object {
    const trimmed: [string, unknown][] = []
    for (const [name, field] of Object.entries(this.#ours.messages[type] ?? {})) {
      const found = (value as Record<string, unknown>)[name]
      if (found === undefined) continue
      this.met.add(`${type}.${name}`)
      trimmed.push([name, this.#field(field, found)])
      if (field.oneof !== null) trimmed.push([field.oneof, name])
    }
    return Object.fromEntries(trimmed)
  }

  #field(field: Field, value: unknown): unknown {
    const valueType = /^map<string, (.*)>$/.exec(field.type)?.[1]
    if (valueType !== undefined) {
      const entries = Object.entries(value as object).map(([key, part]) => [key, this.#one(valueType, part)])
      return Object.fromEntries(entries)
    }
    return field.repeated
      ? (value as unknown[]).map((part) => this.#one(field.type, part))
      : this.#one(field.type, value)
  }

  #one(type: string, value: unknown): unknown {
    const [kind, name = ''] = type.split(' ')
    if (kind === 'message') return this.message(name, value as object)
    if (kind === 'bytes') return Buffer.from(value as string, 'base64')
    return kind === 'enum' ? this.#enumValue(name, value as string) : value
  }

  /** A value that only the official enum names is decoded to its number. */
  #enumValue(type: string, name: string): string | number | undefined {
    return this.#ours.enums[type]?.[name] === undefined ? this.#official.enums[type]?.[name] : name
  }
}
