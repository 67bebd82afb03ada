import { join } from 'node:path'
import { segmentPath } from '../../../src/archive/layout.ts'
import { listSegments, readSegment } from '../../../src/archive/read.ts'

/** Every whole line of the archive, trail by trail, in order. */
export async function archivedLines(archive: string): Promise<string[]> {
  const lines: string[] = []
  const { segments } = await listSegments(archive)
  for (const segment of segments) {
    for await (const { bytes, end } of readSegment(join(archive, segmentPath(segment)))) {
      if (end === 'newline') lines.push(bytes.toString())
    }
  }
  return lines
}
