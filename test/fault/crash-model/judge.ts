import { hash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TrailOpened } from '../../../src/audit/event-data.ts'
import { checkLine, type ParsedRecord, type RecordPlace } from '../../../src/audit/chain.ts'
import { formatSequence } from '../../../src/audit/record.ts'
import { createArchiveSink } from '../../../src/sinks/archive.ts'
import type { KnownEnd } from '../../../src/spool/protocol.ts'
import { openSpoolReader } from '../../../src/spool/reader.ts'
import type { SpooledRecord } from '../../../src/spool/spooled-record.ts'
import { SpoolStore } from '../../../src/spool/file/store.ts'
import { openingIn } from '../../spool/opening.ts'
import { archivedLines } from './archived.ts'
import { archiveFolder, spoolFolder } from './spool-process.ts'

/** What was told of an event before the crash: digest of its bytes, or undefined where the writer made it. */
export type ToldEvents = ReadonlyMap<string, string | undefined>

/** What starts a problem that is the loss of something that was told. */
const lost = 'lost: '

export function isLoss(problem: string): boolean {
  return problem.startsWith(lost)
}

/** What a spool's folder holds; anything else was set aside. */
const knownFiles = /^(spool\.sqlite(-wal|-shm|-journal)?|lock\.sqlite(-journal|-wal|-shm)?|head)$/

interface Found {
  readonly id: string
  readonly place: RecordPlace
  readonly digest: string
  readonly record: ParsedRecord
}

/**
 * Opens what a crash left as the server opens it, delivers what waits, and says what is wrong; nothing is wrong where everything that
 * was told is kept or delivered, no trail goes on, and nothing was taken for damage.
 */
export async function judge(folder: string, told: ToldEvents): Promise<string[]> {
  const spool = join(folder, spoolFolder)
  const archive = join(folder, archiveFolder)
  const delivered = (await archivedLines(archive)).flatMap(readWhole)
  const opening = openingIn(spool, { known: endsOf(delivered) })
  const store = new SpoolStore(opening, () => new Date())
  try {
    const { records, waiting } = readSpool(spool)
    const kept = records.map(({ line }) => read(line))
    const problems = [...storyProblems(kept, opening.trail), ...setAside(spool)]
    const has = new Map([...delivered, ...kept.slice(kept.length - waiting.length)].map((one) => [one.id, one]))
    for (const [id, digest] of told) {
      const one = has.get(id)
      if (one === undefined) problems.push(`${lost}${id}, which its caller was told of`)
      else if (digest !== undefined && one.digest !== digest) problems.push(`altered: ${id}`)
    }
    problems.push(...openedProblems(kept, delivered, opening.trail))
    return problems.length > 0 ? problems : await deliverProblems(archive, waiting, told)
  } finally {
    store.close()
  }
}

/** What the archive knows of where trails end, as the server reads it at its start. */
function endsOf(delivered: readonly Found[]): KnownEnd[] {
  const ends = new Map(delivered.map(({ place }) => [place.trail, place]))
  return [...ends.values()].map(({ trail, sequence, hash }) => ({ trail, sequence, hash, from: 'archive' }))
}

/** Everything that waits can be delivered, and then the archive is whole. */
async function deliverProblems(
  archive: string,
  waiting: readonly SpooledRecord[],
  told: ToldEvents,
): Promise<string[]> {
  const sink = createArchiveSink(archive)
  await sink.deliver(waiting)
  await sink.close()
  const found = (await archivedLines(archive)).map(read)
  const ids = new Set(found.map(({ id }) => id))
  const missing = [...told.keys()].filter((id) => !ids.has(id))
  return [...chainProblems(found, 1), ...missing.map((id) => `not in the archive after delivery: ${id}`)]
}

function readSpool(dir: string): { records: readonly SpooledRecord[]; waiting: readonly SpooledRecord[] } {
  const reader = openSpoolReader(dir)
  if (reader === undefined) throw new Error('there is no spool after opening it')
  try {
    const records = reader.after(0, Number.MAX_SAFE_INTEGER)
    const { position } = reader.cursor('archive')
    return { records, waiting: records.filter((record) => record.position > position) }
  } finally {
    reader.close()
  }
}

/** The same records come back crash after crash. */
const known = new Map<string, Found>()

/** Throws where the bytes of a record are not those that its hash was made of. */
function read(line: string): Found {
  const found = known.get(line) ?? readNew(line)
  known.set(line, found)
  return found
}

/** A line of the archive that is not whole was never reported as delivered. */
function readWhole(line: string): Found[] {
  return known.has(line) || checkLine(line).ok ? [read(line)] : []
}

function readNew(line: string): Found {
  const checked = checkLine(line)
  if (!checked.ok) throw new Error(`${checked.problem}: ${line.slice(0, 200)}`)
  const event = line.slice(0, line.lastIndexOf(',"source":"/countersign/'))
  return { id: checked.record.id, place: checked.place, digest: hash('sha256', event), record: checked.record }
}

/** Trails stand one behind the other, each without a gap; the last is the one that was just opened. */
function storyProblems(kept: readonly Found[], trail: string): string[] {
  const seen = new Set<string>()
  const problems = chainProblems(kept)
  kept.forEach(({ place }, index) => {
    if (place.trail === kept[index - 1]?.place.trail) return
    if (seen.has(place.trail)) problems.push(`trail ${place.trail} goes on after another one`)
    seen.add(place.trail)
  })
  if ([...seen].at(-1) !== trail)
    problems.push(`the trail that was opened is not the last one: ${[...seen].join(', ')}`)
  return problems
}

function chainProblems(found: readonly Found[], first?: number): string[] {
  const problems: string[] = []
  const last = new Map<string, RecordPlace>()
  for (const { place } of found) {
    const { trail, sequence, prevHash } = place
    const before = last.get(trail)
    last.set(trail, place)
    const goesOn = before !== undefined && sequence === before.sequence + 1 && prevHash === before.hash
    if (before !== undefined ? !goesOn : first !== undefined && sequence !== first) {
      problems.push(`the chain of ${trail} is broken at ${sequence}, after ${before?.sequence ?? 'nothing'}`)
    }
  }
  return problems
}

/** A crash damages nothing: no gap, and the new trail names the end of the one before it as it is found. */
function openedProblems(kept: readonly Found[], delivered: readonly Found[], trail: string): string[] {
  const own = kept.filter(({ place }) => place.trail === trail)
  const gaps = own.filter(({ record }) => record.data['change'] === 'gap')
  const problems = gaps.map(({ record }) => `a gap although nothing is missing: ${JSON.stringify(record.data)}`)
  const { previous } = own[0]?.record.data as unknown as TrailOpened
  const end = endOf([...delivered, ...kept.filter(({ place }) => place.trail !== trail)])
  const said = previous === null ? 'none' : `${previous.trail} ${previous.sequence} ${previous.hash}`
  const found = end === undefined ? 'none' : `${end.trail} ${formatSequence(end.sequence)} ${end.hash}`
  return said === found ? problems : [...problems, `the end of the trail before is said to be ${said}, and is ${found}`]
}

/** The last record of the newest trail: names of trails sort by age. */
function endOf(found: readonly Found[]): RecordPlace | undefined {
  const places = found.map(({ place }) => place)
  const newest = places.reduce((one, { trail }) => (trail > one ? trail : one), '')
  return places
    .filter(({ trail }) => trail === newest)
    .sort((a, b) => a.sequence - b.sequence)
    .at(-1)
}

function setAside(dir: string): string[] {
  return readdirSync(dir).flatMap((name) =>
    knownFiles.test(name) ? [] : [`set aside although nothing is damaged: ${name}`],
  )
}
