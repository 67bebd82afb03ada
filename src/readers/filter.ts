import type { ParsedRecord } from '../audit/chain.ts'
import { reasons } from '../decision/decision.ts'
import type { Parsed } from '../identity/parsed.ts'
import { parseSpiffeId } from '../identity/spiffe-id.ts'
import { kindOf, textAt } from './members.ts'
import { shortPrincipal } from './principal-name.ts'
import type { DayRange } from './source.ts'
import { parseTime } from './time.ts'

/** What records are asked for, as people write it; a record passes when it meets all that is given. */
export interface FilterText {
  readonly since?: string
  readonly until?: string
  readonly principal?: string
  readonly destination?: string
  readonly effect?: string
  readonly reason?: string
  readonly pathPrefix?: string
  readonly decision?: string
  readonly trace?: string
  readonly type?: string
}

export interface Filter {
  /** Outside of them no record can pass. */
  readonly days: DayRange
  matches(record: ParsedRecord): boolean
}

type Test<Value> = (value: Value) => boolean
type Parser = (text: string, now: Date) => Parsed<Test<ParsedRecord>>

/** Types of records that a filter can name; `docs/events.md` explains each. */
export const recordTypes = [
  'decision',
  'access',
  'policy',
  'trail',
  'connection',
  'reader',
  'finding',
  'review',
  'report',
  'retention',
  'checkpoint',
] as const

const parsers: { readonly [name in Exclude<keyof FilterText, 'since' | 'until'>]: Parser } = {
  principal: (text) => {
    const names = parsePrincipal(text)
    return names.ok ? pass((record) => names.value(textAt(record, 'subject', 'principal') ?? record.subject)) : names
  },
  destination: (text) => {
    const names = parsePrincipal(text)
    if (!names.ok) return names
    const host = text.toLowerCase()
    return pass(
      (record) =>
        names.value(textAt(record, 'resource', 'principal')) ||
        textAt(record, 'resource', 'host')?.toLowerCase() === host,
    )
  },
  effect: (text) => oneOf(text, ['allow', 'deny'], (record) => textAt(record, 'effect')),
  reason: (text) => oneOf(text.toUpperCase(), Object.keys(reasons), (record) => textAt(record, 'reason')),
  type: (text) => oneOf(text, recordTypes, kindOf),
  pathPrefix: (text) => {
    if (!text.startsWith('/')) return { ok: false, problem: `${JSON.stringify(text)} is not a path: begin it with "/"` }
    return pass((record) => textAt(record, 'resource', 'path')?.startsWith(text) === true)
  },
  decision: (text) => {
    const id = text.toLowerCase()
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
      return { ok: false, problem: `${JSON.stringify(text)} is not a decision id (a UUID)` }
    }
    return pass((record) => textAt(record, 'decisionId') === id)
  },
  trace: (text) => {
    const id = text.toLowerCase()
    if (!/^[0-9a-f]{32}$/.test(id)) {
      return { ok: false, problem: `${JSON.stringify(text)} is not a trace id (32 hexadecimal digits)` }
    }
    return pass((record) => textAt(record, 'context', 'traceId') === id)
  },
}

/** Parses a filter. Durations count back from `now`; the time of a record is when it was recorded (`recordedat`). */
export function parseFilter(text: FilterText, now: Date): Parsed<Filter> {
  const range = parseRange(text, now)
  if (!range.ok) return range
  const tests: Test<ParsedRecord>[] = [range.value.test]
  for (const [name, parse] of Object.entries(parsers)) {
    const value = text[name as keyof typeof parsers]
    if (value === undefined) continue
    const test = parse(value, now)
    if (!test.ok) return { ok: false, problem: `--${name === 'pathPrefix' ? 'path-prefix' : name}: ${test.problem}` }
    tests.push(test.value)
  }
  return { ok: true, value: { days: range.value.days, matches: (record) => tests.every((test) => test(record)) } }
}

interface Range {
  readonly days: DayRange
  readonly test: Test<ParsedRecord>
}

function parseRange({ since, until }: FilterText, now: Date): Parsed<Range> {
  const from = since === undefined ? undefined : parseTime(since, now)
  if (from?.ok === false) return { ok: false, problem: `--since: ${from.problem}` }
  const to = until === undefined ? undefined : parseTime(until, now)
  if (to?.ok === false) return { ok: false, problem: `--until: ${to.problem}` }
  const [first, end] = [from?.value.toISOString(), to?.value.toISOString()]
  if (first !== undefined && end !== undefined && first >= end) {
    return { ok: false, problem: `--until: ${end} is not after --since, ${first}` }
  }
  const lastDay = to === undefined ? undefined : new Date(to.value.getTime() - 1).toISOString().slice(0, 10)
  const days = {
    ...(first === undefined ? {} : { from: first.slice(0, 10) }),
    ...(lastDay === undefined ? {} : { to: lastDay }),
  }
  const test = ({ recordedat }: ParsedRecord): boolean =>
    (first === undefined || recordedat >= first) && (end === undefined || recordedat < end)
  return { ok: true, value: { days, test } }
}

function parsePrincipal(text: string): Parsed<Test<string | undefined>> {
  const tree = text.endsWith('/**')
  const id = tree ? text.slice(0, -3) : text
  if (id.includes('*')) {
    return { ok: false, problem: `${JSON.stringify(text)}: the only wildcard is "/**" at the end` }
  }
  if (!tree && !text.startsWith('spiffe://')) {
    return pass((principal) => principal !== undefined && (principal === text || shortPrincipal(principal) === text))
  }
  const parsed = parseSpiffeId(id)
  if (!parsed.ok) return { ok: false, problem: `${JSON.stringify(text)}: ${parsed.problem}` }
  return pass(tree ? (principal) => principal?.startsWith(`${id}/`) === true : (principal) => principal === text)
}

function oneOf(
  text: string,
  allowed: readonly string[],
  valueOf: (record: ParsedRecord) => string | undefined,
): Parsed<Test<ParsedRecord>> {
  const wanted = new Set(text.split(','))
  for (const value of wanted) {
    if (!allowed.includes(value)) {
      return { ok: false, problem: `${JSON.stringify(value)} is not one of ${allowed.join(', ')}` }
    }
  }
  return pass((record) => wanted.has(valueOf(record) ?? ''))
}

function pass<Value>(value: Value): Parsed<Value> {
  return { ok: true, value }
}
