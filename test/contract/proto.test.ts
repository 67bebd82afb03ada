import { beforeAll, describe, expect, test } from '@jest/globals'
import { describeWith } from '../real/parts.ts'
import { answers } from './proto-answers.ts'
import { decodeOfficially, describeOfficially, sampleOfficially, Trimmer } from './proto-official.ts'
import { loadOurs, methodOf, schemaOf, type Schema } from './proto-schema.ts'

const loaded = loadOurs()
const ours = schemaOf(loaded)
const check = methodOf(loaded, 'envoy.service.auth.v3.Authorization', 'Check')
const log = methodOf(loaded, 'envoy.service.accesslog.v3.AccessLogService', 'StreamAccessLogs')

const names = { request: 'envoy.service.auth.v3.CheckRequest', response: 'envoy.service.auth.v3.CheckResponse' }
const logs = 'envoy.service.accesslog.v3.StreamAccessLogsMessage'

describe('our definitions', () => {
  test('load with the well-known types that they import', () => {
    expect(Object.keys(ours.services)).toEqual([
      'envoy.service.auth.v3.Authorization',
      'envoy.service.accesslog.v3.AccessLogService',
    ])
    expect(ours.messages['google.protobuf.Struct']).toEqual({
      fields: { number: 1, type: 'map<string, message google.protobuf.Value>', repeated: false, oneof: null },
    })
  })

  test('have no field for a body, a certificate, or what a client can set as its service', () => {
    const fields = Object.entries(ours.messages).flatMap(([name, message]) =>
      Object.keys(message).map((field) => `${name}.${field}`),
    )
    expect(fields.filter((field) => /\.AttributeContext\..*(body|certificate|service|labels)$/.test(field))).toEqual([])
  })

  test('have of a check no field that nothing reads', () => {
    const read = ['source', 'destination', 'request']
    expect(Object.keys(ours.messages['envoy.service.auth.v3.AttributeContext'] ?? {})).toEqual(read)
  })
})

describeWith('python', 'our definitions beside the official ones', () => {
  let official: Schema
  beforeAll(() => {
    official = describeOfficially([ours.messages, ours.enums, ours.services].flatMap((named) => Object.keys(named)))
  })

  test('every message, field, enum value and method is the official one', () => {
    expect(ours).toEqual(reduced(official, ours))
  })

  // Enough seeds that every alternative of every oneof comes up; `met` proves it.
  test.each([
    { type: names.request, seeds: 20, decode: check.requestDeserialize },
    { type: names.response, seeds: 40, decode: check.responseDeserialize },
    { type: logs, seeds: 20, decode: log.requestDeserialize },
  ])('$type with every official field filled decodes to what was encoded', ({ type, seeds, decode }) => {
    const trimmer = new Trimmer(ours, official)
    const samples = sampleOfficially(Array.from({ length: seeds }, (_, seed) => ({ type, seed })))
    for (const { bytes, value } of samples) {
      expect(decode(Buffer.from(bytes, 'base64'))).toEqual(trimmer.message(type, value))
    }
    expect([...trimmer.met].toSorted()).toEqual(fieldsWithin(type))
  })

  test.each(Object.entries(answers))('our answer %s reads the same officially', (_, { answer, expected }) => {
    const bytes = check.responseSerialize(answer)
    expect(decodeOfficially([{ type: names.response, bytes }])).toEqual([expected])
  })
})

/** Those parts of the official definitions that ours name. */
function reduced(official: Schema, to: Schema): Schema {
  return {
    messages: pickTwice(official.messages, to.messages),
    enums: pickTwice(official.enums, to.enums),
    services: pickTwice(official.services, to.services),
  }
}

type Named<Of> = Readonly<Record<string, Readonly<Record<string, Of>>>>

function pickTwice<Of>(from: Named<Of>, named: Named<Of>): Named<Of> {
  const picked = Object.entries(named).map(([name, members]) => {
    const there = from[name]
    return [name, there && Object.fromEntries(Object.keys(members).map((member) => [member, there[member]]))]
  })
  return Object.fromEntries(picked) as Named<Of>
}

/** Every field of a message and of all messages inside it, as `message.field`, sorted. */
function fieldsWithin(type: string, seen = new Set<string>()): string[] {
  seen.add(type)
  const fields = Object.entries(ours.messages[type] ?? {})
  const inner = fields.map(([, field]) => /message ([\w.]+)/.exec(field.type)?.[1]).filter((name) => name !== undefined)
  const deeper = inner.flatMap((name) => (seen.has(name) ? [] : fieldsWithin(name, seen)))
  return [...new Set([...fields.map(([name]) => `${type}.${name}`), ...deeper])].toSorted()
}
