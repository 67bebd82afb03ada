import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { hash } from 'node:crypto'
import type { KnownEnd } from '../../../src/spool/protocol.ts'
import { newFolder } from '../../spool/opening.ts'
import { filesIn, type Files, type Image } from './images.ts'

/** What becomes of a spool, and what its server is told by others at the next start. */
export interface Damaged {
  readonly kind: string
  readonly files: Files
  readonly known: readonly KnownEnd[]
}

type Damage = (image: Image, random: () => number) => { readonly files: Files; readonly known?: readonly KnownEnd[] }

const page = 4096
const [database, journal, head] = ['spool.sqlite', 'spool.sqlite-wal', 'head'] as const

const kinds: Readonly<Record<string, Damage>> = {
  'nothing at all': ({ files }) => ({ files }),
  'bytes of the database flipped': (image, random) => ({ files: flipped(image.files, database, random) }),
  'bytes of the journal flipped': (image, random) => ({ files: flipped(image.files, journal, random) }),
  'bytes of the head flipped': (image, random) => ({ files: flipped(image.files, head, random) }),
  'bytes of every file flipped': ({ files }, random) => ({
    files: flipped(flipped(flipped(files, database, random), journal, random), head, random),
  }),
  'a page of the database zeroed': ({ files }, random) => ({
    files: changed(files, database, (bytes) => bytes.fill(0, ...pageOf(bytes, random))),
  }),
  'a page of the database overwritten': ({ files }, random) => ({
    files: changed(files, database, (bytes) => {
      const [from, to] = pageOf(bytes, random)
      for (let at = from; at < to; at += 1) bytes[at] = Math.floor(random() * 256)
    }),
  }),
  'pages of the database swapped': ({ files }, random) => ({
    files: changed(files, database, (bytes) => {
      swap(bytes, pageOf(bytes, random)[0], pageOf(bytes, random)[0], page)
    }),
  }),
  'frames of the journal swapped': ({ files }, random) => ({
    files: changed(files, journal, (bytes) => {
      const frames = Math.floor((bytes.length - 32) / (page + 24))
      const at = (): number => 32 + Math.floor(random() * frames) * (page + 24)
      if (frames > 1) swap(bytes, at(), at(), page + 24)
    }),
  }),
  'a stretch of the journal zeroed': ({ files }, random) => ({
    files: changed(files, journal, (bytes) => {
      const from = Math.floor(random() * bytes.length)
      bytes.fill(0, from, from + Math.floor(random() * 3 * page))
    }),
  }),
  'the database cut off': ({ files }, random) => ({ files: cut(files, database, random) }),
  'the journal cut off': ({ files }, random) => ({ files: cut(files, journal, random) }),
  'the head cut off': ({ files }, random) => ({ files: cut(files, head, random) }),
  'the database deleted': ({ files }) => ({ files: without(files, database, journal) }),
  'the database deleted, but not its journal': ({ files }) => ({ files: without(files, database) }),
  'the journal deleted': ({ files }) => ({ files: without(files, journal) }),
  'the head deleted': ({ files }) => ({ files: without(files, head) }),
  'all deleted, and others know the end': ({ ends }) => ({ files: new Map(), known: ends }),
  'an older copy in its place': ({ files, older }) => ({ files: new Map([...older, [head, part(files, head)]]) }),
  'an older copy in its place, head and all, and others know the end': ({ older, ends }) => ({
    files: older,
    known: ends,
  }),
  'an older journal': ({ files, older }) => ({
    files: older.has(journal) ? new Map([...files, [journal, part(older, journal)]]) : without(files, journal),
  }),
  'an older head': ({ files, older }) => ({ files: new Map([...files, [head, part(older, head)]]) }),
  'a record altered': (image, random) =>
    bySql(image, random, 'UPDATE records SET line = ? WHERE position = ?', altered),
  'a record altered, with the hash that fits': (image, random) =>
    bySql(image, random, 'UPDATE records SET line = ? WHERE position = ?', resealed),
  'a record deleted': (image, random) => bySql(image, random, 'DELETE FROM records WHERE ? <> 0 AND position = ?', one),
  'the last records deleted': (image, random) =>
    bySql(image, random, 'DELETE FROM records WHERE ? <> 0 AND position >= ?', one),
  'a record under another trail': (image, random) =>
    bySql(image, random, 'UPDATE records SET trail = ? WHERE position = ?', one),
  'a record moved': (image, random) =>
    bySql(image, random, 'UPDATE records SET position = position + 1000 * ? WHERE position = ?', one),
  'a cursor moved': (image, random) =>
    bySql(image, random, 'UPDATE cursors SET position = position + ? WHERE ? <> 0', () => 20),
  'the counts altered': (image, random) =>
    bySql(image, random, 'UPDATE extent SET position = position - ? WHERE ? <> 0', () => 3),
  'the trail’s end altered': (image, random) =>
    bySql(image, random, 'UPDATE trails SET last_sequence = last_sequence - ? WHERE ? <> 0', () => 1),
}

/** Each kind comes up as often as the others. */
export function damageNumber(number: number, image: Image, random: () => number): Damaged {
  const names = Object.keys(kinds)
  const kind = names[number % names.length] as string
  const { files, known = [] } = (kinds[kind] as Damage)(image, random)
  return { kind: `${kind} (${image.name})`, files, known }
}

function changed(files: Files, name: string, change: (bytes: Buffer) => void): Files {
  const bytes = files.get(name)
  if (bytes === undefined) return files
  const copy = Buffer.from(bytes)
  change(copy)
  return new Map([...files, [name, copy]])
}

function flipped(files: Files, name: string, random: () => number): Files {
  const flips = 1 + Math.floor(random() * 8)
  return changed(files, name, (bytes) => {
    for (let flip = 0; flip < flips; flip += 1) {
      const at = Math.floor(random() * bytes.length)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8))
    }
  })
}

function cut(files: Files, name: string, random: () => number): Files {
  const bytes = files.get(name)
  if (bytes === undefined) return files
  return new Map([...files, [name, bytes.subarray(0, Math.floor(random() * bytes.length))]])
}

function without(files: Files, ...names: readonly string[]): Files {
  return new Map([...files].filter(([name]) => !names.includes(name)))
}

function part(files: Files, name: string): Buffer {
  return files.get(name) ?? Buffer.alloc(0)
}

function pageOf(bytes: Buffer, random: () => number): [number, number] {
  const from = Math.floor((random() * bytes.length) / page) * page
  return [from, from + page]
}

function swap(bytes: Buffer, one: number, other: number, length: number): void {
  const kept = Buffer.from(bytes.subarray(one, one + length))
  bytes.copy(bytes, one, other, other + length)
  kept.copy(bytes, other)
}

type NewValue = (line: string) => string | number

const one: NewValue = () => 1

const altered: NewValue = (line) => line.replace('"allow"', '"deny" ').replace('opened', 'closed')

/** As somebody would who knows the format: the record is whole in itself. */
const resealed: NewValue = (line) => {
  const open = String(altered(line)).replace(/,"hash":"[0-9a-f]{64}"\}$/, '')
  return `${open},"hash":"${hash('sha256', `${open}}`, 'hex')}"}`
}

/** Somebody opens the file with SQLite and changes a row; the second value is a position, chosen at random. */
function bySql(image: Image, random: () => number, sql: string, value: NewValue): { readonly files: Files } {
  const dir = newFolder()
  try {
    for (const [name, bytes] of image.files) writeFileSync(join(dir, name), bytes)
    const { position, line } = image.records[Math.floor(random() * image.records.length)] as Image['records'][number]
    const connection = new DatabaseSync(join(dir, database))
    connection.prepare(sql).run(value(line), position)
    connection.close()
    return { files: filesIn(dir) }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
