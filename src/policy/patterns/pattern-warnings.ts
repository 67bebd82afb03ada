import type { PolicyWarningCode } from '../problem.ts'
import { hasRepeatedName } from './key-match.ts'
import { isUnanchored, regexSteps } from './regex-match.ts'
import { longestValue } from './regex.ts'

export interface PatternWarning {
  readonly code: PolicyWarningCode
  readonly message: string
}

type Warn = (pattern: string) => PatternWarning | undefined

/** Steps from which on a regular expression is called large: each costs time on every value. */
const largeSteps = 200

/** The first of several warnings that there is. */
export function firstOf(...warnings: readonly Warn[]): Warn {
  return (pattern) => {
    for (const warn of warnings) {
      const found = warn(pattern)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** `keyMatch` and `keyGet` look at nothing behind the first `*`. */
export const starWarning: Warn = (pattern) => {
  const star = pattern.indexOf('*')
  if (star === -1 || star === pattern.length - 1) return undefined
  const [read, ignored] = [pattern.slice(0, star + 1), pattern.slice(star + 1)]
  return {
    code: 'PATTERN_STAR_INSIDE',
    message: `everything after the "*" is ignored: it covers what ${quoted(read)} covers, whatever ${quoted(ignored)} says; write a pathMatch pattern, where "*" is one segment`,
  }
}

/** In keyMatch2 to keyMatch5 and keyGet2 a dot is the dot of a regular expression. */
export const dotWarning: Warn = (pattern) => {
  // A dot in a name, or behind a backslash, or before a quantifier, is meant.
  const texts = pattern.replace(/\\./g, '').replace(/\/(?::[^/]*|\{[^/{}]*\})/g, '/')
  if (!/\.(?![*+?{])/.test(texts)) return undefined
  return { code: 'PATTERN_DOT', message: '"." stands for any character, "/" too; write "\\." for a dot' }
}

/** Where one name of keyMatch4 stands twice, Casbin compares all. */
export const allNamesWarning: Warn = (pattern) => {
  const names = new Set(pattern.match(/\{[^/{}]+\}/g))
  if (!hasRepeatedName(pattern) || names.size === 1) return undefined
  return {
    code: 'PATTERN_NAMES_ALL_EQUAL',
    message: `as ${quoted([...names].find((name) => pattern.split(name).length > 2) ?? '')} stands twice, Casbin wants the same text for all names, also for the others`,
  }
}

export const regexWarning: Warn = (pattern) => {
  const steps = regexSteps(pattern)
  if (steps > largeSteps) {
    const message = `the regular expression is large (${String(steps)} steps with its repetitions written out): a value of more than ${String(longestValue(steps))} characters is not put to it, and the request is denied`
    return { code: 'PATTERN_LARGE', message }
  }
  if (!isUnanchored(pattern)) return undefined
  const message = `the regular expression is also found in the middle of a value; write ${quoted(`^(?:${pattern})$`)}`
  return { code: 'PATTERN_UNANCHORED', message }
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 117)}…` : text)
}
