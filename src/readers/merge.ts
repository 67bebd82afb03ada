/** Items in rising order of a key, opened only when they are needed. */
export interface Sorted<Item, Key> {
  /** No key is below it. */
  readonly from: Key
  open(): AsyncGenerator<Item>
}

interface Head<Item, Key> {
  readonly items: AsyncGenerator<Item>
  readonly rank: number
  item: Item
  key: Key
}

/**
 * Merges sources into one rising order, holding one item of each source that has begun. Of equal keys the earlier source
 * comes first. A source that is not in order delays its own items only.
 */
export async function* mergeSorted<Item, Key extends number | string>(
  sources: readonly Sorted<Item, Key>[],
  keyOf: (item: Item) => Key,
): AsyncGenerator<Item> {
  const waiting = sources
    .map((source, rank) => ({ source, rank }))
    .sort((a, b) => compare(a.source.from, b.source.from))
  const heads = new Set<Head<Item, Key>>()
  try {
    for (;;) {
      let lowest = lowestOf(heads)
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        if (lowest !== undefined && lowest.key < next.source.from) break
        waiting.shift()
        const head = await begin(next.source.open(), next.rank, keyOf)
        if (head !== undefined) heads.add(head)
        lowest = lowestOf(heads)
      }
      if (lowest === undefined) return
      yield lowest.item
      if (!(await advance(lowest, keyOf))) heads.delete(lowest)
    }
  } finally {
    for (const head of heads) await head.items.return(undefined)
  }
}

async function begin<Item, Key>(
  items: AsyncGenerator<Item>,
  rank: number,
  keyOf: (item: Item) => Key,
): Promise<Head<Item, Key> | undefined> {
  const first = await items.next()
  return first.done === true ? undefined : { items, rank, item: first.value, key: keyOf(first.value) }
}

async function advance<Item, Key>(head: Head<Item, Key>, keyOf: (item: Item) => Key): Promise<boolean> {
  const next = await head.items.next()
  if (next.done === true) return false
  head.item = next.value
  head.key = keyOf(next.value)
  return true
}

function lowestOf<Item, Key extends number | string>(heads: Iterable<Head<Item, Key>>): Head<Item, Key> | undefined {
  let lowest: Head<Item, Key> | undefined
  for (const head of heads) {
    const order = lowest === undefined ? -1 : compare(head.key, lowest.key) || head.rank - lowest.rank
    if (order < 0) lowest = head
  }
  return lowest
}

function compare<Key extends number | string>(a: Key, b: Key): number {
  return a < b ? -1 : a > b ? 1 : 0
}
