import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isSealed, manifestPath, segmentPath, type Segment } from '../../archive/layout.ts'
import { listSegments, readManifest, readSegment, segmentChunks, type Manifest } from '../../archive/read.ts'
import { CountersignError } from '../../errors.ts'
import { openSpoolReader } from '../../spool/reader.ts'
import type { SpooledRecord } from '../../spool/spooled-record.ts'
import { checkDataFolder, type OpenSpool, type SpoolSource } from '../source.ts'
import { cutBlocks } from './cut-blocks.ts'
import type { Expectations } from './expectation.ts'
import { ManifestCheck } from './manifest-check.ts'
import type { Part, PartBlock } from './part.ts'
import type { Problem } from './problem.ts'

/** What a data folder holds, as it stood when it was opened. */
export interface FolderParts {
  readonly parts: readonly Part[]
  readonly segments: number
  readonly problems: readonly Problem[]
  /** Where sealed segments are not what their manifests say; known when all parts were read. */
  readonly mismatches: readonly Problem[]
  readonly notes: readonly string[]
  close(): void
}

const rowsPerBlock = 512

/**
 * Opens the data folder of a server, running or not: its spool first, so that what moves from there to the archive meanwhile is not
 * missed. What manifests say of their segments is added to `expectations`. Throws ARCHIVE_UNREADABLE where there is no data
 * folder, and what the spool throws.
 */
export async function folderParts(
  dir: string,
  expectations: Expectations,
  openSpool: OpenSpool = openSpoolReader,
): Promise<FolderParts> {
  await checkDataFolder(dir)
  const spool = openSpool(join(dir, 'spool'))
  const archiveDir = join(dir, 'archive')
  try {
    const rows = spool === undefined ? [] : await collect(spoolBlocks(spool))
    const { segments, unknown, unfinished } = await listSegments(archiveDir)
    const hadArchive = segments.length === 0 && spool !== undefined && deliveredToArchive(spool)
    const kept = spool === undefined ? [] : [spoolPart(spool, rows, segments.length === 0 && !hadArchive)]
    const manifests = new SealedChecks(archiveDir)
    const sized = await Promise.all(
      segments.map((segment, index) => segmentPart(archiveDir, segment, index, manifests)),
    )
    return {
      parts: [...kept, ...sized],
      segments: segments.length,
      problems: [
        ...(hadArchive ? [archiveIsGone] : []),
        ...(await readManifests(archiveDir, segments, expectations, manifests)),
      ],
      mismatches: manifests.mismatches,
      notes: [
        ...unknown.map((name) => `archive/${name} is not a segment and was not read`),
        ...unfinished.map((name) => `archive/${name} was not published by its writer and was not read`),
      ],
      close: () => spool?.close(),
    }
  } catch (fault) {
    spool?.close()
    throw fault
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

/** What was promised of sealed segments has to be found in them, also where no other record follows. */
async function readManifests(
  archiveDir: string,
  segments: readonly Segment[],
  expectations: Expectations,
  manifests: SealedChecks,
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
      expectations.add(segment.trail, { size: manifest.last, hash: manifest.hash, from: 'archive', by: file, place })
    }
  }
  return problems
}

/** The spool forgets the sinks that the settings no longer name; those of Kafka make notes. */
function deliveredToArchive(spool: SpoolSource): boolean {
  const { position, mark } = spool.cursor?.('archive') ?? { position: 0, mark: null }
  return position > 0 && mark === null
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

function spoolPart(spool: SpoolSource, blocks: readonly PartBlock[], isAlone: boolean): Part {
  return {
    source: 'spool',
    name: 'spool',
    stream: 'spool',
    bytes: blocks.reduce((sum, { bytes }) => sum + bytes.length, 0),
    ...(isAlone
      ? { removed: { line: firstIn(blocks), why: 'what stood before has been delivered, and is not here' } }
      : {}),
    async *blocks() {
      await Promise.resolve()
      yield* blocks
    },
    lineAt: (position) => Promise.resolve(lineIn(spool, position)),
  }
}

/** The first position that is left. */
function firstIn(blocks: readonly PartBlock[]): number {
  return blocks[0]?.numbers?.[0] ?? Infinity
}

function lineIn(spool: SpoolSource, position: number): Buffer | undefined {
  const row = spool.after(position - 1, 1)[0]
  return row?.position === position ? Buffer.from(row.line) : undefined
}

function* spoolBlocks(spool: SpoolSource): Generator<PartBlock> {
  for (let position = 0; ;) {
    const rows = spool.after(position, rowsPerBlock)
    const last = rows.at(-1)
    if (last === undefined) return
    yield blockOf(rows)
    position = last.position
  }
}

function blockOf(rows: readonly SpooledRecord[]): PartBlock {
  const lines = rows.map(({ line }) => Buffer.from(line))
  let end = 0
  const ends = Uint32Array.from(lines, ({ length }) => (end += length))
  const bytes = Buffer.allocUnsafeSlow(end)
  for (const [index, line] of lines.entries()) line.copy(bytes, (ends[index] as number) - line.length)
  return {
    bytes,
    ends,
    numbers: Float64Array.from(rows, ({ position }) => position),
    rows: rows.map(({ trail, sequence }) => ({ trail, sequence })),
  }
}

/** All of it, with room for others between the blocks. */
async function collect(blocks: Iterable<PartBlock>): Promise<PartBlock[]> {
  const all: PartBlock[] = []
  for (const block of blocks) {
    all.push(block)
    await new Promise(setImmediate)
  }
  return all
}
