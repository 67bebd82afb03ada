import type { Segment } from '../patterns/segments.ts'

/** Where the values of patterns stand: they are put there after the trie has been built. */
export interface Slot<T> {
  value: T | undefined
}

/** A node of a trie over the segments of patterns. Most nodes have one child, which then needs no map. */
export interface TrieNode<T> {
  key: string | undefined
  child: TrieNode<T> | undefined
  children: Map<string, TrieNode<T>> | undefined
  /** The child for any one segment that is not empty. */
  one: TrieNode<T> | undefined
  /** Of patterns that end here. */
  end: Slot<T> | undefined
  /** Of patterns that match whatever follows. */
  rest: Slot<T> | undefined
}

export function newTrieNode<T>(): TrieNode<T> {
  return { key: undefined, child: undefined, children: undefined, one: undefined, end: undefined, rest: undefined }
}

/** What stands deeper in a pattern is not told apart, so that no pattern makes a lookup deep. */
const maxDepth = 64

/** Adds a pattern; equal patterns have the same slot. */
export function addPattern<T>(root: TrieNode<T>, pattern: readonly Segment[]): Slot<T> {
  let node = root
  for (const [depth, segment] of pattern.entries()) {
    if (segment.kind === 'rest' || depth === maxDepth) return (node.rest ??= { value: undefined })
    node = segment.kind === 'one' ? (node.one ??= newTrieNode()) : textChild(node, segment.text)
  }
  return (node.end ??= { value: undefined })
}

function textChild<T>(node: TrieNode<T>, text: string): TrieNode<T> {
  if (node.children === undefined) {
    if (node.child === undefined) {
      node.key = text
      return (node.child = newTrieNode())
    }
    if (node.key === text) return node.child
    node.children = new Map([[node.key ?? '', node.child]])
    node.child = undefined
  }
  const found = node.children.get(text)
  if (found !== undefined) return found
  const made = newTrieNode<T>()
  node.children.set(text, made)
  return made
}

/** Calls back with what stands in the slot of every pattern that covers a text, cut at its slashes. */
export function visitMatching<T>(root: TrieNode<T>, text: string, found: (value: T) => void): void {
  visitFrom(root, text, 0, found)
}

/** `at` is where the next segment begins, -1 where there is none. */
function visitFrom<T>(node: TrieNode<T>, text: string, at: number, found: (value: T) => void): void {
  if (node.rest?.value !== undefined) found(node.rest.value)
  if (at === -1) {
    if (node.end?.value !== undefined) found(node.end.value)
    return
  }
  if (node.child === undefined && node.children === undefined && node.one === undefined) return
  const slash = text.indexOf('/', at)
  const end = slash === -1 ? text.length : slash
  const next = slash === -1 ? -1 : slash + 1
  const child = childFor(node, text, at, end)
  if (child !== undefined) visitFrom(child, text, next, found)
  if (node.one !== undefined && end > at) visitFrom(node.one, text, next, found)
}

function childFor<T>(node: TrieNode<T>, text: string, at: number, end: number): TrieNode<T> | undefined {
  if (node.children !== undefined) return node.children.get(text.slice(at, end))
  if (node.child === undefined || node.key?.length !== end - at) return undefined
  return text.startsWith(node.key, at) ? node.child : undefined
}
