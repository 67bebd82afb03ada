import type { SyntaxNode } from './expression.ts'

/** From where to where a node of a syntax tree reaches in the matcher's text. */
export interface Reach {
  readonly start: number
  readonly end: number
}

export type Places = ReadonlyMap<unknown, Reach>

/** Everything in a matcher that becomes a leaf of its tree: texts, names (`r.sub` is one) and numbers. */
const tokens =
  /(["'])(?:\\.|(?!\1)[^\\])*\1|(?<=^|[()\s|&,=!><+\-*/])[rp]\d*\.[\w$\u0080-\uffff]+|[A-Za-z_$\u0080-\uffff][\w$\u0080-\uffff]*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/gs

/**
 * Where the nodes of a matcher's tree stand in its text. The parser does not say, but the leaves of the tree stand in the
 * order of the text. From the first leaf on that cannot be found, nodes have no place.
 */
export function placesOf(text: string, tree: unknown): Places {
  const places = new Map<unknown, Reach>()
  const found = text.matchAll(tokens)
  visit(tree, (leaf) => {
    for (const match of found) {
      const [token] = match
      if (isLeaf(leaf, token)) return { start: match.index, end: match.index + token.length }
      if (token !== 'in') break
    }
    return undefined
  })
  return places

  function visit(value: unknown, placeOf: (leaf: SyntaxNode) => Reach | undefined): Reach | undefined {
    const node = value as SyntaxNode
    const children = childrenOf(node)
    let reach = children === undefined ? placeOf(node) : undefined
    for (const child of children ?? []) {
      const inner = visit(child, placeOf)
      reach = inner && { start: reach?.start ?? inner.start, end: inner.end }
    }
    if (reach !== undefined) places.set(value, reach)
    return reach
  }
}

/** The nodes below a node, in the order of the text; undefined of a leaf. */
function childrenOf(node: SyntaxNode): readonly unknown[] | undefined {
  const children = childMembers[node.type]?.flatMap((member) => node[member])
  return children?.filter((child) => typeof child === 'object' && child !== null)
}

const childMembers: Readonly<Record<string, readonly string[]>> = {
  Compound: ['body'],
  LogicalExpression: ['left', 'right'],
  BinaryExpression: ['left', 'right'],
  UnaryExpression: ['argument'],
  ConditionalExpression: ['test', 'consequent', 'alternate'],
  CallExpression: ['callee', 'arguments'],
  MemberExpression: ['object', 'property'],
  ArrayExpression: ['elements'],
}

function isLeaf(leaf: SyntaxNode, token: string): boolean {
  if (leaf.type === 'Identifier') return token.replace(/^([rp]\d*)\./, '$1_') === leaf['name']
  if (leaf.type === 'ThisExpression') return token === 'this'
  const value = leaf['value']
  if (typeof value === 'string') return /^["']/.test(token)
  if (typeof value === 'number') return Number(token) === value
  return token === String(value)
}

/** Where an operator stands: behind its left operand, or before its only one. */
export function operatorAt(text: string, node: SyntaxNode, places: Places): number | undefined {
  const operator = String(node['operator'])
  const left = places.get(node['left'])
  const operand = places.get(node['argument'])
  const index = left ? text.indexOf(operator, left.end) : operand ? text.lastIndexOf(operator, operand.start - 1) : -1
  return index === -1 ? undefined : index
}
