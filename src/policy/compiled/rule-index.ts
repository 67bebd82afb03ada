import type { Pace } from '../pace.ts'
import type { Columns, Values } from './conditions.ts'
import type { Ask, AskRoles, Dimension } from './dimensions.ts'
import { addPattern, newTrieNode, visitMatching, type Target, type TrieNode } from './segment-trie.ts'

/** Rules are named by their place in the order in which the effect sees them. */
export type Place = number

/**
 * What is left of the rules after some dimensions have been asked: places, in rising order, or a node that asks the next
 * dimension. A single place stands for itself, since most policies have one rule for most leaves.
 */
type Node = Place | Place[] | ValueNode | RoleNode | PatternNode

interface ValueNode {
  readonly kind: 'value'
  readonly value: Ask
  readonly children: Map<string, Node>
}

interface RoleNode {
  readonly kind: 'role'
  readonly roles: AskRoles
  readonly children: Map<number, Node>
}

interface PatternNode {
  readonly kind: 'pattern'
  readonly value: Ask
  readonly trie: TrieNode<Node>
}

/** Up to this many rules are asked one by one: another lookup would cost as much. */
const fewRules = 4

interface Task {
  readonly places: Place[]
  readonly dimensions: readonly Dimension[]
  readonly put: (node: Node) => void
}

/** Patterns first: they tell most apart, and a request meets few of them. Roles last: a subject may have many. */
const order: Record<Dimension['kind'], number> = { pattern: 0, value: 1, role: 2 }

/** Narrows rules down to those that can match a request, one dimension after the other. */
export class RuleIndex {
  #root: Node
  /** The most rules that no dimension could tell apart. */
  largestLeaf = 0

  private constructor(places: Place[]) {
    this.#root = places
  }

  /** Builds the index of the rules at `places`, which are in rising order. */
  static async build(
    places: Place[],
    dimensions: readonly Dimension[],
    columnsAt: (place: Place) => Columns,
    pace: Pace,
  ): Promise<RuleIndex> {
    const index = new RuleIndex(places)
    const sorted = [...dimensions].sort((a, b) => order[a.kind] - order[b.kind])
    const tasks: Task[] = [{ places, dimensions: sorted, put: (node) => (index.#root = node) }]
    for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) {
      await split(task, columnsAt, index, tasks, pace)
    }
    return index
  }

  /** Calls back with every group of rules that can match, in no order; a rule may be in several. */
  find(values: Values, one: (place: Place) => void, several: (places: readonly Place[]) => void): void {
    visit(this.#root, values, one, several)
  }
}

async function split(
  task: Task,
  columnsAt: (place: Place) => Columns,
  index: RuleIndex,
  tasks: Task[],
  pace: Pace,
): Promise<void> {
  const { places, dimensions, put } = task
  const [dimension, ...rest] = dimensions
  if (dimension === undefined || places.length <= fewRules) {
    index.largestLeaf = Math.max(index.largestLeaf, places.length)
    put(leaf(places))
    return
  }
  const later = (group: Place[], putGroup: (node: Node) => void): void => {
    if (group.length > fewRules) tasks.push({ places: group, dimensions: rest, put: putGroup })
    else putGroup(leaf(group))
  }
  if (dimension.kind === 'pattern') put(await splitByPattern(dimension, places, columnsAt, later, pace))
  else put(await splitByKey(dimension, places, columnsAt, later, pace))
}

type Later = (group: Place[], put: (node: Node) => void) => void

async function splitByPattern(
  dimension: Extract<Dimension, { kind: 'pattern' }>,
  places: readonly Place[],
  columnsAt: (place: Place) => Columns,
  later: Later,
  pace: Pace,
): Promise<PatternNode> {
  const trie = newTrieNode<Node>()
  // Until they are split further, the places stand as they are where the pattern leads.
  const targets: Target<Node>[] = []
  for (const place of places) {
    if (pace.due) await pace.rest()
    const target = addPattern(trie, dimension.key(columnsAt(place)))
    const group = target.node[target.kind]
    if (Array.isArray(group)) group.push(place)
    else {
      target.node[target.kind] = [place]
      targets.push(target)
    }
  }
  for (const { node, kind } of targets) {
    if (pace.due) await pace.rest()
    const group = node[kind]
    if (Array.isArray(group)) later(group, (made) => (node[kind] = made))
  }
  return { kind: 'pattern', value: dimension.value, trie }
}

async function splitByKey(
  dimension: Exclude<Dimension, { kind: 'pattern' }>,
  places: readonly Place[],
  columnsAt: (place: Place) => Columns,
  later: Later,
  pace: Pace,
): Promise<ValueNode | RoleNode> {
  const groups = new Map<string | number, Place[]>()
  for (const place of places) {
    if (pace.due) await pace.rest()
    addTo<string | number>(groups, dimension.key(columnsAt(place)), place)
  }
  const children = new Map<string | number, Node>()
  for (const [key, group] of groups) {
    if (pace.due) await pace.rest()
    later(group, (node) => children.set(key, node))
  }
  return dimension.kind === 'value'
    ? { kind: 'value', value: dimension.value, children: children as Map<string, Node> }
    : { kind: 'role', roles: dimension.roles, children: children as Map<number, Node> }
}

function addTo<K>(groups: Map<K, Place[]>, key: K, place: Place): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, [place])
  else group.push(place)
}

function leaf(places: Place[]): Node {
  const [only] = places
  return places.length === 1 && only !== undefined ? only : places
}

function visit(
  node: Node,
  values: Values,
  one: (place: Place) => void,
  several: (places: readonly Place[]) => void,
): void {
  if (typeof node === 'number') one(node)
  else if (Array.isArray(node)) several(node)
  else if (node.kind === 'value') {
    const value = node.value(values)
    const child = value === undefined ? undefined : node.children.get(value)
    if (child !== undefined) visit(child, values, one, several)
  } else if (node.kind === 'role') visitRoles(node, values, one, several)
  else {
    const value = node.value(values)
    if (value !== undefined)
      visitMatching(node.trie, value, (child) => {
        visit(child, values, one, several)
      })
  }
}

function visitRoles(
  node: RoleNode,
  values: Values,
  one: (place: Place) => void,
  several: (places: readonly Place[]) => void,
): void {
  const numbers = node.roles(values)
  for (const number of numbers) {
    const child = node.children.get(number)
    if (child !== undefined) visit(child, values, one, several)
  }
}
