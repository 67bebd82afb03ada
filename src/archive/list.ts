import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CountersignError, messageOf } from '../errors.ts'
import { codeOf } from './disk.ts'
import { compareSegments, isDay, parseName, segmentPath, type SealedSegment, type Segment } from './layout.ts'
import { readManifest, type Manifest } from './manifest.ts'
import { openRegularFile } from './regular-file.ts'
import { Digest } from './segment-digest.ts'

export interface Listing {
  /** In order of trail, then of sequence. */
  readonly segments: readonly Segment[]
  /** Names of what stands in the archive and is no segment. */
  readonly unknown: readonly string[]
  /** Names of files that a writer has not published: lines without a manifest, or a manifest without lines. */
  readonly unfinished: readonly string[]
}

/** Days, both included; an end that is left out is open. */
export interface Days {
  readonly from?: string
  readonly to?: string
}

/**
 * Lists the segments of an archive, those of these days alone where they are given; none where its folder is missing. Of
 * the generations of a segment the highest that is whole is given, and of an open segment and the sealed one that was made
 * of it the sealed one. Throws ARCHIVE_UNREADABLE.
 */
export async function listSegments(archiveDir: string, days: Days = {}): Promise<Listing> {
  const segments: Segment[] = []
  const unknown: string[] = []
  const unfinished: string[] = []
  for (const day of await namesIn(archiveDir)) {
    if (!isDay(day)) {
      unknown.push(day)
      continue
    }
    if ((days.from !== undefined && day < days.from) || (days.to !== undefined && day > days.to)) continue
    const folder = sortFiles(day, await namesIn(join(archiveDir, day)))
    unknown.push(...folder.unknown.map((name) => `${day}/${name}`))
    const chosen = await Promise.all(folder.places.map((place) => choose(archiveDir, place)))
    const replaced = new Set(chosen.flatMap(({ replaces }) => replaces))
    segments.push(...chosen.flatMap((choice) => choice.segments).filter((one) => !replaced.has(segmentPath(one))))
    unfinished.push(...chosen.flatMap((choice) => choice.unfinished))
  }
  segments.sort((a, b) => (a.trail < b.trail ? -1 : a.trail > b.trail ? 1 : compareSegments(a, b)))
  return { segments, unknown, unfinished }
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).sort()
  } catch (thrown) {
    if (codeOf(thrown) === 'ENOENT') return []
    throw new CountersignError('ARCHIVE_UNREADABLE', `${dir} cannot be read: ${messageOf(thrown)}`, { cause: thrown })
  }
}

/** All that stands under the name of one segment. */
interface PlaceFiles {
  open?: Segment
  readonly lines: Map<number, SealedSegment>
  readonly manifests: Map<number, SealedSegment>
}

function sortFiles(day: string, names: readonly string[]) {
  const places = new Map<string, PlaceFiles>()
  const unknown: string[] = []
  for (const name of names) {
    const named = parseName(day, name)
    if (named === undefined) unknown.push(name)
    if (named?.kind !== 'lines' && named?.kind !== 'manifest') continue
    const { trail, first, copy, generation } = named.segment
    const key = `${trail}.${String(first)}.${String(copy)}`
    const place: PlaceFiles = places.get(key) ?? { lines: new Map(), manifests: new Map() }
    places.set(key, place)
    const sealed = named.segment as SealedSegment
    if (generation === undefined) place.open = named.segment
    else if (named.kind === 'lines') place.lines.set(generation, sealed)
    else place.manifests.set(generation, sealed)
  }
  return { places: [...places.values()], unknown }
}

interface Choice {
  readonly segments: readonly Segment[]
  readonly replaces: readonly string[]
  readonly unfinished: readonly string[]
}

async function choose(archiveDir: string, place: PlaceFiles): Promise<Choice> {
  const sealed = await chooseGeneration(archiveDir, place)
  if (sealed === undefined) {
    const open = place.open === undefined ? [] : [place.open]
    const left = [...place.lines.values(), ...place.manifests.values()].map(segmentPath)
    return { segments: open, replaces: [], unfinished: open.length > 0 ? [] : [...new Set(left)] }
  }
  const { segment, manifest } = sealed
  const isLeft = place.open !== undefined && (await isOtherThan(archiveDir, place.open, segment, manifest))
  const open = isLeft ? [place.open as Segment] : []
  return { segments: [...open, segment], replaces: manifest?.replaces ?? [], unfinished: [] }
}

/** The manifest is read only where something depends on it: listing a long archive should not open every file. */
async function chooseGeneration(archiveDir: string, { lines, manifests }: PlaceFiles) {
  const generations = [...manifests.keys()].filter((generation) => lines.has(generation)).sort((a, b) => b - a)
  const [highest] = generations
  if (highest === undefined) return undefined
  if (highest === 1) return { segment: lines.get(1) as SealedSegment, manifest: undefined }
  for (const generation of generations) {
    const segment = lines.get(generation) as SealedSegment
    const manifest = await readManifest(archiveDir, segment)
    if (manifest !== undefined && (await sizeOf(archiveDir, segment)) === manifest.compressed.bytes) {
      return { segment, manifest }
    }
  }
  // None is whole: the damage is for whoever reads it to tell.
  return { segment: lines.get(highest) as SealedSegment, manifest: undefined }
}

/** Whether an open segment holds other lines than the sealed one of its name, and is no left-over of it. */
async function isOtherThan(
  archiveDir: string,
  open: Segment,
  sealed: SealedSegment,
  known: Manifest | undefined,
): Promise<boolean> {
  const manifest = known ?? (await readManifest(archiveDir, sealed))
  const size = await sizeOf(archiveDir, open)
  if (size === undefined) return false
  if (manifest === undefined) return true
  return sealed.generation === 1 && (size !== manifest.bytes || !(await hasDigest(archiveDir, open, manifest.sha256)))
}

/** One that cannot be read is for whoever reads it to tell. */
async function hasDigest(archiveDir: string, segment: Segment, sha256: string): Promise<boolean> {
  const digest = new Digest()
  try {
    const file = await openRegularFile(join(archiveDir, segmentPath(segment)))
    for await (const chunk of file.createReadStream()) digest.take(chunk as Buffer)
  } catch (thrown) {
    return codeOf(thrown) === 'ENOENT'
  }
  return digest.done().sha256 === sha256
}

async function sizeOf(archiveDir: string, segment: Segment): Promise<number | undefined> {
  return stat(join(archiveDir, segmentPath(segment))).then(
    ({ size }) => size,
    () => undefined,
  )
}
