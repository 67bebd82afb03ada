import { RE2JS } from 're2js'
import type { Parsed } from '../../identity/parsed.ts'
import { messageOf } from '../../errors.ts'
import type { Range } from './code-units.ts'
import { shown } from '../problem.ts'
import { stepsOf, type RegexNode } from './regex-syntax.ts'

/** Programs of one generation; there are two. One program takes some 8 KB, and much more where values keep its states changing. */
const generationSize = 1_024

/**
 * Steps of an expression times the length of a value. Time is linear in both: beyond this one match could take tens of
 * milliseconds, and whoever sends requests chooses the values.
 */
export const maxRegexWork = 100_000

/** A way to write regular expressions, such as that of `keyMatch2`. */
export type RegexReader = (pattern: string) => Parsed<RegexNode>

/**
 * Regular expressions that are matched without backtracking, in time linear in the value's length. They are compiled when
 * they are first asked for, and those that were not asked for longest are forgotten.
 */
export class RegexDialect {
  readonly read: RegexReader
  #young = new Map<string, Program>()
  #old = new Map<string, Program>()

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

  /**
   * Whether the expression is found anywhere in the value. The pattern MUST be one without a problem. Throws where the value is
   * too long for the expression (`maxRegexWork`): an answer might let a request through by a rule that denies.
   */
  test(pattern: string, value: string): boolean {
    return this.#bounded(pattern, value).test(shifted(value))
  }

  /** What the groups hold, or undefined where the expression is not found. The same holds of the pattern, and of long values. */
  groups(pattern: string, value: string): readonly unknown[] | undefined {
    const matcher = this.#bounded(pattern, value).matcher(shifted(value))
    if (!matcher.find()) return undefined
    return Array.from({ length: matcher.groupCount() }, (_, index) => matcher.group(index + 1))
  }

  #bounded(pattern: string, value: string): RE2JS {
    const { regex, longest } = this.#program(pattern)
    if (value.length <= longest) return regex
    throw new Error(
      `a value of ${String(value.length)} characters is too long for ${shown(pattern)}; at most ${String(longest)} are matched`,
    )
  }

  #program(pattern: string): Program {
    const young = this.#young.get(pattern)
    if (young !== undefined) return young
    const program = this.#old.get(pattern) ?? this.#compiled(pattern)
    if (this.#young.size >= generationSize) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(pattern, program)
    return program
  }

  #compiled(pattern: string): Program {
    const parsed = this.read(pattern)
    if (!parsed.ok) throw new Error(`a pattern was used that was not checked: ${parsed.problem}`)
    return { regex: compile(parsed.value), longest: longestValue(stepsOf(parsed.value)) }
  }
}

interface Program {
  readonly regex: RE2JS
  /** Of values, in characters. */
  readonly longest: number
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
