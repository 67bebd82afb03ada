import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CountersignError } from '../../../src/errors.ts'
import { openDeliveryReader } from '../../../src/spool/reader.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { openingIn } from '../../spool/opening.ts'
import type { Damaged } from './damages.ts'
import type { Acknowledged, Files, Image } from './images.ts'

/** Longer lines go on in other pages: whether those are whole, a search for their bytes does not tell. */
const longestInOnePage = 3800

interface Gap {
  readonly trail: string | null
  readonly fromSequence: string | null
  readonly toSequence: string | null
  readonly count: number
  readonly countExact: boolean
}

/** What the server made of it. */
interface Outcome {
  readonly rows: readonly Acknowledged[]
  /** How far the sink is said to have got. */
  readonly cursor: number
  readonly gaps: readonly Gap[]
  readonly previous: { readonly trail: string; readonly sequence: string } | null
  readonly setAside: boolean
  /** What a look at everything, once the server runs, found. */
  readonly noticedLater: boolean
}

export interface Judgement {
  readonly problems: readonly string[]
  /** Whether the damage was noticed at all; some hits bytes that mean nothing. */
  readonly noticed: boolean
}

/**
 * Opens a damaged spool as the server does, and compares what it then holds and says with what was acknowledged: by the lines
 * themselves, and by SQLite, not by the code that is tried.
 */
export function judge(dir: string, image: Image, damaged: Damaged): Judgement {
  for (const [name, bytes] of damaged.files) writeFileSync(join(dir, name), bytes, { mode: 0o600 })
  const readable = new Set(linesOf(dir, damaged.files))
  let outcome: Outcome
  try {
    outcome = open(dir, damaged)
  } catch (thrown) {
    return judgeRefusal(dir, damaged, thrown)
  }
  const problems = [
    ...lost(image, damaged, outcome, readable),
    ...hidden(image, outcome),
    ...altered(image, outcome),
    ...wrongEnd(image, damaged, outcome),
    ...(damaged.kind.startsWith('nothing') && (outcome.setAside || outcome.noticedLater) ? ['a false alarm'] : []),
  ]
  return { problems, noticed: outcome.setAside || outcome.noticedLater }
}

/** A flipped bit can make the file look like a later version's, which nobody may touch. */
function judgeRefusal(dir: string, { files }: Damaged, thrown: unknown): Judgement {
  if (!(thrown instanceof CountersignError) || thrown.code !== 'SPOOL_VERSION') {
    return { problems: [`it was not opened: ${String(thrown)}`], noticed: true }
  }
  const untouched = [...files].every(([name, bytes]) => readFileSync(join(dir, name)).equals(bytes))
  return { problems: untouched ? [] : ['a later version’s file was touched'], noticed: true }
}

function open(dir: string, { known }: Damaged): Outcome {
  const opening = openingIn(dir, { known })
  const store = new SpoolStore(opening, () => new Date())
  const rows = rowsOf(join(dir, 'spool.sqlite'))
  const own = rows
    .filter(({ trail }) => trail === opening.trail)
    .map(({ line }) => JSON.parse(line) as { data: Record<string, unknown> })
  const gaps = own.map(({ data }) => data).filter((data) => data['change'] === 'gap')
  const outcome = {
    rows: rows.filter(({ trail }) => trail !== opening.trail),
    cursor: cursorIn(join(dir, 'spool.sqlite')),
    gaps: gaps as unknown as Gap[],
    previous: (own[0]?.data['previous'] ?? null) as Outcome['previous'],
    setAside: existsSync(join(dir, 'set-aside')) && readdirSync(join(dir, 'set-aside')).length > 0,
  }
  return { ...outcome, noticedLater: lookAtAll(store) || readAll(dir) }
}

/** The server looks at all that it holds, in steps. */
function lookAtAll(store: SpoolStore): boolean {
  try {
    for (let step = 0; step < 20; step += 1) store.check()
    store.close()
    return false
  } catch (thrown) {
    if (thrown instanceof CountersignError && thrown.code === 'SPOOL_DAMAGED') return true
    throw thrown
  }
}

/** A sink reads everything that is still there. */
function readAll(dir: string): boolean {
  const reader = openDeliveryReader(dir)
  try {
    reader?.after(0, 1_000_000)
    return false
  } catch {
    return true
  } finally {
    reader?.close()
  }
}

/** Each record that a sink lacks is there, byte for byte, or named by a gap; and named only where it cannot be had. */
function lost(image: Image, { files }: Damaged, outcome: Outcome, readable: ReadonlySet<string>): string[] {
  const kept = new Set(outcome.rows.map(({ line }) => line))
  return image.records.flatMap((record) => {
    if (record.position <= image.delivered) return judgeDelivered(record, kept, outcome)
    const name = `${record.trail} ${record.sequence}`
    if (kept.has(record.line)) return named(outcome, record) ? [`${name} is there, and named as missing`] : []
    if (isIntact(record.line, files, readable)) return [`${name} was intact and is lost`]
    return named(outcome, record) ? [] : [`${name} is missing, and no gap names it`]
  })
}

/** Every sink has it; while it is kept for replay, it must not be altered unseen. */
function judgeDelivered(
  { line, trail, sequence }: Acknowledged,
  kept: ReadonlySet<string>,
  outcome: Outcome,
): string[] {
  if (kept.has(line) || outcome.setAside || outcome.noticedLater) return []
  return [`${trail} ${sequence}, which was kept for replay, is gone or altered unseen`]
}

/** A record that stands there is lost all the same where its sink is said to have it. */
function hidden(image: Image, { rows, cursor }: Outcome): string[] {
  const lacking = new Set(image.records.filter(({ position }) => position > image.delivered).map(({ line }) => line))
  const behind = rows.filter(({ position, line }) => position <= cursor && lacking.has(line))
  return behind.map(({ trail, sequence }) => `${trail} ${sequence} is hidden from its sink`)
}

function isIntact(line: string, files: Files, readable: ReadonlySet<string>): boolean {
  if (readable.has(line)) return true
  const bytes = Buffer.from(line)
  return bytes.length <= longestInOnePage && [...files.values()].some((file) => file.includes(bytes))
}

function named({ gaps }: Outcome, { trail, sequence }: Acknowledged): boolean {
  return gaps.some(
    (gap) =>
      gap.trail === trail &&
      gap.fromSequence !== null &&
      gap.toSequence !== null &&
      Number(gap.fromSequence) <= sequence &&
      sequence <= Number(gap.toSequence),
  )
}

function altered(image: Image, outcome: Outcome): string[] {
  const lines = new Set(image.records.map(({ line }) => line))
  const strange = outcome.rows.filter(({ line }) => !lines.has(line))
  if (strange.length === 0 || outcome.noticedLater) return []
  return strange.map(({ trail, sequence }) => `${trail} ${sequence} is not what was acknowledged`)
}

/** Where something was set aside, the new trail says how far the old one went, as far as anybody knows, and whether that is sure. */
function wrongEnd(image: Image, damaged: Damaged, { gaps, previous, setAside }: Outcome): string[] {
  if (!setAside && gaps.length === 0) return []
  const { end, files } = image
  const headIsWhole = damaged.files.get('head')?.equals(files.get('head') ?? Buffer.alloc(0)) === true
  const endIsKnown = headIsWhole || damaged.known.length > 0
  const isRight = previous?.trail === end.trail && Number(previous.sequence) === end.sequence
  if (!endIsKnown)
    return isRight || gaps.some(({ countExact }) => !countExact) ? [] : ['no gap says that the end is not known']
  const problems: string[] = []
  if (previous?.trail !== end.trail) problems.push(`the new trail names ${String(previous?.trail)}, not ${end.trail}`)
  if (Number(previous?.sequence) !== end.sequence)
    problems.push(`it ends it with ${String(previous?.sequence)}, not ${end.sequence}`)
  const tail = gaps.filter(({ trail, toSequence }) => trail === end.trail && Number(toSequence) === end.sequence)
  if (tail.some(({ countExact }) => countExact !== headIsWhole))
    problems.push('the gap is wrong about whether its end is exact')
  if (!headIsWhole && gaps.every(({ countExact }) => countExact)) problems.push('no gap says that the end is not sure')
  const counted = gaps.filter(({ fromSequence, toSequence }) => fromSequence !== null && toSequence !== null)
  if (counted.some((gap) => gap.count !== Number(gap.toSequence) - Number(gap.fromSequence) + 1))
    problems.push('a count is wrong')
  return problems
}

/** What SQLite itself still reads of the damaged files, before anybody has touched them. */
function linesOf(dir: string, files: Files): readonly string[] {
  if (!files.has('spool.sqlite')) return []
  try {
    return rowsOf(join(dir, 'spool.sqlite')).map(({ line }) => line)
  } catch {
    return []
  }
}

function cursorIn(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    return Number(database.prepare("SELECT position FROM cursors WHERE sink = 'archive'").get()?.['position'])
  } finally {
    database.close()
  }
}

function rowsOf(path: string): readonly Acknowledged[] {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    return database
      .prepare('SELECT position, trail, sequence, line FROM records ORDER BY position')
      .all() as unknown as readonly Acknowledged[]
  } finally {
    database.close()
  }
}
