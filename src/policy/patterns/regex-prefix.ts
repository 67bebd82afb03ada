import { holds } from './code-units.ts'
import type { RegexNode } from './regex-syntax.ts'
import type { Segment } from './segments.ts'

const slash = 47

/**
 * What every value in which the expression is found begins with, part by part between slashes; a final `rest` stands for
 * whatever follows. Only what stands at the beginning of the expression, behind `^`, can be known.
 */
export function regexPrefix(node: RegexNode): readonly Segment[] {
  const [first, ...steps] = flat(node)
  return first?.kind === 'start' ? new PrefixReader().read(steps) : [{ kind: 'rest' }]
}

/** Whether the expression is found only in values that it covers from beginning to end. */
export function isAnchored(node: RegexNode): boolean {
  if (node.kind === 'choice') return node.nodes.every(isAnchored)
  const steps = flat(node)
  const [first, last] = [steps[0], steps.at(-1)]
  if (steps.length === 1 && first?.kind === 'choice') return isAnchored(first)
  return first?.kind === 'start' && last?.kind === 'end'
}

/** The steps one after the other; groups make no difference to what is matched. */
function flat(node: RegexNode): readonly RegexNode[] {
  if (node.kind === 'group') return flat(node.node)
  return node.kind === 'sequence' ? node.nodes.flatMap(flat) : [node]
}

class PrefixReader {
  readonly #segments: Segment[] = []
  /** The segment that is being read: plain text so far, or any text. */
  #open: Exclude<Segment, { kind: 'rest' }> = { kind: 'text', text: '' }

  read(steps: readonly RegexNode[]): readonly Segment[] {
    for (const step of steps) {
      if (step.kind === 'end') return [...this.#segments, this.#open]
      if (!this.#add(step)) break
    }
    return [...this.#segments, { kind: 'rest' }]
  }

  /** Whether it is still known where the segments end. */
  #add(step: RegexNode): boolean {
    const code = codeOf(step)
    if (code === slash) {
      this.#segments.push(this.#open)
      this.#open = { kind: 'text', text: '' }
      return true
    }
    if (code !== undefined && this.#open.kind === 'text') {
      this.#open = { kind: 'text', text: this.#open.text + String.fromCharCode(code) }
      return true
    }
    const within = isWithinSegment(step) && (this.#open.kind === 'one' || this.#open.text !== '' || isSome(step))
    if (within) this.#open = { kind: 'one' }
    return within
  }
}

function codeOf(node: RegexNode): number | undefined {
  if (node.kind !== 'unit') return undefined
  const [first, ...more] = node.ranges
  return first !== undefined && more.length === 0 && first[0] === first[1] ? first[0] : undefined
}

/** Whether a step takes text without a slash, and so stays in its segment. */
function isWithinSegment(node: RegexNode): boolean {
  if (node.kind === 'unit') return !holds(node.ranges, slash)
  if (node.kind === 'repeat' || node.kind === 'group') return isWithinSegment(node.node)
  return (node.kind === 'sequence' || node.kind === 'choice') && node.nodes.every(isWithinSegment)
}

/** Whether a step takes at least one character. */
function isSome(node: RegexNode): boolean {
  if (node.kind === 'repeat') return node.min > 0 && isSome(node.node)
  if (node.kind === 'group') return isSome(node.node)
  if (node.kind === 'choice') return node.nodes.every(isSome)
  return node.kind === 'sequence' ? node.nodes.some(isSome) : node.kind === 'unit'
}
