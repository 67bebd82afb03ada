import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskLog, NameChange, Operation } from './disk-log.ts'

/** What becomes of operations that were not synced when the power went. */
export type Fate =
  /** None of them reached the disk. */
  | 'nothing'
  /** All of them did. */
  | 'everything'
  /** Each did or did not, whatever came before or after it. */
  | 'some'
  /** Those up to one of them did, and that one in part. */
  | 'up-to'
  /** Those from one of them on did: the later ones first. */
  | 'from'
  /** Each did, did not, or did in part. */
  | 'torn'

export const fates: readonly Fate[] = ['nothing', 'everything', 'some', 'up-to', 'from', 'torn']

export interface Crash {
  /** Between which calls it happened. */
  readonly at: number
  readonly fate: Fate
  /** Numbers from 0 to 1. */
  readonly random: () => number
}

/** Files and folders as a crash left them, by their paths from the root. A folder has no bytes. */
export type Disk = ReadonlyMap<string, Buffer | null>

const sectorBytes = 512
const pageBytes = 4096

/**
 * The disk that a crash may leave. What a completed sync covered is there: a file's bytes and size by a sync of the file, names by
 * a sync of the folder. Everything else happened or not, whole or in part, in any order; nothing that was not written changes.
 */
export function crashedDisk(log: DiskLog, crash: Crash): Disk {
  const begun = log.operations.filter(({ start }) => start < crash.at)
  const survived = survivors(begun, crash)
  const files = new Map<number, FileBytes>()
  const names = new Map<string, NameChange>()
  for (const operation of survived) {
    if (operation.kind === 'names') {
      for (const change of operation.names) names.set(keyOf(change), change)
    } else if (operation.kind !== 'sync') {
      const file = files.get(operation.node) ?? new FileBytes()
      files.set(operation.node, file)
      if (operation.kind === 'size') file.resize(operation.size)
      else file.write(operation.offset, operation.bytes)
    }
  }
  return treeOf([...names.values()], files, log.folders)
}

/** Writes it into a folder that is empty. */
export function writeDisk(disk: Disk, folder: string): void {
  for (const [path, bytes] of disk) {
    if (bytes === null) mkdirSync(join(folder, path), { mode: 0o700 })
    else writeFileSync(join(folder, path), bytes, { mode: 0o600 })
  }
}

/** Operations that take effect, in order; a torn write is several. */
function survivors(begun: readonly Operation[], crash: Crash): Operation[] {
  const durable = durableAmong(begun, crash.at)
  const pending = begun.filter((operation) => operation.kind !== 'sync' && !durable.has(operation))
  const cut = Math.floor(crash.random() * (pending.length + 1))
  const often = [0.1, 0.5, 0.9][Math.floor(crash.random() * 3)] ?? 0.5
  const without = new Set<string>()
  const kept = new Map<Operation, readonly Operation[]>()
  pending.forEach((operation, index) => {
    const parts = partsOf(operation, index, cut, often, crash)
    if (operation.kind !== 'names') {
      kept.set(operation, parts)
      return
    }
    // What a name means later builds on what it meant before.
    const keys = operation.names.map(keyOf)
    const happens = parts.length > 0 && !keys.some((key) => without.has(key))
    if (!happens) for (const key of keys) without.add(key)
    kept.set(operation, happens ? [operation] : [])
  })
  return begun.flatMap((operation) => (durable.has(operation) ? [operation] : (kept.get(operation) ?? [])))
}

function partsOf(
  operation: Operation,
  index: number,
  cut: number,
  often: number,
  { fate, random }: Crash,
): readonly Operation[] {
  switch (fate) {
    case 'nothing':
      return []
    case 'everything':
      return [operation]
    case 'some':
      return random() < often ? [operation] : []
    case 'up-to':
      return index < cut ? [operation] : index === cut ? torn(operation, random) : []
    case 'from':
      return index >= cut ? [operation] : []
    case 'torn': {
      const drawn = random()
      return drawn < 1 / 3 ? [] : drawn < 2 / 3 ? [operation] : torn(operation, random)
    }
  }
}

/** Parts of a write that reach the disk: up to a sector, a page or any byte; or any of its sectors; or its size without its bytes. */
function torn(operation: Operation, random: () => number): readonly Operation[] {
  if (operation.kind !== 'write') return random() < 0.5 ? [operation] : []
  const { offset, bytes } = operation
  const end = offset + bytes.length
  const part = (from: number, to: number): Operation => ({
    ...operation,
    offset: from,
    bytes: bytes.subarray(from - offset, to - offset),
  })
  const drawn = random()
  if (drawn < 0.1) return [part(end, end)]
  const unit = drawn < 0.4 ? sectorBytes : drawn < 0.6 ? pageBytes : drawn < 0.8 ? 1 : undefined
  if (unit === undefined) {
    const starts = [offset]
    for (let at = roundUp(offset + 1, sectorBytes); at < end; at += sectorBytes) starts.push(at)
    return starts.flatMap((from, index) => (random() < 0.5 ? [part(from, starts[index + 1] ?? end)] : []))
  }
  const to = Math.min(end, Math.floor((offset + random() * bytes.length) / unit) * unit)
  if (random() < 0.25) return to >= end ? [] : [part(Math.max(to, offset), end)]
  return to <= offset ? [] : [part(offset, to)]
}

/** What syncs that were done by then cover. */
function durableAmong(begun: readonly Operation[], at: number): ReadonlySet<Operation> {
  const lastSync = new Map<number, number>()
  for (const { kind, start, end, ...rest } of begun) {
    if (kind === 'sync' && end < at && 'node' in rest) lastSync.set(rest.node, start)
  }
  const covered = (node: number, end: number): boolean => end <= (lastSync.get(node) ?? -1)
  return new Set(
    begun.filter((operation) => {
      if (operation.kind !== 'names') return covered(operation.node, operation.end)
      return operation.names.every(({ folder }) => covered(folder, operation.end))
    }),
  )
}

function treeOf(
  names: readonly NameChange[],
  files: ReadonlyMap<number, FileBytes>,
  folders: ReadonlySet<number>,
): Disk {
  const disk = new Map<string, Buffer | null>()
  const list = (folder: number, path: string): void => {
    for (const { name, node } of names.filter((change) => change.folder === folder)) {
      if (node === null) continue
      const isFolder = folders.has(node)
      disk.set(join(path, name), isFolder ? null : (files.get(node)?.bytes() ?? Buffer.alloc(0)))
      if (isFolder) list(node, join(path, name))
    }
  }
  list(0, '')
  return disk
}

function keyOf({ folder, name }: NameChange): string {
  return `${folder}/${name}`
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit
}

class FileBytes {
  #bytes = Buffer.alloc(64 * 1024)
  #size = 0

  write(offset: number, bytes: Buffer): void {
    this.#reserve(offset + bytes.length)
    this.#bytes.set(bytes, offset)
    this.#size = Math.max(this.#size, offset + bytes.length)
  }

  /** What lies beyond the old size reads as zeros. */
  resize(size: number): void {
    this.#reserve(size)
    if (size < this.#size) this.#bytes.fill(0, size, this.#size)
    this.#size = size
  }

  bytes(): Buffer {
    return this.#bytes.subarray(0, this.#size)
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return
    const larger = Buffer.alloc(Math.max(size, 2 * this.#bytes.length))
    this.#bytes.copy(larger)
    this.#bytes = larger
  }
}
