import { policyFunction } from '../patterns/functions.ts'
import type { Segment } from '../patterns/segments.ts'

/** Functions whose patterns are compared: those that say all about their values by segments or by a beginning. */
const compared = new Set(['pathMatch', 'spiffeMatch', 'keyMatch'])

export function isCompared(functionName: string): boolean {
  return compared.has(functionName)
}

/** Whether one pattern covers every value that another covers. Sound: where it cannot be told, false. */
export function patternCovers(functionName: string, wide: string, narrow: string): boolean {
  if (wide === narrow) return true
  if (functionName === 'keyMatch') return keyCovers(wide, narrow)
  return isCompared(functionName) && segmentsCover(segmentsOf(functionName, wide), segmentsOf(functionName, narrow))
}

export function segmentsOf(functionName: string, pattern: string): readonly Segment[] {
  return policyFunction(functionName)?.prefix(pattern) ?? []
}

/** A pattern of keyMatch is a beginning, up to its first star. */
function keyCovers(wide: string, narrow: string): boolean {
  const star = wide.indexOf('*')
  if (star === -1) return false
  const [start] = narrow.split('*', 1)
  return (start ?? '').startsWith(wide.slice(0, star))
}

function segmentsCover(wide: readonly Segment[], narrow: readonly Segment[]): boolean {
  const open = wide.at(-1)?.kind === 'rest'
  const fixed = open ? wide.slice(0, -1) : wide
  const others = narrow.at(-1)?.kind === 'rest' ? narrow.slice(0, -1) : narrow
  if (open ? others.length < fixed.length : narrow.length !== wide.length || others.length < narrow.length) return false
  return fixed.every((segment, index) => {
    const other = others[index]
    if (segment.kind === 'text') return other?.kind === 'text' && other.text === segment.text
    return other?.kind === 'one' || (other?.kind === 'text' && other.text !== '')
  })
}

interface Node {
  readonly texts: Map<string, Node>
  one: Node | undefined
  /** Patterns that end here, or with the rest. */
  readonly patterns: string[]
}

function emptyNode(): Node {
  return { texts: new Map(), one: undefined, patterns: [] }
}

/** Nodes that are looked at for one pattern, and patterns that are found. */
const maxSteps = 256
const maxFound = 16

/** Patterns by their segments: finds those that may cover another one without looking at all. */
export class PatternTrie {
  readonly #root = emptyNode()
  readonly #functionName: string

  constructor(functionName: string) {
    this.#functionName = functionName
  }

  add(pattern: string): void {
    let node = this.#root
    for (const segment of segmentsOf(this.#functionName, pattern)) {
      if (segment.kind === 'rest') break
      node = segment.kind === 'one' ? (node.one ??= emptyNode()) : textNode(node, segment.text)
    }
    node.patterns.push(pattern)
  }

  /** Patterns that cover the given one, some at least. */
  covering(pattern: string): readonly string[] {
    const segments = segmentsOf(this.#functionName, pattern)
    const found: string[] = []
    let nodes = [this.#root]
    let steps = 0
    for (let depth = 0; nodes.length > 0 && found.length < maxFound; depth += 1) {
      for (const node of nodes) found.push(...this.#covering(node, pattern))
      const segment = segments[depth]
      steps += nodes.length
      if (segment === undefined || segment.kind === 'rest' || steps > maxSteps) break
      const text = segment.kind === 'text' ? segment.text : undefined
      nodes = nodes
        .flatMap(({ texts, one }) => [text === undefined ? undefined : texts.get(text), one])
        .filter((node) => node !== undefined)
    }
    return found.slice(0, maxFound)
  }

  #covering({ patterns }: Node, pattern: string): string[] {
    return patterns.slice(0, maxFound).filter((wide) => patternCovers(this.#functionName, wide, pattern))
  }
}

function textNode({ texts }: Node, text: string): Node {
  const found = texts.get(text) ?? emptyNode()
  texts.set(text, found)
  return found
}
