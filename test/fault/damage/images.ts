import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { encodeEvent, type EncodedEvent } from '../../../src/audit/record.ts'
import type { KnownEnd } from '../../../src/spool/protocol.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { cursorAt, newDecision, newFolder, openingIn } from '../../spool/opening.ts'

export const files = ['spool.sqlite', 'spool.sqlite-wal', 'head'] as const

export type Files = ReadonlyMap<string, Buffer>

/** One record that its writer was told of as committed. */
export interface Acknowledged {
  readonly position: number
  readonly trail: string
  readonly sequence: number
  readonly line: string
}

/** A spool as a kill, or an orderly stop, left it, and what is known of it without it. */
export interface Image {
  readonly name: string
  readonly files: Files
  /** The same spool at an earlier time. */
  readonly older: Files
  readonly records: readonly Acknowledged[]
  /** Every sink has the records up to this position. */
  readonly delivered: number
  readonly end: KnownEnd
  /** The ends of all trails, that one last. */
  readonly ends: readonly KnownEnd[]
}

interface Shape {
  readonly name: string
  readonly trails: number
  readonly batches: number
  /** Bytes that some of the events are blown up by. */
  readonly extraBytes: number
  /** Share of the records that every sink has. */
  readonly delivered: number
  readonly killed: boolean
  /** Whether the journal is worked off somewhere in between. */
  readonly workedOff: boolean
}

const shapes: readonly Shape[] = [
  { name: 'stopped in order', trails: 1, batches: 12, extraBytes: 0, delivered: 0, killed: false, workedOff: false },
  {
    name: 'killed, all in the journal',
    trails: 1,
    batches: 12,
    extraBytes: 0,
    delivered: 0.3,
    killed: true,
    workedOff: false,
  },
  {
    name: 'killed, half in the journal',
    trails: 2,
    batches: 14,
    extraBytes: 0,
    delivered: 0.2,
    killed: true,
    workedOff: true,
  },
  {
    name: 'killed, with long records',
    trails: 1,
    batches: 10,
    extraBytes: 12_000,
    delivered: 0.5,
    killed: true,
    workedOff: true,
  },
  { name: 'several trails', trails: 4, batches: 6, extraBytes: 3000, delivered: 0.4, killed: true, workedOff: false },
  { name: 'all delivered', trails: 1, batches: 6, extraBytes: 0, delivered: 1, killed: true, workedOff: true },
]

export function makeImages(random: () => number): readonly Image[] {
  return shapes.map((shape) => makeImage(shape, random))
}

function makeImage(shape: Shape, random: () => number): Image {
  const dir = newFolder()
  const acknowledged = new Map<number, Acknowledged>()
  let older: Files | undefined
  let image: Image | undefined
  try {
    for (let trail = 1; trail <= shape.trails; trail += 1) {
      const checkpoints = { ...openingIn('').checkpoints, everyRecords: 17, everyMs: Infinity }
      const store = new SpoolStore(openingIn(dir, { checkpoints, retainDeliveredMs: 600_000 }), () => new Date())
      for (let batch = 0; batch < shape.batches; batch += 1) {
        store.append(events(1 + Math.floor(random() * 9), shape.extraBytes, random), [])
        note(dir, acknowledged)
        if (shape.workedOff && batch === Math.floor(shape.batches / 2)) workOff(dir)
        if (trail === shape.trails && batch === Math.floor(shape.batches / 3)) older = filesIn(dir)
      }
      if (trail === shape.trails) {
        const delivered = Math.floor(store.state().lastPosition * shape.delivered)
        store.append([], [cursorAt('archive', delivered)])
        note(dir, acknowledged)
        if (shape.killed) image = imageOf(shape.name, dir, acknowledged, delivered, older)
      }
      if (trail < shape.trails || !shape.killed) store.seal(openingIn(dir).openedId)
      note(dir, acknowledged)
      store.close()
    }
    return image ?? imageOf(shape.name, dir, acknowledged, 0, older)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function imageOf(
  name: string,
  dir: string,
  acknowledged: ReadonlyMap<number, Acknowledged>,
  delivered: number,
  older: Files | undefined,
): Image {
  const records = [...acknowledged.values()]
  const ends = [...new Map(records.map((record) => [record.trail, endAt(record)])).values()]
  const end = ends.at(-1)
  if (end === undefined || older === undefined) throw new Error('nothing was recorded')
  return { name, files: filesIn(dir), older, records, delivered, end, ends }
}

function endAt({ trail, sequence, line }: Acknowledged): KnownEnd {
  return { trail, sequence, hash: (JSON.parse(line) as { hash: string }).hash, from: 'checkpoint' }
}

function events(count: number, extraBytes: number, random: () => number): EncodedEvent[] {
  return Array.from({ length: count }, () => {
    const { event } = newDecision()
    const names = random() < 0.3 ? Math.floor(extraBytes / 40) : 0
    const roles = Array.from({ length: names }, (_, index) => `role-${index}-${'x'.repeat(30)}`)
    return encodeEvent({ ...event, data: { ...event.data, roles } })
  })
}

/** Reads what is committed by SQLite alone, beside the writer. */
function note(dir: string, into: Map<number, Acknowledged>): void {
  const database = new DatabaseSync(join(dir, files[0]), { readOnly: true })
  const rows = database.prepare('SELECT position, trail, sequence, line FROM records ORDER BY position').all()
  for (const row of rows as unknown as Acknowledged[]) into.set(row.position, row)
  database.close()
}

function workOff(dir: string): void {
  const database = new DatabaseSync(join(dir, files[0]))
  database.exec('PRAGMA wal_checkpoint(PASSIVE)')
  database.close()
}

export function filesIn(dir: string): Files {
  const found = new Map<string, Buffer>()
  for (const name of files) {
    try {
      found.set(name, readFileSync(join(dir, name)))
    } catch {
      // A spool that was stopped in order has no journal.
    }
  }
  return found
}
