import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { realDisk } from '../../src/archive/disk.ts'
import { isSealed, segmentPath, type Segment } from '../../src/archive/layout.ts'
import { listSegments } from '../../src/archive/read.ts'
import { sealSegment } from '../../src/archive/seal.ts'
import { openArchive } from '../../src/archive/write.ts'
import { openDataFolder, type DataFolder, type OpenSpool } from '../../src/readers/source.ts'
import type { SpooledRecord } from '../../src/spool/spooled-record.ts'

/** A data folder in a temporary place, with a spool that is a list. */
export class TestData implements Disposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'countersign-data-'))
  spooled: readonly SpooledRecord[] = []
  /** Called before the spool is read from a position. */
  onSpoolRead: (position: number) => Promise<void> | void = () => undefined

  constructor() {
    mkdirSync(join(this.dir, 'archive'))
  }

  async archive(records: readonly SpooledRecord[], maxSegmentBytes?: number): Promise<void> {
    const options = maxSegmentBytes === undefined ? {} : { maxSegmentBytes }
    const archive = openArchive(join(this.dir, 'archive'), options)
    await archive.append(records)
    await archive.close()
  }

  /** Seals the segments that `choose` picks; returns their paths below the archive. */
  async seal(choose: (segment: Segment) => boolean = () => true): Promise<string[]> {
    const { segments } = await listSegments(join(this.dir, 'archive'))
    const open = segments.filter((segment) => !isSealed(segment) && choose(segment))
    for (const segment of open) await sealSegment(join(this.dir, 'archive'), segment, realDisk)
    return open.map((segment) => segmentPath({ ...segment, generation: 1 }))
  }

  /** Writes one segment as it is given; returns its name below the data folder. */
  segment(trail: string, first: number, text: string, copy = 0, day = '2026-11-22'): string {
    const name = `archive/${segmentPath({ day, trail, first, copy })}`
    mkdirSync(dirname(join(this.dir, name)), { recursive: true })
    writeFileSync(join(this.dir, name), text)
    return name
  }

  /** Opens the list as a spool. */
  readonly openSpool: OpenSpool = () => ({
    after: (position, limit) => {
      void this.onSpoolRead(position)
      return this.spooled.filter((record) => record.position > position).slice(0, limit)
    },
    close: () => undefined,
  })

  open(): Promise<DataFolder> {
    return openDataFolder(this.dir, this.openSpool)
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true })
  }
}

export function textOf(records: readonly { readonly line: string }[]): string {
  return records.map(({ line }) => `${line}\n`).join('')
}

export async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}
