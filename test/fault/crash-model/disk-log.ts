import { basename, dirname } from 'node:path'
import type { Call } from './trace.ts'

/** What a file system does to a file or folder; `node` numbers them, so that a name may come to mean another one. */
export type Change =
  | { readonly kind: 'write'; readonly node: number; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'size'; readonly node: number; readonly size: number }
  /** Names that get a node, or lose theirs (null): all of them in one step. */
  | { readonly kind: 'names'; readonly names: readonly NameChange[] }
  | { readonly kind: 'sync'; readonly node: number }

export interface NameChange {
  readonly folder: number
  readonly name: string
  readonly node: number | null
}

/** A change with the time in which it happened; one that syncs covers those that ended before it began. */
export type Operation = Change & { readonly start: number; readonly end: number }

/** What the process told its client: one line of the ledger. */
export interface Told {
  readonly at: number
  readonly line: string
}

/** All that happened to the disk beneath a folder, in the order in which it was begun. */
export interface DiskLog {
  readonly operations: readonly Operation[]
  readonly told: readonly Told[]
  /** Nodes that are folders; 0 is the folder itself. */
  readonly folders: ReadonlySet<number>
}

interface OpenFile {
  readonly node: number
  readonly appends: boolean
  offset: number
}

const writes = new Set(['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2'])
/** SQLite's index of the WAL is shared memory: it is never synced, and made anew after a crash. */
const isShared = (path: string): boolean => path.endsWith('-shm')

/** Makes the log of what calls did beneath `root`; a call `exit` stands between two processes. `ledger` is a file beneath `root` that no crash reaches. */
export function diskLogOf(calls: readonly Call[], root: string, ledger: string): DiskLog {
  const reading = new Reading(root, ledger)
  for (const call of calls) reading.take(call)
  return reading
}

class Reading implements DiskLog {
  readonly operations: Operation[] = []
  readonly told: Told[] = []
  readonly folders = new Set([0])
  readonly #root: string
  readonly #ledger: string
  readonly #open = new Map<number, OpenFile | 'ledger'>()
  readonly #nodes: Map<string, number>
  readonly #sizes = new Map<number, number>()
  #next = 1
  #call!: Call

  constructor(root: string, ledger: string) {
    this.#root = root
    this.#ledger = ledger
    this.#nodes = new Map([[root, 0]])
  }

  take(call: Call): void {
    // A call that never returned may have had its effect, if it is one that says by itself what that is.
    if (call.result < 0 && !(call.end === Infinity && writes.has(call.name))) return
    this.#call = call
    if (writes.has(call.name)) this.#write(call)
    else if (call.name.startsWith('open') || call.name === 'creat') this.#opened(call)
    else this.#other(call)
  }

  #other({ name, args, result }: Call): void {
    const file = typeof args[0] === 'number' ? this.#open.get(args[0]) : undefined
    const [first = '', second = ''] = pathsOf(args)
    switch (name) {
      case 'exit':
        this.#open.clear()
        return
      case 'close':
        if (typeof args[0] === 'number') this.#open.delete(args[0])
        return
      case 'lseek':
        if (typeof file === 'object') file.offset = result
        return
      case 'fsync':
      case 'fdatasync':
        if (typeof file === 'object') this.#did({ kind: 'sync', node: file.node })
        return
      case 'ftruncate':
        if (typeof file === 'object') this.#resize(file.node, Number(args[1]))
        return
      case 'mkdir':
      case 'mkdirat':
        if (this.#concerns(first)) this.folders.add(this.#make(first))
        return
      case 'unlink':
      case 'unlinkat':
      case 'rmdir':
        if (this.#concerns(first)) this.#rename([[first, null]])
        return
      case 'link':
      case 'linkat':
        if (this.#concerns(second)) this.#rename([[second, this.#nodes.get(first) ?? null]])
        return
      case 'rename':
      case 'renameat':
      case 'renameat2':
        if (this.#concerns(first) || this.#concerns(second)) this.#moved(first, second)
        return
      case 'mmap':
        this.#mapped(args)
        return
      default:
        if (file !== undefined || [first, second].some((path) => this.#concerns(path))) {
          throw new Error(`the crash model does not know what ${name} does to a disk`)
        }
    }
  }

  #opened({ args, result }: Call): void {
    const [path = ''] = pathsOf(args)
    this.#open.delete(result)
    if (path === this.#ledger) this.#open.set(result, 'ledger')
    if (!this.#concerns(path)) return
    const flags = args.find((arg) => typeof arg === 'string' && arg.includes('O_')) as string
    const node = this.#nodes.get(path) ?? this.#make(path)
    if (flags.includes('O_TRUNC') && this.#size(node) > 0) this.#resize(node, 0)
    this.#open.set(result, { node, appends: flags.includes('O_APPEND'), offset: 0 })
  }

  #write({ name, args, result, start, end }: Call): void {
    const [descriptor, data, , at] = args
    const file = this.#open.get(descriptor as number)
    if (file === undefined || !Buffer.isBuffer(data)) return
    if (file === 'ledger') {
      for (const line of data.toString().split('\n').filter(Boolean)) this.told.push({ at: start, line })
      return
    }
    const bytes = end === Infinity ? data : data.subarray(0, result)
    const placed = name.startsWith('pwrite')
    const offset = placed ? Number(at) : file.appends ? this.#size(file.node) : file.offset
    if (!placed) file.offset = offset + bytes.length
    this.#sizes.set(file.node, Math.max(this.#size(file.node), offset + bytes.length))
    this.#did({ kind: 'write', node: file.node, offset, bytes })
  }

  #moved(from: string, to: string): void {
    const node = this.#nodes.get(from)
    if (node === undefined) throw new Error(`${from} was renamed, but nothing made it`)
    if (this.folders.has(node)) throw new Error(`the crash model does not know folders that are renamed: ${from}`)
    this.#rename([
      [from, null],
      [to, node],
    ])
  }

  /** A file that is written through memory leaves no calls to record. */
  #mapped(args: Call['args']): void {
    const file = this.#open.get(Number(args[4]))
    const [, , protection = '', flags = ''] = args.map(String)
    if (typeof file === 'object' && protection.includes('WRITE') && flags.includes('MAP_SHARED')) {
      throw new Error('a file of the spool is written through memory, which the crash model cannot see')
    }
  }

  #make(path: string): number {
    const node = this.#next
    this.#next += 1
    this.#rename([[path, node]])
    return node
  }

  #rename(names: readonly (readonly [string, number | null])[]): void {
    const changes = names.map(([path, node]) => {
      const folder = this.#nodes.get(dirname(path))
      if (folder === undefined) throw new Error(`${path} lies in a folder that nothing made`)
      return { folder, name: basename(path), node }
    })
    for (const [path, node] of names) {
      if (node === null) this.#nodes.delete(path)
      else this.#nodes.set(path, node)
    }
    this.#did({ kind: 'names', names: changes })
  }

  #resize(node: number, size: number): void {
    this.#sizes.set(node, size)
    this.#did({ kind: 'size', node, size })
  }

  #size(node: number): number {
    return this.#sizes.get(node) ?? 0
  }

  #concerns(path: string): boolean {
    return (path === this.#root || path.startsWith(`${this.#root}/`)) && path !== this.#ledger && !isShared(path)
  }

  #did(change: Change): void {
    this.operations.push({ ...change, start: this.#call.start, end: this.#call.end })
  }
}

function pathsOf(args: Call['args']): string[] {
  return args.filter((arg) => Buffer.isBuffer(arg)).map(String)
}
