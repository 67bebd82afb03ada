import type { z } from 'zod'
import { isMapping } from './sources.ts'

type Issue = z.core.$ZodIssue
type Path = readonly PropertyKey[]

const words: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
}

/** What is wrong with one setting: its name, what was found and what is allowed, in one line. Never shows a password. */
export function describeIssue(issue: Issue, raw: unknown): string {
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map((key) => nameOf([...issue.path, key]))
    return `${names.join(', ')}: no setting has this name; docs/settings.md lists them`
  }
  return `${nameOf(issue.path)}: ${foundAt(issue.path, raw)}; allowed: ${allowedBy(issue)}`
}

function nameOf(path: Path): string {
  return path.map(String).join('.')
}

function foundAt(path: Path, raw: unknown): string {
  const found = path.reduce<unknown>((value, key) => memberOf(value, String(key)), raw)
  if (found === undefined) return 'is missing'
  if (isMapping(found)) return 'found a mapping'
  if (Array.isArray(found)) return 'found a list'
  return mayBeSecret(path) ? `found ${wordOf(found)}, not shown here` : `found ${JSON.stringify(found)}`
}

function wordOf(value: unknown): string {
  return words[typeof value] ?? 'nothing'
}

/** Whatever stands where a login, or a whole sink with its login, should stand. */
function mayBeSecret(path: Path): boolean {
  return path.at(-1) === 'sinks' || (path.includes('sasl') && path.at(-1) !== 'mechanism')
}

function allowedBy(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_value':
      return issue.values.map(String).join(', ')
    case 'invalid_type':
      return words[issue.expected] ?? issue.expected
    case 'too_small':
      return `at least ${String(issue.minimum)}${unitOf(issue.origin)}`
    case 'too_big':
      return `at most ${String(issue.maximum)}${unitOf(issue.origin)}`
    case 'invalid_key':
      return issue.issues.map(({ message }) => message).join(', ')
    case 'invalid_union':
      return allowedByUnion(issue)
    case 'invalid_format':
    case 'not_multiple_of':
    case 'unrecognized_keys':
    case 'invalid_element':
    case 'custom':
      return issue.message
  }
}

/** A union is told apart by a member (`type`), or by the kind of the value. */
function allowedByUnion(issue: Extract<Issue, { code: 'invalid_union' }>): string {
  if ('options' in issue && Array.isArray(issue.options)) return issue.options.map(String).join(', ')
  return issue.errors.flatMap((alternative) => alternative.map(allowedBy)).join(', or ')
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' character'
  return origin === 'array' ? ' in the list' : ''
}

function memberOf(value: unknown, key: string): unknown {
  const members = new Map<string, unknown>(value !== null && typeof value === 'object' ? Object.entries(value) : [])
  return members.get(key)
}
