import { problem, shown, type PolicyProblem } from '../problem.ts'
import { modelFile, type SourceFile } from '../source/source.ts'

/** The sections of model.conf, by the letter with which the names of their definitions begin. */
export const sections = {
  r: 'request_definition',
  p: 'policy_definition',
  g: 'role_definition',
  e: 'policy_effect',
  m: 'matchers',
} as const

export type SectionKey = keyof typeof sections

/** One `key = value` of model.conf. */
export interface Definition {
  readonly section: SectionKey
  readonly key: string
  readonly value: string
  /** 1-based line on which it begins. */
  readonly line: number
}

export interface ParsedModel {
  readonly definitions: readonly Definition[]
  readonly problems: readonly PolicyProblem[]
}

interface Reading {
  readonly definitions: Definition[]
  readonly problems: PolicyProblem[]
  readonly seen: Set<string>
  section: SectionKey | 'unknown' | 'none'
  /** What the lines with a backslash at their end have given so far. */
  pending: { text: string; line: number } | undefined
}

/**
 * Reads model.conf as Casbin does: `#` and `;` begin a comment anywhere, a backslash at the end continues the line. What
 * Casbin would pass over in silence (an unknown section, a key that it never asks for) is a problem here.
 */
export function parseModel(file: SourceFile): ParsedModel {
  const reading: Reading = { definitions: [], problems: [], seen: new Set(), section: 'none', pending: undefined }
  file.text.split('\n').forEach((raw, index) => {
    const text = withoutComment(raw)
    if (text !== '') readLine(reading, text, index + 1)
  })
  endPending(reading)
  return { definitions: reading.definitions, problems: reading.problems }
}

function withoutComment(line: string): string {
  return line.replace(/[#;].*$/s, '').trim()
}

function readLine(reading: Reading, text: string, line: number): void {
  if (text.startsWith('[') && text.endsWith(']')) {
    endPending(reading)
    beginSection(reading, text.slice(1, -1), line)
    return
  }
  const continues = text.endsWith('\\')
  const part = continues ? text.slice(0, -1).trim() : text
  reading.pending = { text: (reading.pending?.text ?? '') + part, line: reading.pending?.line ?? line }
  if (!continues) endPending(reading)
}

function beginSection(reading: Reading, name: string, line: number): void {
  const found = (Object.keys(sections) as SectionKey[]).find((key) => sections[key] === name)
  reading.section = found ?? 'unknown'
  if (found === undefined) {
    const allowed = Object.values(sections).join(', ')
    reading.problems.push(
      problem(modelFile, line, 'SECTION_UNKNOWN', `unknown section ${shown(name)}; allowed: ${allowed}`),
    )
  } else if (reading.seen.has(name)) {
    reading.problems.push(problem(modelFile, line, 'SECTION_REPEATED', `the section ${shown(name)} stands twice`))
  }
  reading.seen.add(name)
}

function endPending(reading: Reading): void {
  const { pending, section } = reading
  reading.pending = undefined
  if (pending === undefined || section === 'unknown') return
  const { text, line } = pending
  const equals = text.indexOf('=')
  if (equals === -1 || section === 'none') {
    const message = `expected ${section === 'none' ? 'a section' : '"name = value"'}, found ${shown(text)}`
    reading.problems.push(problem(modelFile, line, 'MODEL_SYNTAX', message))
    return
  }
  const definition = { section, key: text.slice(0, equals).trim(), value: text.slice(equals + 1).trim(), line }
  const refusal = definitionProblem(definition, reading.definitions)
  if (refusal === undefined) reading.definitions.push(definition)
  else reading.problems.push(refusal)
}

function definitionProblem(definition: Definition, before: readonly Definition[]): PolicyProblem | undefined {
  const { section, key, line, value } = definition
  const name = sections[section]
  const repeated = before.some((other) => other.section === section && (section !== 'g' || other.key === key))
  if (repeated) {
    const message = `a second ${section === 'g' ? shown(key) : 'definition'} in ${name}: ${shown(key)}; one is allowed`
    return problem(modelFile, line, 'DEFINITION_REPEATED', message)
  }
  const expected = section === 'g' ? roleKey(before.filter((other) => other.section === 'g').length) : section
  if (key !== expected) {
    const message = `unexpected ${shown(key)} in ${name}; expected ${shown(expected)}`
    return problem(modelFile, line, 'DEFINITION_UNKNOWN', message)
  }
  return value === '' ? problem(modelFile, line, 'MODEL_SYNTAX', `the definition ${shown(key)} is empty`) : undefined
}

/** Casbin reads g, g2, g3… and stops at the first that is missing, so they must stand in this order. */
function roleKey(index: number): string {
  return index === 0 ? 'g' : `g${String(index + 1)}`
}
