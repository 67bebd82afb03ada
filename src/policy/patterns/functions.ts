import { isIP } from 'node:net'
import type { Parsed } from '../../identity/parsed.ts'
import { messageOf } from '../../errors.ts'
import { casbinFunctions, type MatcherFunction } from '../oracle/casbin.ts'
import { parsePathPattern, pathMatch } from './path-match.ts'
import { parseSpiffePattern, spiffeMatch } from './spiffe-match.ts'

export interface PolicyFunction {
  /** Number of arguments. The second one is the pattern; it must come from the policy. */
  readonly arity: 2 | 3
  readonly gives: 'truth' | 'text'
  readonly meaning: string
  /** What is wrong with a pattern, if anything: what would throw, or never end, when a request is decided. */
  readonly patternProblem: (pattern: string) => string | undefined
  /** Whether a value of a column that the matcher reads in other ways too is meant as a pattern. Left out: it always is. */
  readonly meantAsPattern?: (value: string) => boolean
  readonly call: (...values: string[]) => unknown
}

/** Longest value that is put to a function which works by regular expressions: their cost can grow with its cube. */
export const maxRegexInput = 1024

/** Every function that a matcher may call. */
export const policyFunctions = {
  pathMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'path against a pattern, segment by segment: `{name}` and `*` are one segment, a final `**` is the rest',
    patternProblem: (pattern) => problemOf(parsePathPattern(pattern)),
    meantAsPattern: (value) => value.startsWith('/'),
    call: (path, pattern) => pathMatch(path, pattern),
  },
  spiffeMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'SPIFFE ID against a pattern with the same wildcards; the trust domain is exact or `*`',
    patternProblem: (pattern) => problemOf(parseSpiffePattern(pattern)),
    meantAsPattern: (value) => value.startsWith('spiffe://'),
    call: (id, pattern) => spiffeMatch(id, pattern),
  },
  keyMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: text up to the first `*`; everything after it is ignored',
    patternProblem: () => undefined,
    call: casbinFunctions.keyMatch,
  },
  keyMatch2: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: `:name` and `/*`; the rest is a regular expression',
    patternProblem: (pattern) => colonProblem(pattern) ?? throwsOn(casbinFunctions.keyMatch2, pattern),
    call: bounded('keyMatch2', casbinFunctions.keyMatch2),
  },
  keyMatch3: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: `{name}` and `/*`; the rest is a regular expression',
    patternProblem: (pattern) => braceProblem(pattern) ?? throwsOn(casbinFunctions.keyMatch3, pattern),
    call: bounded('keyMatch3', casbinFunctions.keyMatch3),
  },
  keyMatch4: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: as keyMatch3, and a name that stands twice must be the same text',
    patternProblem: (pattern) =>
      braceProblem(pattern) ?? countProblem(pattern) ?? throwsOn(casbinFunctions.keyMatch4, pattern),
    call: bounded('keyMatch4', casbinFunctions.keyMatch4),
  },
  keyMatch5: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: as keyMatch3, on the text before a `?`',
    patternProblem: (pattern) => braceProblem(pattern) ?? throwsOn(casbinFunctions.keyMatch5, pattern),
    call: bounded('keyMatch5', casbinFunctions.keyMatch5),
  },
  keyGet: {
    arity: 2,
    gives: 'text',
    meaning: 'Casbin’s: the text that `*` stands for; absent where the pattern does not match',
    patternProblem: () => undefined,
    call: casbinFunctions.keyGet,
  },
  keyGet2: {
    arity: 3,
    gives: 'text',
    meaning: 'Casbin’s: the text that `:name` stands for, the name being the third argument',
    patternProblem: (pattern) => colonProblem(pattern) ?? throwsOn(casbinFunctions.keyMatch2, pattern),
    call: bounded('keyGet2', casbinFunctions.keyGet2),
  },
  regexMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: a JavaScript regular expression, not anchored: write `^…$`',
    patternProblem: (pattern) => throwsOn((_value, text) => new RegExp(text), pattern),
    call: bounded('regexMatch', casbinFunctions.regexMatch),
  },
  ipMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: IP address against an address or CIDR; false for what is no address',
    patternProblem: (pattern) => (addressFamily(pattern) === 0 ? 'it is neither an IP address nor a CIDR' : undefined),
    meantAsPattern: (value) => isIP(value.split('/')[0] ?? '') !== 0,
    call: ipMatch,
  },
  globMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: a glob, by minimatch',
    patternProblem: (pattern) => throwsOn(casbinFunctions.globMatch, pattern),
    call: bounded('globMatch', casbinFunctions.globMatch),
  },
} as const satisfies Record<string, PolicyFunction>

export type PolicyFunctionName = keyof typeof policyFunctions

export function policyFunction(name: string): PolicyFunction | undefined {
  return Object.hasOwn(policyFunctions, name) ? policyFunctions[name as PolicyFunctionName] : undefined
}

/**
 * The functions as a matcher calls them. What is absent (anything but a text that is not empty) makes every function say
 * false, or give an absent text; so does an empty result.
 */
export function matcherFunctions(): Record<string, MatcherFunction> {
  const entries = Object.entries(policyFunctions).map(([name, definition]) => [name, guarded(definition)] as const)
  return Object.fromEntries(entries)
}

/** What stands for an absent token: it equals nothing, not even itself. */
export const absent = NaN

function guarded({ call, gives }: PolicyFunction): MatcherFunction {
  return (...values) => {
    const nothing = gives === 'truth' ? false : absent
    if (!values.every(isPresent)) return nothing
    const result = call(...values)
    return result === '' || result === undefined ? nothing : result
  }
}

function isPresent(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function bounded(name: string, call: (...values: string[]) => unknown): (...values: string[]) => unknown {
  return (...values) => {
    // Not false: in a rule that denies, that would let the request through.
    if ((values[0] ?? '').length > maxRegexInput)
      throw new Error(`${name}: the value is longer than ${String(maxRegexInput)}`)
    return call(...values)
  }
}

function problemOf(parsed: Parsed<unknown>): string | undefined {
  return parsed.ok ? undefined : parsed.problem
}

function throwsOn(call: (...values: string[]) => unknown, pattern: string): string | undefined {
  try {
    call('/', pattern)
    return undefined
  } catch (fault) {
    return messageOf(fault)
  }
}

/** Casbin replaces such names until none is left, and never ends where one cannot be replaced. */
function colonProblem(pattern: string): string | undefined {
  return /\/:(?:\/|$)/.test(pattern) ? '"/:" must be followed by a name' : undefined
}

function braceProblem(pattern: string): string | undefined {
  return /\/\{(?![^/{}]+\})/.test(pattern) ? '"/{" must be followed by a name and "}"' : undefined
}

function countProblem(pattern: string): string | undefined {
  const rest = pattern.replace(/\/\{[^/{}]+\}/g, '/')
  return /[{}()]/.test(rest) ? 'braces may only stand around a whole segment, and parentheses not at all' : undefined
}

function ipMatch(value = '', pattern = ''): boolean {
  const family = isIP(value)
  return family !== 0 && family === addressFamily(pattern) && casbinFunctions.ipMatch(value, pattern)
}

function addressFamily(pattern: string): 0 | 4 | 6 {
  const [address = '', bits, more] = pattern.split('/')
  const family = isIP(address) as 0 | 4 | 6
  if (bits === undefined) return family
  const valid = more === undefined && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
  return valid ? family : 0
}
