import { RE2JS } from 're2js'
import type { Parsed } from '../../identity/parsed.ts'
import { messageOf } from '../../errors.ts'
import type { Range } from './code-units.ts'
import { shown } from '../problem.ts'
import { stepsOf, type RegexNode } from './regex-syntax.ts'

/**
 * Steps of an expression times the length of a value. Time is linear in both: beyond this one match could take tens of
 * milliseconds, and whoever sends requests chooses the values.
 */
export const maxRegexWork = 100_000

/** A way to write regular expressions, such as that of `keyMatch2`. */
export type RegexReader = (pattern: string) => Parsed<RegexNode>

/** Regular expressions in one way of writing them, matched without backtracking, in time linear in the value's length. */
export class RegexDialect {
  readonly read: RegexReader

  constructor(read: RegexReader) {
    this.read = read
  }

  /** What is wrong with a pattern, if anything. */
  problem(pattern: string): string | undefined {
    const parsed = this.read(pattern)
    if (!parsed.ok) return parsed.problem
    try {
      compile(parsed.value)
      return undefined
    } catch (fault) {
      return messageOf(fault)
    }
  }

  /** The expression of a pattern, which MUST be one without a problem. It is compiled when it is first asked. */
  expression(pattern: string): Expression {
    return new Expression(pattern, this.read)
  }
}

/** One regular expression. Compiled it takes some 8 KB, and much more where values keep its states changing. */
export class Expression {
  readonly #pattern: string
  readonly #read: RegexReader
  #program: RE2JS | undefined
  /** Of values, in characters. */
  #longest = 0

  constructor(pattern: string, read: RegexReader) {
    this.#pattern = pattern
    this.#read = read
  }

  /**
   * Whether the expression is found anywhere in the value. Throws where the value is too long for it (`maxRegexWork`): an answer
   * might let a request through that a rule denies.
   */
  test(value: string): boolean {
    return this.#bounded(value).test(shifted(value))
  }

  /** What the groups hold, or undefined where the expression is not found. Throws as `test` does. */
  groups(value: string): readonly unknown[] | undefined {
    const matcher = this.#bounded(value).matcher(shifted(value))
    if (!matcher.find()) return undefined
    return Array.from({ length: matcher.groupCount() }, (_, index) => matcher.group(index + 1))
  }

  #bounded(value: string): RE2JS {
    const program = (this.#program ??= this.#compiled())
    if (value.length <= this.#longest) return program
    throw new Error(
      `a value of ${String(value.length)} characters is too long for ${shown(this.#pattern)}; at most ${String(this.#longest)} are matched`,
    )
  }

  #compiled(): RE2JS {
    const parsed = this.#read(this.#pattern)
    if (!parsed.ok) throw new Error(`a pattern was used that was not checked: ${parsed.problem}`)
    this.#longest = longestValue(stepsOf(parsed.value))
    return compile(parsed.value)
  }
}

/** The longest value that an expression of so many steps is asked about. */
export function longestValue(steps: number): number {
  return Math.floor(maxRegexWork / Math.max(1, steps))
}

function compile(node: RegexNode): RE2JS {
  return RE2JS.compile(re2Text(node))
}

/** Every class is written out in code units, so that nothing of RE2's own reading of classes or flags is left. */
function re2Text(node: RegexNode): string {
  switch (node.kind) {
    case 'unit':
      return `[${node.ranges.length === 0 ? '^\\x{0}-\\x{10FFFF}' : node.ranges.flatMap(shiftedRanges).map(rangeText).join('')}]`
    case 'start':
      return '\\A'
    case 'end':
      return '\\z'
    case 'word-edge':
      return '\\b'
    case 'no-word-edge':
      return '\\B'
    case 'sequence':
      return `(?:${node.nodes.map(re2Text).join('')})`
    case 'choice':
      return `(?:${node.nodes.map(re2Text).join('|')})`
    case 'group':
      return `(${re2Text(node.node)})`
    case 'repeat': {
      const most = Number.isFinite(node.max) ? String(node.max) : ''
      return `(?:${re2Text(node.node)}){${String(node.min)},${most}}${node.lazy ? '?' : ''}`
    }
  }
}

function rangeText([from, to]: Range): string {
  return `\\x{${from.toString(16)}}-\\x{${to.toString(16)}}`
}

const [firstSurrogate, lastSurrogate, shift] = [0xd800, 0xdfff, 0x100000]

/** The engine reads a surrogate pair as one character, JavaScript as two: so surrogates are put where none are. */
function shifted(value: string): string {
  if (!/[\ud800-\udfff]/.test(value)) return value
  return value.replace(/[\ud800-\udfff]/g, (half) => String.fromCodePoint(shift + half.charCodeAt(0)))
}

function shiftedRanges([from, to]: Range): readonly Range[] {
  const inside: Range = [Math.max(from, firstSurrogate) + shift, Math.min(to, lastSurrogate) + shift]
  const below: Range = [from, Math.min(to, firstSurrogate - 1)]
  const above: Range = [Math.max(from, lastSurrogate + 1), to]
  return [below, inside, above].filter(([low, high]) => low <= high)
}
