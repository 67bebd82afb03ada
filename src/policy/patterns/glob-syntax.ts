import type { Parsed } from '../../identity/parsed.ts'
import { isDotStar, parseGlobPart, starts, text, type GlobToken } from './glob-part.ts'
import { withinLimit, type RegexNode } from './regex-syntax.ts'
import type { Range } from './code-units.ts'

/** Most alternatives that the braces of a glob may make together. */
const maxAlternatives = 100
const maxGlobLength = 1_000

/**
 * Reads a glob as minimatch 10 does with its default options, which is what Casbin's globMatch asks, and gives the regular
 * expression of the same meaning. What minimatch reads in ways that no regular expression has is refused, by name.
 */
export function parseGlob(pattern: string): Parsed<RegexNode> {
  try {
    return withinLimit(sequence({ kind: 'start' }, choice(expandGlob(pattern).map(alternative)), { kind: 'end' }))
  } catch (fault) {
    if (fault instanceof GlobFault) return { ok: false, problem: fault.message }
    throw fault
  }
}

/** Casbin takes the star off a glob that begins with this. */
export function withoutFirstStar(pattern: string): string {
  return pattern.startsWith('*/') ? pattern.slice(1) : pattern
}

/** The first part of a glob where that is plain text, and the same in all alternatives. */
export function firstText(pattern: string): string | undefined {
  const firsts = expandGlob(pattern).map((alternative) => partsOf(alternative)[0])
  const [first] = firsts
  if (first === undefined || first === '**' || firsts.some((other) => other !== first)) return undefined
  return text(parseGlobPart(first))
}

class GlobFault extends Error {}

function refuse(problem: string): never {
  throw new GlobFault(problem)
}

/** The globs without braces that a glob stands for. */
function expandGlob(pattern: string): readonly string[] {
  if (pattern.length > maxGlobLength)
    refuse(`it has ${String(pattern.length)} characters; at most ${String(maxGlobLength)} are allowed`)
  const glob = withoutFirstStar(pattern)
  if (glob.startsWith('#')) refuse('a glob that begins with "#" is a comment and matches nothing')
  if (glob.startsWith('!')) refuse('negation by a leading "!" is not supported')
  if (glob.includes('\\')) refuse('"\\" is not supported; write [*] for a star')
  const reader = { glob, at: 0 }
  const expanded = expandSequence(reader, false)
  if (reader.at < glob.length) refuse('a "}" lacks its "{"')
  if (expanded.includes('')) refuse('its braces leave nothing')
  return [...new Set(expanded)]
}

interface GlobReader {
  readonly glob: string
  at: number
}

/** Reads up to the end, or within braces up to a comma or the closing brace. */
function expandSequence(reader: GlobReader, inside: boolean): readonly string[] {
  let found: readonly string[] = ['']
  for (;;) {
    const letter = reader.glob.charAt(reader.at)
    if (letter === '' || letter === '}' || (inside && letter === ',')) return found
    reader.at += 1
    const next = letter === '{' ? expandBraces(reader) : [letter]
    found = found.flatMap((start) => next.map((end) => start + end))
    if (found.length > maxAlternatives) refuse(`its braces make more than ${String(maxAlternatives)} alternatives`)
  }
}

function expandBraces(reader: GlobReader): readonly string[] {
  if (reader.glob.charAt(reader.at - 2) === '$') refuse('"${" is not supported')
  const found: string[] = []
  for (let count = 1; ; count += 1) {
    found.push(...expandSequence(reader, true))
    const letter = reader.glob.charAt(reader.at)
    reader.at += 1
    if (letter === '') refuse('a "{" lacks its "}"')
    if (letter === '}' && count === 1)
      refuse('braces without a comma, also sequences such as {1..3}, are not supported')
    if (letter === '}') return found
  }
}

/** The parts between slashes; minimatch takes several slashes for one, and `**` after `**` for one. */
function partsOf(glob: string): readonly string[] {
  const parts = glob.split(/\/+/)
  return parts.filter((part, index) => part !== '**' || parts[index - 1] !== '**')
}

function alternative(glob: string): RegexNode {
  if (/[?*+@!]\(/.test(glob)) refuse('extended globs such as @(a|b) are not supported; write {a,b}')
  const sections: string[][] = [[]]
  for (const part of partsOf(glob)) {
    if (part === '.' || part === '..') refuse('the segments "." and ".." are not supported')
    if (part === '**') sections.push([])
    else sections.at(-1)?.push(part)
  }
  return sections.length === 1 ? sequence(joined(sections[0] ?? []), slashes) : withGlobstars(sections)
}

/** Sections are what stands before, between and after `**`. */
function withGlobstars(sections: readonly (readonly string[])[]): RegexNode {
  checkSections(sections)
  const [head = [], ...others] = sections
  const bodies = others.slice(0, -1)
  const tail = others.at(-1) ?? []
  return sequence(
    head.length > 0 ? sequence(joined(head), slash) : slashes,
    segments,
    ...bodies.flatMap((body) => [joined(body), slash, segments]),
    tail.length > 0 ? sequence(joined(tail), slashes) : repeat(segment, 0, 1),
  )
}

/** Where minimatch looks for several sections at once, it does not find all that there are. */
function checkSections(sections: readonly (readonly string[])[]): void {
  if (sections.length > 2 && sections.flat().some((part) => part.startsWith('.'))) {
    refuse('a segment that begins with "." is not supported beside several "**"')
  }
  const lengths = new Set(sections.slice(1, -1).map(({ length }) => length))
  if (lengths.size > 1) refuse('what stands between three or more "**" must have the same number of segments each')
}

const dot = 46
const slashCode = 47
const inSegment: readonly Range[] = [
  [0, slashCode - 1],
  [slashCode + 1, 0xffff],
]
const segmentStart: readonly Range[] = [
  [0, dot - 1],
  [slashCode + 1, 0xffff],
]
const dots: readonly Range[] = [[dot, dot]]
const slash = repeat(unit([[slashCode, slashCode]]), 1)
const slashes = repeat(unit([[slashCode, slashCode]]), 0)
/** What `*` and `**` cover: a segment that is not empty and does not begin with a dot. */
const anything = repeat(unit(inSegment), 0)
const segment = sequence(unit(segmentStart), anything)
const segments = repeat(sequence(segment, slash), 0)

function joined(parts: readonly string[]): RegexNode {
  return sequence(...parts.flatMap((part, index) => (index === 0 ? [partNode(part)] : [slash, partNode(part)])))
}

function partNode(part: string): RegexNode {
  const tokens = checked(part)
  const [first, ...rest] = tokens
  if (isDotStar(tokens)) return sequence(unit(dots), choice([segment, sequence(unit(dots), unit(inSegment), anything)]))
  if (first === undefined || !starts(tokens, 'wildcard')) return tokensNode(tokens)
  // A wildcard at the beginning does not stand for a dot.
  if (first.kind !== 'star') return sequence(unit(without(rangesOf(first), dot)), tokensNode(rest))
  const some = sequence(segment, tokensNode(rest))
  const [next, ...more] = rest
  if (next === undefined) return some
  return choice([some, sequence(unit(without(rangesOf(next), dot)), tokensNode(more))])
}

function checked(part: string): readonly GlobToken[] {
  const tokens = parseGlobPart(part)
  return typeof tokens === 'string' ? refuse(tokens) : tokens
}

function tokensNode(tokens: readonly GlobToken[]): RegexNode {
  return sequence(...tokens.map((token) => (token.kind === 'star' ? anything : unit(rangesOf(token)))))
}

function rangesOf(token: GlobToken): readonly Range[] {
  return token.kind === 'star' ? inSegment : without(token.ranges, slashCode)
}

function without(ranges: readonly Range[], code: number): readonly Range[] {
  return ranges
    .flatMap(([from, to]): Range[] => [
      [from, Math.min(to, code - 1)],
      [Math.max(from, code + 1), to],
    ])
    .filter(([from, to]) => from <= to)
}

function unit(ranges: readonly Range[]): RegexNode {
  return { kind: 'unit', ranges }
}

function sequence(...nodes: readonly RegexNode[]): RegexNode {
  return { kind: 'sequence', nodes }
}

function choice(nodes: readonly RegexNode[]): RegexNode {
  return { kind: 'choice', nodes }
}

function repeat(node: RegexNode, min: number, max = Infinity): RegexNode {
  return { kind: 'repeat', node, min, max, lazy: false }
}
