import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isSealed, manifestPath, segmentPath, type Segment } from '../../archive/layout.ts'
import { listSegments, readManifest, readSegment, segmentChunks, type Manifest } from '../../archive/read.ts'
import { CountersignError } from '../../errors.ts'
import { openSpoolReader } from '../../spool/reader.ts'
import { checkDataFolder, type OpenSpool } from '../source.ts'
import { cutBlocks } from './cut-blocks.ts'
import type { Expectations } from './expectation.ts'
import { ManifestCheck } from './manifest-check.ts'
import type { Part, PartBlock } from './part.ts'
import type { Problem } from './problem.ts'
import { SpoolPart } from './spool-part.ts'

/** What a data folder holds: the spool first, then the archive as it stands when the spool has been read. */
export interface FolderParts {
  /** Those of the archive are put in anew when the spool has been read to its end: some appeared meanwhile. */
  readonly parts: readonly Part[]
  /** What is known when all parts were read. */
  problems(): readonly Problem[]
  /** Where sealed segments are not what their manifests say; known when all parts were read. */
  mismatches(): readonly Problem[]
  notes(): readonly string[]
  close(): void
}

/**
 * Opens the data folder of a server, running or not: its spool first, so that what moves from there to the archive meanwhile is not
 * missed. What manifests say of their segments is added to `expectations`. Throws ARCHIVE_UNREADABLE where there is no data
 * folder, and what opening the spool throws, but for SPOOL_DAMAGED: that is a problem.
 */
export async function folderParts(
  dir: string,
  expectations: Expectations,
  openSpool: OpenSpool = openSpoolReader,
): Promise<FolderParts> {
  await checkDataFolder(dir)
  const archiveDir = join(dir, 'archive')
  const parts: Part[] = []
  const expected = new Set<string>()
  let archive: ArchiveParts | undefined
  const isGone = (): boolean => archive?.parts.length === 0 && spool?.deliveredToArchive === true
  const isAlone = (): boolean => archive?.parts.length === 0 && !isGone()
  const list = async (): Promise<void> => {
    archive = await archiveParts(archiveDir, expectations, expected)
    parts.splice(spool === undefined ? 0 : 1, Infinity, ...archive.parts)
  }
  const spool = await SpoolPart.open(join(dir, 'spool'), openSpool, isAlone, list)
  if (spool !== undefined) parts.push(spool)
  try {
    await list()
  } catch (fault) {
    spool?.close()
    throw fault
  }
  return {
    parts,
    problems: () => [
      ...(spool?.problem ? [spool.problem] : []),
      ...(isGone() ? [archiveIsGone] : []),
      ...(archive?.problems ?? []),
    ],
    mismatches: () => archive?.mismatches ?? [],
    notes: () => archive?.notes ?? [],
    close: () => spool?.close(),
  }
}

/** The archive as it was listed. */
interface ArchiveParts {
  readonly parts: readonly Part[]
  readonly problems: readonly Problem[]
  readonly mismatches: readonly Problem[]
  readonly notes: readonly string[]
}

/** Adds what manifests say to `expectations`, but for those whose names are in `expected` already. */
async function archiveParts(
  archiveDir: string,
  expectations: Expectations,
  expected: Set<string>,
): Promise<ArchiveParts> {
  const { segments, unknown, unfinished } = await listSegments(archiveDir)
  const manifests = new SealedChecks(archiveDir)
  return {
    parts: await Promise.all(segments.map((segment, index) => segmentPart(archiveDir, segment, index, manifests))),
    problems: await readManifests(archiveDir, segments, { expectations, expected, manifests }),
    mismatches: manifests.mismatches,
    notes: [
      ...unknown.map((name) => `archive/${name} is not a segment and was not read`),
      ...unfinished.map((name) => `archive/${name} was not published by its writer and was not read`),
    ],
  }
}

/** The checks of all sealed segments against their manifests. */
class SealedChecks {
  readonly mismatches: Problem[] = []
  readonly #archiveDir: string
  readonly #manifests = new Map<string, Manifest>()

  constructor(archiveDir: string) {
    this.#archiveDir = archiveDir
  }

  add(manifest: Manifest): void {
    this.#manifests.set(segmentPath(manifest.segment), manifest)
  }

  /** Undefined where a segment is open, or has no manifest that can be read. */
  of(segment: Segment): ManifestCheck | undefined {
    const manifest = this.#manifests.get(segmentPath(segment))
    return manifest && new ManifestCheck(this.#archiveDir, manifest)
  }

  async end(check: ManifestCheck | undefined): Promise<void> {
    const problem = await check?.problem()
    if (problem !== undefined) this.mismatches.push(problem)
  }
}

async function segmentPart(
  archiveDir: string,
  segment: Segment,
  ordinal: number,
  manifests: SealedChecks,
): Promise<Part> {
  const path = segmentPath(segment)
  const { size } = await stat(join(archiveDir, path)).catch(() => ({ size: 0 }))
  return {
    source: 'archive',
    name: `archive/${path}`,
    stream: 'archive',
    ordinal,
    bytes: size,
    blocks: () => segmentBlocks(archiveDir, segment, manifests),
    lineAt: (line) => segmentLine(archiveDir, segment, line),
  }
}

async function* segmentBlocks(
  archiveDir: string,
  segment: Segment,
  manifests: SealedChecks,
): AsyncGenerator<PartBlock> {
  const { day, trail } = segment
  const check = manifests.of(segment)
  try {
    for await (const { bytes, torn } of cutBlocks(segmentChunks(archiveDir, segment))) {
      check?.take(bytes)
      yield { bytes, torn, day, trail }
    }
    await manifests.end(check)
  } catch (fault) {
    if (!(fault instanceof CountersignError) || fault.code !== 'ARCHIVE_DAMAGED') throw fault
    yield { bytes: Buffer.alloc(0), day, trail, damaged: 'the segment cannot be decompressed from here on' }
  }
}

async function segmentLine(archiveDir: string, segment: Segment, wanted: number): Promise<Buffer | undefined> {
  for await (const line of readSegment(join(archiveDir, segmentPath(segment)))) {
    if (line.number === wanted) return line.bytes
  }
  return undefined
}

/** Where it is kept what manifests promise. */
interface Promised {
  readonly expectations: Expectations
  readonly expected: Set<string>
  readonly manifests: SealedChecks
}

/** What was promised of sealed segments has to be found in them, also where no other record follows. */
async function readManifests(
  archiveDir: string,
  segments: readonly Segment[],
  { expectations, expected, manifests }: Promised,
): Promise<Problem[]> {
  const problems: Problem[] = []
  for (const segment of segments.filter(isSealed)) {
    const manifest = await readManifest(archiveDir, segment)
    const file = `archive/${manifestPath(segment)}`
    const place = { source: 'archive', file, line: 1 } as const
    if (manifest === undefined) {
      const { trail, first } = segment
      const problem = 'the manifest cannot be read, or is one of another segment'
      problems.push({ kind: 'malformed', trail, sequence: first, toSequence: null, ...place, problem })
    } else {
      manifests.add(manifest)
      if (expected.has(file)) continue
      expected.add(file)
      expectations.add(segment.trail, { size: manifest.last, hash: manifest.hash, from: 'archive', by: file, place })
    }
  }
  return problems
}

const archiveIsGone: Problem = {
  kind: 'missing',
  trail: null,
  sequence: null,
  toSequence: null,
  source: 'archive',
  file: 'archive',
  line: 0,
  problem: 'the archive holds no segment, but the spool says that records were delivered to it',
}
