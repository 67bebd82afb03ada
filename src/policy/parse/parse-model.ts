import { maxProblems, problem, shown, type PolicyProblem, type PolicyProblemCode } from '../problem.ts'
import { modelFile, type SourceFile } from '../source/source.ts'
import { charactersIn, columnAt, type Place } from './place.ts'

/** The sections of model.conf, by the letter with which the names of their definitions begin. */
export const sections = {
  r: 'request_definition',
  p: 'policy_definition',
  g: 'role_definition',
  e: 'policy_effect',
  m: 'matchers',
} as const

export type SectionKey = keyof typeof sections

/** A part of a definition's value, from `index` on, and where it stands: a definition can be continued over lines. */
export interface ValuePart extends Place {
  readonly index: number
}

/** One `key = value` of model.conf. */
export interface Definition extends Place {
  readonly section: SectionKey
  readonly key: string
  readonly value: string
  /** In their order; the first has the index 0. */
  readonly parts: readonly ValuePart[]
}

export interface ParsedModel {
  readonly definitions: readonly Definition[]
  readonly problems: readonly PolicyProblem[]
}

/** Longest model.conf, in characters. */
export const maxModelLength = 65_536

/** Where a character of a definition's value stands in the file. */
export function placeIn({ value, parts, line, column }: Definition, index: number): Place {
  const part = parts.findLast((candidate) => candidate.index <= index)
  if (part === undefined) return { line, column }
  return { line: part.line, column: part.column + charactersIn(value.slice(part.index, index)) }
}

interface Reading {
  readonly definitions: Definition[]
  readonly problems: PolicyProblem[]
  /** Names of sections, and definitions as `name =`. */
  readonly seen: Set<string>
  roles: number
  section: SectionKey | 'unknown' | 'none'
  /** What the lines with a backslash at their end have given so far. */
  pending: { text: string; parts: ValuePart[] } | undefined
}

/**
 * Reads model.conf as Casbin does: `#` and `;` begin a comment anywhere, a backslash at the end continues the line. What
 * Casbin would pass over in silence (an unknown section, a key that it never asks for) is a problem here.
 */
export function parseModel(file: SourceFile): ParsedModel {
  const reading: Reading = {
    definitions: [],
    problems: [],
    seen: new Set(),
    roles: 0,
    section: 'none',
    pending: undefined,
  }
  if (file.text.length > maxModelLength) {
    const message = `the file has ${String(file.text.length)} characters; at most ${String(maxModelLength)} are allowed`
    return { definitions: [], problems: [problem(modelFile, null, 'POLICY_TOO_LARGE', message)] }
  }
  for (const [index, raw] of file.text.split('\n').entries()) {
    const text = withoutComment(raw)
    if (text !== '') readLine(reading, text, { line: index + 1, column: columnAt(raw, raw.indexOf(text)) })
    if (reading.problems.length >= maxProblems) break
  }
  endPending(reading)
  return { definitions: reading.definitions, problems: reading.problems }
}

function withoutComment(line: string): string {
  const comment = line.search(/[#;]/)
  return (comment === -1 ? line : line.slice(0, comment)).trim()
}

function readLine(reading: Reading, text: string, place: Place): void {
  if (text.startsWith('[') && text.endsWith(']')) {
    endPending(reading)
    beginSection(reading, text.slice(1, -1), place)
    return
  }
  const continues = text.endsWith('\\')
  const part = continues ? text.slice(0, -1).trim() : text
  reading.pending ??= { text: '', parts: [] }
  reading.pending.parts.push({ index: reading.pending.text.length, ...place })
  reading.pending.text += part
  if (!continues) endPending(reading)
}

function beginSection(reading: Reading, name: string, { line, column }: Place): void {
  const found = (Object.keys(sections) as SectionKey[]).find((key) => sections[key] === name)
  reading.section = found ?? 'unknown'
  if (found === undefined) {
    const allowed = Object.values(sections).join(', ')
    const message = `unknown section ${shown(name)}; allowed: ${allowed}`
    reading.problems.push(problem(modelFile, line, 'SECTION_UNKNOWN', message, column))
  } else if (reading.seen.has(name)) {
    const message = `the section ${shown(name)} stands twice`
    reading.problems.push(problem(modelFile, line, 'SECTION_REPEATED', message, column))
  }
  if (found !== undefined) reading.seen.add(name)
}

function endPending(reading: Reading): void {
  const { pending, section } = reading
  const first = pending?.parts[0]
  reading.pending = undefined
  if (pending === undefined || first === undefined || section === 'unknown') return
  const { line, column } = first
  const equals = pending.text.indexOf('=')
  if (equals === -1 || section === 'none') {
    const message = `expected ${section === 'none' ? 'a section' : '"name = value"'}, found ${shown(pending.text)}`
    reading.problems.push(problem(modelFile, line, 'MODEL_SYNTAX', message, column))
    return
  }
  const key = pending.text.slice(0, equals).trim()
  const value = pending.text.slice(equals + 1).trim()
  const start = pending.text.length - pending.text.slice(equals + 1).trimStart().length
  const definition = { section, key, value, line, column, parts: partsFrom(pending, start) }
  const refusal = definitionProblem(definition, reading)
  if (refusal === undefined) reading.definitions.push(definition)
  else reading.problems.push(refusal)
}

/** The parts of the text from an index on. */
function partsFrom({ text, parts }: { text: string; parts: readonly ValuePart[] }, start: number): ValuePart[] {
  return parts
    .filter((_, position) => (parts[position + 1]?.index ?? text.length) > start)
    .map(({ index, line, column }) => {
      const skipped = Math.max(0, start - index)
      return { index: index + skipped - start, line, column: column + charactersIn(text.slice(index, index + skipped)) }
    })
}

function definitionProblem(definition: Definition, reading: Reading): PolicyProblem | undefined {
  const { section, key, line, column, value } = definition
  const refuse = (code: PolicyProblemCode, message: string) => problem(modelFile, line, code, message, column)
  const id = `${section === 'g' ? key : section} =`
  if (reading.seen.has(id)) {
    const what = section === 'g' ? shown(key) : 'definition'
    return refuse('DEFINITION_REPEATED', `a second ${what} in ${sections[section]}: ${shown(key)}; one is allowed`)
  }
  const expected = section === 'g' ? roleKey(reading.roles) : section
  if (key !== expected) {
    return refuse('DEFINITION_UNKNOWN', `unexpected ${shown(key)} in ${sections[section]}; expected ${shown(expected)}`)
  }
  if (value === '') return refuse('MODEL_SYNTAX', `the definition ${shown(key)} is empty`)
  reading.seen.add(id)
  if (section === 'g') reading.roles += 1
  return undefined
}

/** Casbin reads g, g2, g3… and stops at the first that is missing, so they must stand in this order. */
function roleKey(index: number): string {
  return index === 0 ? 'g' : `g${String(index + 1)}`
}
