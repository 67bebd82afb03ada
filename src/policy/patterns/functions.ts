import { isIP } from 'node:net'
import type { Parsed } from '../../identity/parsed.ts'
import { compileGlobMatch, globPrefix, globProblem, globUsesRegex } from './glob-match.ts'
import { compileIpMatch, ipProblem } from './ip-match.ts'
import {
  compileKeyGet,
  compileKeyGet2,
  compileKeyMatch,
  keyMatch2Patterns,
  keyMatch3Patterns,
  keyMatch4Patterns,
  keyMatch5Patterns,
  keyMatchPrefix,
} from './key-match.ts'
import { compilePathMatch, parsePathPattern, pathPrefix } from './path-match.ts'
import { compileRegexMatch, regexMatchPrefix, regexProblem } from './regex-match.ts'
import {
  allNamesWarning,
  dotWarning,
  firstOf,
  regexWarning,
  starWarning,
  type PatternWarning,
} from './pattern-warnings.ts'
import type { Segment } from './segments.ts'
import { compileSpiffeMatch, parseSpiffePattern, spiffePrefix } from './spiffe-match.ts'

/** Answers for a value, and for a function with three arguments the third one. */
export type CompiledPattern = (value: string, third?: string) => boolean | string

export interface PolicyFunction {
  /** Number of arguments. The second one is the pattern; it must come from the policy. */
  readonly arity: 2 | 3
  readonly gives: 'truth' | 'text'
  readonly meaning: string
  /** What is wrong with a pattern, if anything: what means nothing, or cannot be matched as Casbin would. */
  readonly patternProblem: (pattern: string) => string | undefined
  /** Whether a value of a column that the matcher reads in other ways too is meant as a pattern. Left out: it always is. */
  readonly meantAsPattern?: (value: string) => boolean
  /**
   * Makes the function of one pattern. It takes time linear in the value's length, whatever the value is; a text is '' where
   * there is nothing to give. Only a regular expression throws, where a value is too long for it (`maxRegexWork`). The pattern MUST
   * have no problem, or not be meant as a pattern: then nothing matches it. A value MUST be present: an absent one matches nothing, and is not asked about.
   */
  readonly compile: (pattern: string) => CompiledPattern
  /** Whether a pattern takes a regular expression, which costs memory and time. Left out: none does. */
  readonly usesRegex?: (pattern: string) => boolean
  /**
   * What every value that matches begins with, between its slashes (`value.split('/')`): a necessary condition. It ends
   * with `rest` unless the number of segments is known too.
   */
  readonly prefix: (pattern: string) => readonly Segment[]
  /** What its author may not have meant by a pattern that has no problem. */
  readonly warning?: (pattern: string) => PatternWarning | undefined
}

/** Every function that a matcher may call. */
export const policyFunctions = {
  pathMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'path against a pattern, segment by segment: `{name}` and `*` are one segment, a final `**` is the rest',
    patternProblem: (pattern) => problemOf(parsePathPattern(pattern)),
    meantAsPattern: (value) => value.startsWith('/'),
    compile: compilePathMatch,
    prefix: pathPrefix,
  },
  spiffeMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'SPIFFE ID against a pattern with the same wildcards; the trust domain is exact or `*`',
    patternProblem: (pattern) => problemOf(parseSpiffePattern(pattern)),
    meantAsPattern: (value) => value.startsWith('spiffe://'),
    compile: compileSpiffeMatch,
    prefix: spiffePrefix,
  },
  keyMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: text up to the first `*`; everything after it is ignored',
    patternProblem: () => undefined,
    compile: compileKeyMatch,
    prefix: keyMatchPrefix,
    warning: starWarning,
  },
  keyMatch2: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: `:name` and `/*`; the rest is a regular expression',
    patternProblem: keyMatch2Patterns.problem,
    compile: keyMatch2Patterns.compile,
    usesRegex: keyMatch2Patterns.usesRegex,
    prefix: keyMatch2Patterns.prefix,
    warning: dotWarning,
  },
  keyMatch3: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: `{name}` and `/*`; the rest is a regular expression',
    patternProblem: keyMatch3Patterns.problem,
    compile: keyMatch3Patterns.compile,
    usesRegex: keyMatch3Patterns.usesRegex,
    prefix: keyMatch3Patterns.prefix,
    warning: dotWarning,
  },
  keyMatch4: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: as keyMatch3; where a name stands twice, all names must be the same text',
    patternProblem: keyMatch4Patterns.problem,
    compile: keyMatch4Patterns.compile,
    usesRegex: keyMatch4Patterns.usesRegex,
    prefix: keyMatch4Patterns.prefix,
    warning: firstOf(allNamesWarning, dotWarning),
  },
  keyMatch5: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: as keyMatch3, on the text before a `?`',
    patternProblem: keyMatch5Patterns.problem,
    compile: keyMatch5Patterns.compile,
    usesRegex: keyMatch5Patterns.usesRegex,
    prefix: keyMatch5Patterns.prefix,
    warning: dotWarning,
  },
  keyGet: {
    arity: 2,
    gives: 'text',
    meaning: 'Casbin’s: the text that `*` stands for; absent where the pattern does not match',
    patternProblem: () => undefined,
    compile: compileKeyGet,
    prefix: keyMatchPrefix,
    warning: starWarning,
  },
  keyGet2: {
    arity: 3,
    gives: 'text',
    meaning: 'Casbin’s: the text that `:name` stands for, the name being the third argument',
    patternProblem: keyMatch2Patterns.problem,
    compile: compileKeyGet2,
    usesRegex: keyMatch2Patterns.usesRegex,
    prefix: keyMatch2Patterns.prefix,
    warning: dotWarning,
  },
  regexMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: a JavaScript regular expression, not anchored: write `^…$`',
    patternProblem: regexProblem,
    compile: compileRegexMatch,
    usesRegex: () => true,
    prefix: regexMatchPrefix,
    warning: regexWarning,
  },
  ipMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: IP address against an address or CIDR; false for what is no address',
    patternProblem: ipProblem,
    meantAsPattern: (value) => isIP(value.split('/')[0] ?? '') !== 0,
    compile: compileIpMatch,
    prefix: (pattern) => [isIP(pattern) === 4 ? { kind: 'text', text: pattern } : { kind: 'rest' }],
  },
  globMatch: {
    arity: 2,
    gives: 'truth',
    meaning: 'Casbin’s: a glob, by minimatch',
    patternProblem: globProblem,
    compile: compileGlobMatch,
    usesRegex: globUsesRegex,
    prefix: globPrefix,
  },
} as const satisfies Record<string, PolicyFunction>

export type PolicyFunctionName = keyof typeof policyFunctions

export function policyFunction(name: string): PolicyFunction | undefined {
  return Object.hasOwn(policyFunctions, name) ? policyFunctions[name as PolicyFunctionName] : undefined
}

/** What stands for an absent token: it equals nothing, not even itself. */
export const absent = NaN

function problemOf(parsed: Parsed<unknown>): string | undefined {
  return parsed.ok ? undefined : parsed.problem
}
