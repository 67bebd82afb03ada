import type { Segment } from '../patterns/segments.ts'

/** A node of a trie over the segments of patterns. */
export interface TrieNode<T> {
  /** The segment that leads to the only child, where there is but one: most nodes need no map. */
  key: string | undefined
  next: TrieNode<T> | Map<string, TrieNode<T>> | undefined
  /** The child for any one segment that is not empty. */
  one: TrieNode<T> | undefined
  /** What stands for the patterns that end here. */
  end: T | undefined
  /** What stands for the patterns that match whatever follows. */
  rest: T | undefined
}

/** Where a pattern leads: to the end of a node, or to whatever follows it. */
export interface Target<T> {
  readonly node: TrieNode<T>
  readonly kind: 'end' | 'rest'
}

export function newTrieNode<T>(): TrieNode<T> {
  return { key: undefined, next: undefined, one: undefined, end: undefined, rest: undefined }
}

/** What stands deeper in a pattern is not told apart, so that no pattern makes a lookup deep. */
const maxDepth = 64

/** Makes the way that a pattern describes, and says where it leads; equal patterns lead to the same place. */
export function addPattern<T>(root: TrieNode<T>, pattern: readonly Segment[]): Target<T> {
  let node = root
  for (const [depth, segment] of pattern.entries()) {
    if (segment.kind === 'rest' || depth === maxDepth) return { node, kind: 'rest' }
    node = segment.kind === 'one' ? (node.one ??= newTrieNode()) : textChild(node, segment.text)
  }
  return { node, kind: 'end' }
}

function textChild<T>(node: TrieNode<T>, text: string): TrieNode<T> {
  if (node.next === undefined) {
    const only = newTrieNode<T>()
    node.key = text
    node.next = only
    return only
  }
  if (!(node.next instanceof Map)) {
    if (node.key === text) return node.next
    node.next = new Map([[node.key ?? '', node.next]])
    node.key = undefined
  }
  const found = node.next.get(text)
  if (found !== undefined) return found
  const made = newTrieNode<T>()
  node.next.set(text, made)
  return made
}

/** Calls back with what stands for every pattern that covers a text, cut at its slashes. */
export function visitMatching<T>(root: TrieNode<T>, text: string, found: (value: T) => void): void {
  visitFrom(root, text, 0, found)
}

/** `at` is where the next segment begins, -1 where there is none. */
function visitFrom<T>(node: TrieNode<T>, text: string, at: number, found: (value: T) => void): void {
  if (node.rest !== undefined) found(node.rest)
  if (at === -1) {
    if (node.end !== undefined) found(node.end)
    return
  }
  if (node.next === undefined && node.one === undefined) return
  const slash = text.indexOf('/', at)
  const end = slash === -1 ? text.length : slash
  const next = slash === -1 ? -1 : slash + 1
  const child = childFor(node, text, at, end)
  if (child !== undefined) visitFrom(child, text, next, found)
  if (node.one !== undefined && end > at) visitFrom(node.one, text, next, found)
}

function childFor<T>(node: TrieNode<T>, text: string, at: number, end: number): TrieNode<T> | undefined {
  const { key, next } = node
  if (next === undefined) return undefined
  if (next instanceof Map) return next.get(text.slice(at, end))
  return key?.length === end - at && text.startsWith(key, at) ? next : undefined
}
