import { openArchive, type ArchiveOptions } from '../archive/write.ts'
import type { Sink } from './sink.ts'

/**
 * Delivers records to the archive in `dir`. Each delivery rejects with ARCHIVE_UNWRITABLE (retryable) as long as the
 * disk does not take it; the archive stays readable meanwhile.
 */
export function createArchiveSink(dir: string, options: ArchiveOptions = {}): Sink {
  const archive = openArchive(dir, options)
  return {
    deliver: async (records) => {
      await archive.append(records)
      return { kind: 'kept', mark: null }
    },
    close: () => archive.close(),
  }
}
