import type { ParsedRecord } from '../audit/chain.ts'
import type { Filter } from './filter.ts'
import { mergeSorted } from './merge.ts'
import { RecentPlaces } from './recent-places.ts'
import type { DataFolder, TrailSource } from './source.ts'
import type { TrailLine } from './trail-line.ts'

export interface FoundRecord {
  readonly record: ParsedRecord
  /** The record's own bytes, without a newline. */
  readonly line: string
}

/**
 * The records of a data folder that pass the filter, over all trails in order of `recordedat`, each record once. A line
 * that is no record with the hash that it carries is left out and given to `onDamaged`. Bounded memory.
 */
export function query(
  folder: DataFolder,
  filter: Filter,
  onDamaged: (line: TrailLine) => void = () => undefined,
): AsyncGenerator<FoundRecord> {
  const trails = folder.trails.map((trail) => ({ from: trail.from, open: () => search(trail, filter, onDamaged) }))
  return mergeSorted(trails, ({ record }) => record.recordedat)
}

async function* search(
  trail: TrailSource,
  filter: Filter,
  onDamaged: (line: TrailLine) => void,
): AsyncGenerator<FoundRecord> {
  const seen = new RecentPlaces()
  for await (const line of trail.lines(filter.days)) {
    const { checked } = line
    if (!checked.ok) {
      if (line.torn === undefined) onDamaged(line)
      continue
    }
    const { place, record } = checked
    if (seen.see(place.sequence, place.hash) === 'duplicate' || !filter.matches(record)) continue
    yield { record, line: line.text }
  }
}
