import type { Parsed } from '../../identity/parsed.ts'
import { cleanPrefix, hasWildDot, isClean, isOneLine, matchClean, namesAlike, type NameStyle } from './key-pattern.ts'
import { RegexDialect, type Expression } from './regex.ts'
import { regexPrefix } from './regex-prefix.ts'
import { maxRegexLength, parseRegex, type RegexNode } from './regex-syntax.ts'
import type { Segment } from './segments.ts'

/** Most names of a keyMatch4 pattern that repeats one beside wildcards. */
const maxNames = 10

const unknown: readonly Segment[] = [{ kind: 'rest' }]

/** `keyMatch`: the text up to the first `*`, and everything that begins with it; without a `*` the text itself. */
export function compileKeyMatch(pattern: string): (value: string) => boolean {
  const star = pattern.indexOf('*')
  if (star === -1) return (value) => value === pattern
  return (value) => startsAlike(value, pattern, star)
}

/** `keyGet`: what stands behind the text up to the first `*`; '' where the pattern does not match. */
export function compileKeyGet(pattern: string): (value: string) => string {
  const star = pattern.indexOf('*')
  return (value) => (star !== -1 && startsAlike(value, pattern, star) ? value.slice(star) : '')
}

/** Whether both texts have the same first characters. No substring is kept for it: there may be 100,000 patterns. */
function startsAlike(value: string, pattern: string, count: number): boolean {
  if (value.length < count) return false
  for (let at = 0; at < count; at += 1) if (value.charCodeAt(at) !== pattern.charCodeAt(at)) return false
  return true
}

export function keyMatchPrefix(pattern: string): readonly Segment[] {
  const star = pattern.indexOf('*')
  const parts = (star === -1 ? pattern : pattern.slice(0, star)).split('/')
  const texts = (star === -1 ? parts : parts.slice(0, -1)).map((text) => ({ kind: 'text' as const, text }))
  return star === -1 ? texts : [...texts, ...unknown]
}

/** One of the functions that Casbin builds on regular expressions: keyMatch2 to keyMatch5. */
export class KeyPatterns {
  readonly #style: NameStyle
  readonly #regexes: RegexDialect

  constructor(style: NameStyle, translate: (pattern: string) => string) {
    this.#style = style
    this.#regexes = new RegexDialect((pattern) => readTranslated(pattern, translate))
  }

  problem(pattern: string): string | undefined {
    return isClean(pattern, this.#style) ? undefined : this.#regexes.problem(pattern)
  }

  compile(pattern: string): (value: string) => boolean {
    const style = this.#style
    if (isClean(pattern, style)) return (value) => matchClean(pattern, style, value, value.length)
    const expression = this.#regexes.expression(pattern)
    return (value) => expression.test(value)
  }

  usesRegex(pattern: string): boolean {
    return !isClean(pattern, this.#style)
  }

  /** As `compile`, but a value counts only up to its first `?`. */
  compileWithoutQuery(pattern: string): (value: string) => boolean {
    const style = this.#style
    if (isClean(pattern, style)) return (value) => matchClean(pattern, style, value, queryStart(value))
    const expression = this.#regexes.expression(pattern)
    return (value) => expression.test(value.slice(0, queryStart(value)))
  }

  prefix(pattern: string): readonly Segment[] {
    if (isClean(pattern, this.#style)) return cleanPrefix(pattern, this.#style)
    const parsed = this.#regexes.read(pattern)
    return parsed.ok ? regexPrefix(parsed.value) : unknown
  }

  /** The expression of a pattern that is not clean. */
  expression(pattern: string): Expression {
    return this.#regexes.expression(pattern)
  }
}

function queryStart(value: string): number {
  const start = value.indexOf('?')
  return start === -1 ? value.length : start
}

function readTranslated(pattern: string, translate: (pattern: string) => string): Parsed<RegexNode> {
  // Casbin's replacing costs the square of the length, so it is not begun on what is too long in any case.
  return pattern.length > maxRegexLength ? parseRegex(pattern) : parseRegex(`^${translate(pattern)}$`)
}

/** Casbin's own replacing, step by step. It MUST be kept from patterns on which it never ends. */
function replaceNames(pattern: string, opening: '/:' | '/{', names: RegExp, by: string): string {
  let text = pattern.replace(/\/\*/g, '/.*')
  while (text.includes(opening)) text = text.replace(names, by)
  return text
}

const braces = /(.*){[^/]+}(.*)/g

function translateColons(pattern: string): string {
  const text = replaceNames(pattern, '/:', /(.*):[^/]+(.*)/g, '$1[^/]+$2')
  return text === '*' ? '(.*)' : text
}

const keyMatch2 = new KeyPatterns('colon', translateColons)
const keyMatch3 = new KeyPatterns('braces', (pattern) => replaceNames(pattern, '/{', braces, '$1[^/]+$2'))
const keyMatch4 = new KeyPatterns('braces', (pattern) => replaceNames(pattern, '/{', braces, '$1([^/]+)$2'))

export const keyMatch2Patterns = {
  problem: (pattern: string) =>
    // Casbin replaces such names until none is left, and never ends where one cannot be replaced.
    /\/:(?:\/|$)/.test(pattern) ? '"/:" must be followed by a name' : keyMatch2.problem(pattern),
  compile: (pattern: string): ((value: string) => boolean) =>
    pattern === '*' ? (value) => isOneLine(value, 0, value.length) : keyMatch2.compile(pattern),
  usesRegex: (pattern: string) => keyMatch2.usesRegex(pattern),
  prefix: (pattern: string) => keyMatch2.prefix(pattern),
}

export const keyMatch3Patterns = {
  problem: (pattern: string) => braceProblem(pattern) ?? keyMatch3.problem(pattern),
  compile: (pattern: string) => keyMatch3.compile(pattern),
  usesRegex: (pattern: string) => keyMatch3.usesRegex(pattern),
  prefix: (pattern: string) => keyMatch3.prefix(pattern),
}

export const keyMatch4Patterns = {
  problem: (pattern: string) =>
    braceProblem(pattern) ?? countProblem(pattern) ?? namesProblem(pattern) ?? keyMatch4.problem(pattern),
  compile: (pattern: string) => (hasRepeatedName(pattern) ? compileRepeated(pattern) : keyMatch4.compile(pattern)),
  usesRegex: (pattern: string) => keyMatch4.usesRegex(pattern),
  prefix: (pattern: string) => keyMatch4.prefix(pattern),
}

export const keyMatch5Patterns = {
  problem: keyMatch3Patterns.problem,
  compile: (pattern: string) => keyMatch3.compileWithoutQuery(pattern),
  /** The last segment of the value can go on with a query, which can have slashes. */
  usesRegex: (pattern: string) => keyMatch3.usesRegex(pattern),
  prefix: (pattern: string): readonly Segment[] => {
    const segments = keyMatch3.prefix(pattern)
    return segments.at(-1)?.kind === 'text' ? [...segments.slice(0, -1), ...unknown] : withRest(segments)
  },
}

/** `keyGet2`: the segment of the value at the place of `:name` in the pattern; '' where there is none. */
export function compileKeyGet2(pattern: string): (value: string, name?: string) => string {
  const matches = keyMatch2Patterns.compile(pattern)
  return (value, name = '') => {
    if (!matches(value)) return ''
    const place = placeOf(pattern, name)
    return place === -1 ? '' : (value.match(/[^/]+/g)?.[place] ?? '')
  }
}

function placeOf(pattern: string, name: string): number {
  const parts: readonly string[] = pattern.match(/[^/]+/g) ?? []
  return parts.indexOf(`:${name}`)
}

function withRest(segments: readonly Segment[]): readonly Segment[] {
  return segments.at(-1)?.kind === 'rest' ? segments : [...segments, ...unknown]
}

/** Whether a name stands twice in a pattern of `keyMatch4`. */
export function hasRepeatedName(pattern: string): boolean {
  const names: readonly string[] = pattern.match(/\{[^/{}]+\}/g) ?? []
  return new Set(names).size < names.length
}

/** Where one name stands twice, Casbin wants the texts of all names to be the same, not only of that one. */
function compileRepeated(pattern: string): (value: string) => boolean {
  if (isComparedBySegments(pattern)) {
    return (value) => matchClean(pattern, 'braces', value, value.length) && namesAlike(pattern, 'braces', value)
  }
  const expression = keyMatch4.expression(pattern)
  return (value) => {
    const texts = expression.groups(value)
    return texts?.every((text) => text === texts[0]) ?? false
  }
}

function braceProblem(pattern: string): string | undefined {
  return /\/\{(?![^/{}]+\})/.test(pattern) ? '"/{" must be followed by a name and "}"' : undefined
}

function countProblem(pattern: string): string | undefined {
  const rest = pattern.replace(/\/\{[^/{}]+\}/g, '/')
  return /[{}()]/.test(rest) ? 'braces may only stand around a whole segment, and parentheses not at all' : undefined
}

/** To know the texts of the names costs the value's length for each of them, unless the pattern is compared by segments. */
function namesProblem(pattern: string): string | undefined {
  if (!hasRepeatedName(pattern) || isComparedBySegments(pattern)) return undefined
  const count = pattern.match(/\{[^/{}]+\}/g)?.length ?? 0
  if (count <= maxNames) return undefined
  return `it has ${String(count)} names; beside wildcards and a name that stands twice, at most ${String(maxNames)} are allowed`
}

function isComparedBySegments(pattern: string): boolean {
  return isClean(pattern, 'braces') && !hasWildDot(pattern)
}
