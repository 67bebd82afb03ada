import type { Parsed } from '../../identity/parsed.ts'
import { messageOf } from '../../errors.ts'
import { classes, complement, type Range } from './code-units.ts'

/** A JavaScript regular expression without flags, read over UTF-16 code units as JavaScript itself does. */
export type RegexNode =
  | { readonly kind: 'unit'; readonly ranges: readonly Range[] }
  | { readonly kind: 'start' | 'end' | 'word-edge' | 'no-word-edge' }
  | { readonly kind: 'sequence' | 'choice'; readonly nodes: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly node: RegexNode; readonly min: number; readonly max: number; lazy: boolean }
  | { readonly kind: 'group'; readonly node: RegexNode }

/** Longest regular expression, in characters. */
export const maxRegexLength = 1_000

/** Most steps of a regular expression once its repetitions are written out: `a{3}` has three. */
export const maxRegexSteps = 1_000

/**
 * Reads a regular expression as `new RegExp(source)` does. What JavaScript refuses is refused, and so is, by name, what
 * cannot be matched in linear time (lookaround, backreferences) or is larger than the limits.
 */
export function parseRegex(source: string): Parsed<RegexNode> {
  if (source.length > maxRegexLength) {
    return problem(`it has ${String(source.length)} characters; at most ${String(maxRegexLength)} are allowed`)
  }
  try {
    new RegExp(source)
    return withinLimit(new RegexParser(source).choice())
  } catch (fault) {
    return problem(messageOf(fault))
  }
}

/** Refuses what is too large once its repetitions are written out. */
export function withinLimit(node: RegexNode): Parsed<RegexNode> {
  const steps = stepsOf(node)
  if (steps <= maxRegexSteps) return { ok: true, value: node }
  return problem(`its repetitions make more than ${String(maxRegexSteps)} steps`)
}

/** Steps of the regular expression with its repetitions written out. */
export function stepsOf(node: RegexNode): number {
  if (node.kind === 'sequence' || node.kind === 'choice') {
    return node.nodes.reduce((sum, part) => sum + stepsOf(part), 1)
  }
  if (node.kind === 'group') return stepsOf(node.node)
  if (node.kind !== 'repeat') return 1
  return stepsOf(node.node) * Math.max(1, Number.isFinite(node.max) ? node.max : node.min)
}

function problem(text: string): { ok: false; problem: string } {
  return { ok: false, problem: text }
}

const control: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, v: 11, f: 12 }

/** Reads what `new RegExp` has accepted already, so that only the meaning is left to find. */
class RegexParser {
  readonly #source: string
  #at = 0

  constructor(source: string) {
    this.#source = source
  }

  choice(): RegexNode {
    const nodes = [this.#sequence()]
    while (this.#take('|')) nodes.push(this.#sequence())
    return nodes.length === 1 && nodes[0] !== undefined ? nodes[0] : { kind: 'choice', nodes }
  }

  #sequence(): RegexNode {
    const nodes: RegexNode[] = []
    while (this.#at < this.#source.length && !this.#sees('|') && !this.#sees(')')) nodes.push(this.#term())
    return nodes.length === 1 && nodes[0] !== undefined ? nodes[0] : { kind: 'sequence', nodes }
  }

  #term(): RegexNode {
    if (this.#take('^')) return { kind: 'start' }
    if (this.#take('$')) return { kind: 'end' }
    if (this.#take('\\b')) return { kind: 'word-edge' }
    if (this.#take('\\B')) return { kind: 'no-word-edge' }
    return this.#quantified(this.#atom())
  }

  #quantified(node: RegexNode): RegexNode {
    const [text, sign, least = '', range, most = ''] =
      /^(?:([*+?])|\{(\d+)(,(\d*))?\})/.exec(this.#source.slice(this.#at)) ?? []
    if (text === undefined) return node
    this.#at += text.length
    const min = sign === undefined ? Number(least) : sign === '+' ? 1 : 0
    const open = sign === '*' || sign === '+' || (range !== undefined && most === '')
    const max = open ? Infinity : sign === '?' ? 1 : Number(range === undefined ? least : most)
    return { kind: 'repeat', node, min, max, lazy: this.#take('?') }
  }

  #atom(): RegexNode {
    if (this.#take('(')) return this.#group()
    if (this.#take('[')) return { kind: 'unit', ranges: this.#class() }
    if (this.#take('.')) return { kind: 'unit', ranges: classes.dot }
    if (this.#take('\\')) return { kind: 'unit', ranges: this.#escape() }
    return { kind: 'unit', ranges: single(this.#next()) }
  }

  #group(): RegexNode {
    const captures = !this.#take('?:')
    if (captures) this.#openGroup()
    const node = this.choice()
    this.#take(')')
    return captures ? { kind: 'group', node } : node
  }

  #openGroup(): void {
    const start = this.#source.slice(this.#at)
    if (/^\?<?[=!]/.test(start)) {
      const lookbehind = start.startsWith('?<')
      throw new Error(
        `${lookbehind ? 'lookbehind' : 'lookahead'} "(${start.slice(0, lookbehind ? 3 : 2)}" is not supported`,
      )
    }
    const name = /^\?<[^>]*>/.exec(start)?.[0]
    if (name === undefined && start.startsWith('?')) throw new Error('flags inside of "(?…:" are not supported')
    this.#at += name?.length ?? 0
  }

  /** The code units that an escape stands for, after its backslash. */
  #escape(): readonly Range[] {
    const letter = this.#next()
    const set = /[dDsSwW]/.test(letter) ? classes[letter as 'd' | 'D' | 's' | 'S' | 'w' | 'W'] : undefined
    return set ?? unit(this.#escaped(letter))
  }

  #escaped(letter: string): number {
    if (/[1-9k]/.test(letter)) throw new Error(`the backreference "\\${letter}" is not supported`)
    if (letter === '0') return this.#nul()
    if (letter === 'c') return this.#controlLetter()
    const digits = letter === 'x' ? 2 : letter === 'u' ? 4 : 0
    const hex = this.#source.slice(this.#at, this.#at + digits)
    if (digits > 0 && hex.length === digits && /^[0-9a-f]+$/i.test(hex)) {
      this.#at += digits
      return parseInt(hex, 16)
    }
    return (Object.hasOwn(control, letter) ? control[letter] : undefined) ?? letter.charCodeAt(0)
  }

  #nul(): number {
    if (/[0-9]/.test(this.#source.charAt(this.#at))) throw new Error('octal escapes such as "\\01" are not supported')
    return 0
  }

  #controlLetter(): number {
    const letter = this.#next()
    if (!/[A-Za-z]/.test(letter)) throw new Error('"\\c" without a letter is not supported')
    return letter.charCodeAt(0) % 32
  }

  #class(): readonly Range[] {
    const negated = this.#take('^')
    const ranges: Range[] = []
    while (!this.#take(']')) ranges.push(...this.#classRange())
    return negated ? complement(ranges) : ranges
  }

  #classRange(): readonly Range[] {
    const low = this.#classAtom()
    if (!this.#sees('-') || this.#source.charAt(this.#at + 1) === ']') return low
    this.#take('-')
    const high = this.#classAtom()
    const [from, to] = [codeOf(low), codeOf(high)]
    // With a class on either side, such as [\w-.], the hyphen stands for itself.
    return from === undefined || to === undefined ? [...low, ...unit(45), ...high] : [[from, to]]
  }

  #classAtom(): readonly Range[] {
    if (!this.#take('\\')) return single(this.#next())
    return this.#take('b') ? unit(8) : this.#escape()
  }

  #sees(text: string): boolean {
    return this.#source.startsWith(text, this.#at)
  }

  #take(text: string): boolean {
    if (!this.#sees(text)) return false
    this.#at += text.length
    return true
  }

  #next(): string {
    const letter = this.#source.charAt(this.#at)
    this.#at += 1
    if (letter === '') throw new Error('it ends too early')
    return letter
  }
}

function unit(code: number): readonly Range[] {
  return [[code, code]]
}

function single(letter: string): readonly Range[] {
  return unit(letter.charCodeAt(0))
}

function codeOf(ranges: readonly Range[]): number | undefined {
  const [first, ...more] = ranges
  return first !== undefined && more.length === 0 && first[0] === first[1] ? first[0] : undefined
}
