import { createHash } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import type { TrailGap } from '../../src/audit/event-data.ts'
import { eventTypes, trailEvent } from '../../src/audit/event.ts'
import { reasons } from '../../src/decision/decision.ts'
import { documentedRecords } from '../cases/documented-records.ts'
import { recordLine } from '../cases/place.ts'
import { eventSchema, knownTypes, matchesSchema, validateRecord } from '../contract/event-schema.ts'

type Members = Record<string, unknown>

const time = new Date('2026-11-22T10:00:00.123Z')
const id = '019aa5d5-76fb-7000-8000-000000000001'
const gap: TrailGap = {
  change: 'gap',
  of: 'decision',
  trail: null,
  fromSequence: null,
  toSequence: null,
  count: 12,
  countExact: true,
  from: time.toISOString(),
  to: time.toISOString(),
  reason: 'DEADLINE',
  envoy: null,
}
const samples = [
  ...documentedRecords(),
  recordLine(trailEvent(id, time, { change: 'closed', delivered: 7, left: 0 })),
  recordLine(trailEvent(id, time, gap)),
].map((line) => JSON.parse(line) as Members)

function titleOf(record: Members): string {
  const { change } = record['data'] as Members
  return typeof change === 'string' ? `${String(record['type'])} ${change}` : String(record['type'])
}

/** Every path to a member of a record, lists' items included. */
function pathsIn(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([name, member]) => [[...path, name], ...pathsIn(member, [...path, name])])
}

/** A copy of the record in which one member is changed, or removed where `change` returns undefined. */
function changed(record: Members, path: readonly string[], change: (value: unknown) => unknown): Members {
  const copy = structuredClone(record)
  const owner = path.slice(0, -1).reduce<Members>((at, name) => at[name] as Members, copy)
  const name = path.at(-1) ?? ''
  const value = change(owner[name])
  if (value === undefined) Reflect.deleteProperty(owner, name)
  else owner[name] = value
  return copy
}

/** The line of a record, with the hash that it should have. */
function lineOf(record: Members): string {
  const { hash: _, ...rest } = record
  const json = JSON.stringify(rest)
  return `${json.slice(0, -1)},"hash":"${createHash('sha256').update(json).digest('hex')}"}`
}

/** A decision has a candidate only while one is loaded; a policy event always says whether it is of one. */
const optional = ['subject', 'traceparent', 'data.candidate of io.countersign.decision.v1']

describe.each(samples.map((record) => [titleOf(record), record] as const))('the schema of %s', (_, record) => {
  const members = pathsIn(record)

  test('accepts what the code writes', () => {
    expect(matchesSchema(record)).toBe(true)
    expect(validateRecord(lineOf(record))).toEqual([])
  })

  test('finds each member that is missing', () => {
    const named = (path: readonly string[]) => [path.join('.'), `${path.join('.')} of ${String(record['type'])}`]
    const required = members.filter((path) => !named(path).some((name) => optional.includes(name)))
    const unseen = required.filter(
      (path) => !isItem(record, path) && matchesSchema(changed(record, path, () => undefined)),
    )
    expect(unseen).toEqual([])
  })

  test.each([
    ['a boolean', (value: unknown) => (typeof value === 'boolean' ? 'true' : true)],
    ['a list', (value: unknown) => (Array.isArray(value) ? 'list' : [1])],
    ['a number below zero', () => -1.5],
  ])('finds each member that is %s instead', (_title, change) => {
    expect(members.filter((path) => matchesSchema(changed(record, path, change)))).toEqual([])
  })

  test('lets members be added, which the tests of this project do not', () => {
    const owners = [[], ...members].filter((path) => isOpenObject(record, path))
    const more = owners.map((path) => changed(record, [...path, 'more'], () => 'x'))
    expect(more.filter((added) => !matchesSchema(added))).toEqual([])
    expect(more.filter((added) => validateRecord(lineOf(added)).length === 0)).toEqual([])
  })
})

function valueAt(record: Members, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, name) => (at as Members)[name], record)
}

function isItem(record: Members, path: readonly string[]): boolean {
  return Array.isArray(valueAt(record, path.slice(0, -1)))
}

function isOpenObject(record: Members, path: readonly string[]): boolean {
  const value = valueAt(record, path)
  return value !== null && typeof value === 'object' && !Array.isArray(value) && path.at(-1) !== 'extensions'
}

describe('the schema', () => {
  const [opened, , decision] = samples as [Members, Members, Members]

  test('knows the types that the code writes, and no others', () => {
    expect([...knownTypes].sort()).toEqual(Object.values(eventTypes).sort())
  })

  test('knows the reasons of the code, and no others', () => {
    const { reason } = eventSchema['$defs'] as { reason: { enum: string[] } }
    expect(reason.enum).toEqual(Object.keys(reasons))
  })

  test.each(['io.countersign.finding.v1', 'io.countersign.decision.v2'])(
    'lets a consumer pass over the type %s',
    (type) => {
      const unknown = { ...decision, type, data: { anything: 1 } }
      expect(matchesSchema(unknown)).toBe(true)
      expect(validateRecord(lineOf(unknown))).toEqual([`the schema has no type ${type}`])
    },
  )

  test.each<[string, readonly string[], unknown]>([
    ['an allow without a rule', ['data', 'rule'], null],
    ['an allow without a policy version', ['data', 'policyVersion'], null],
    ['an allow for the reason of a denial', ['data', 'reason'], 'NO_MATCHING_RULE'],
    ['a denial for the reason of an allow', ['data', 'effect'], 'deny'],
    ['an unknown effect', ['data', 'effect'], 'maybe'],
    ['an id that is no UUIDv7', ['id'], '123e4567-e89b-12d3-a456-426614174000'],
    ['a time without a zone', ['time'], '2026-11-22T10:00:00.123'],
    ['a time that does not exist', ['time'], '2026-02-30T10:00:00.123Z'],
    ['a sequence that is not padded', ['sequence'], '42'],
    ['a hash in upper case', ['prevhash'], 'A'.repeat(64)],
    ['a trail without a replica', ['trail'], '-019aa5d5-0000-7000-8000-00000000000a'],
    ['a policy version that is no digest', ['data', 'policyVersion'], 'v1'],
    ['an empty list of redactions', ['data', 'redacted'], []],
    ['a port beyond 65,535', ['data', 'resource', 'port'], 65_536],
  ])('finds %s', (_, path, value) => {
    expect(matchesSchema(changed(decision, path, () => value))).toBe(false)
  })

  test.each<[string, readonly string[], unknown, string]>([
    ['a source of another trail', ['source'], '/countersign/other', 'source does not name the trail'],
    [
      'an id that is not the decision id',
      ['id'],
      '019aa5d5-76fb-7000-8000-000000000009',
      'the id of a decision is its',
    ],
    [
      'a superseding record with the decision id',
      ['data', 'supersedes'],
      true,
      'the id of a decision is its decision id',
    ],
  ])('leaves it to the tests to find %s', (_, path, value, problem) => {
    expect(validateRecord(lineOf(changed(decision, path, () => value)))).toEqual([expect.stringContaining(problem)])
  })

  test('finds members of one change of a trail in another', () => {
    const mixed = changed(opened, ['data', 'count'], () => 1)
    expect(validateRecord(lineOf(mixed))).not.toEqual([])
  })

  test('leaves a line with a wrong hash to be named by the check of the line', () => {
    const [line = ''] = documentedRecords()
    expect(validateRecord(line.replace('opened', 'closed'))).toEqual([expect.stringContaining('do not have the hash')])
  })
})
